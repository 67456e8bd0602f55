#include "common/evidence/audit.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/evidence/receipt.h"

#include <stdio.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

void audit_init(struct audit *audit, const struct audit_setup *setup)
{
	*audit = (struct audit){.setup = *setup};
}

void audit_finding(struct audit *audit, uint64_t record, const char *file, const char *fmt, ...)
{
	va_list ap;
	if (audit->finding.record && audit->finding.record <= record)
		return;
	audit->finding.record = record;
	snprintf(audit->finding.file, sizeof(audit->finding.file), "%s", file);
	va_start(ap, fmt);
	vsnprintf(audit->finding.what, sizeof(audit->finding.what), fmt, ap);
	va_end(ap);
}

/* One record under examination. */
struct exhibit {
	struct audit *audit;
	const char *file;
	const struct chain_record *at;
	const Fairlead__V1__JournalRecord *record;
};

static bool wrong(const struct exhibit *exhibit, const char *what)
{
	audit_finding(exhibit->audit, exhibit->at->after.number, exhibit->file, "%s", what);
	return false;
}

static bool same_bytes(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static bool same_digest(const ProtobufCBinaryData *field, const struct digest *digest)
{
	return field->len == DIGEST_SIZE && memcmp(field->data, digest->bytes, DIGEST_SIZE) == 0;
}

/* What the receipt says of the deployment, and what the record around it says. */
static bool same_facts(const struct exhibit *exhibit, const Fairlead__V1__Receipt *receipt)
{
	const Fairlead__V1__DeploymentStatus *status = exhibit->record->status;
	const struct audit_setup *setup = &exhibit->audit->setup;
	if (strcmp(receipt->app, setup->app) != 0 ||
		strcmp(receipt->environment, setup->environment) != 0)
		return wrong(exhibit, "its receipt is of another app or environment");
	if (!same_bytes(&receipt->deployment_id, &exhibit->record->deployment_id) ||
		!same_bytes(&receipt->deployment_id, &status->deployment_id))
		return wrong(exhibit, "its receipt is of another deployment");
	if (receipt->outcome != exhibit->record->state || receipt->outcome != status->state)
		return wrong(exhibit, "its receipt tells another outcome");
	if (!same_bytes(&receipt->from_manifest, &status->from_manifest) ||
		!same_bytes(&receipt->to_manifest, &status->to_manifest))
		return wrong(exhibit, "its receipt names other releases");
	return true;
}

/* That it follows the receipt before, where that one is known. */
static bool follows(const struct exhibit *exhibit, const Fairlead__V1__Receipt *receipt)
{
	const struct audit *audit = exhibit->audit;
	if (receipt->number != audit->receipt_number + 1)
		return wrong(exhibit,
			audit->receipt_number
				? "its receipt does not follow the one before: one is left out"
				: "its receipt is not the first, and those before are left out");
	if (audit->receipt_number && !same_digest(&receipt->previous, &audit->receipt_digest))
		return wrong(exhibit, "its receipt follows another one than the journal has");
	return true;
}

static bool vouches(const struct exhibit *exhibit, const Fairlead__V1__Receipt *receipt)
{
	const struct chain *before = &exhibit->at->before;
	if (receipt->journal_number == before->number &&
		same_digest(&receipt->journal_head, &before->head))
		return true;
	return wrong(exhibit, "its receipt vouches for another history: records before it were "
			      "changed, left out or moved");
}

static void take_receipt(struct audit *audit, const Fairlead__V1__SignedReceipt *message,
	const Fairlead__V1__Receipt *receipt)
{
	audit->receipt_number = receipt->number;
	audit->receipt_digest = receipt_digest(message);
}

static bool check_receipt(const struct exhibit *exhibit)
{
	struct audit *audit = exhibit->audit;
	const Fairlead__V1__SignedReceipt *message = exhibit->record->status->receipt;
	Fairlead__V1__Receipt *receipt = NULL;
	struct err err = ERR_INIT;
	if (!message && audit->receipt_number == 0)
		return true; /* of an agent that made none yet */
	if (!message)
		return wrong(exhibit, "a deployment ended without a receipt");
	if (receipt_verify(message, audit->setup.host, &receipt, &err) < 0)
		return wrong(exhibit, err.message);
	bool fits = same_facts(exhibit, receipt) && follows(exhibit, receipt) &&
		    vouches(exhibit, receipt);
	if (fits) {
		audit->receipts++;
		take_receipt(audit, message, receipt);
		if (audit->setup.receipt)
			audit->setup.receipt(
				audit->setup.user, exhibit->at->after.number, message, receipt);
	}
	pb_free(&receipt->base);
	return fits;
}

/* The first record of a file that is not the oldest of all. Where the files before it are still
 * there it tells nothing new. */
static bool check_segment(const struct exhibit *exhibit)
{
	struct audit *audit = exhibit->audit;
	const Fairlead__V1__DeploymentStatus *last = exhibit->record->segment->last;
	Fairlead__V1__Receipt *receipt = NULL;
	struct err err = ERR_INIT;
	if (audit->first || !last || !last->receipt)
		return true;
	if (receipt_verify(last->receipt, audit->setup.host, &receipt, &err) < 0)
		return wrong(exhibit, err.message);
	take_receipt(audit, last->receipt, receipt);
	pb_free(&receipt->base);
	return true;
}

static bool check_record(const struct exhibit *exhibit, bool first_of_file)
{
	const Fairlead__V1__JournalRecord *record = exhibit->record;
	bool begins = exhibit->at->before.number > 0 && first_of_file;
	if (begins != (record->segment != NULL))
		return wrong(exhibit, begins ? "a file that does not begin as one that follows"
					     : "the beginning of a file in the middle of one");
	if (record->segment)
		return check_segment(exhibit);
	return !record->status || check_receipt(exhibit);
}

static enum audit_verdict stop(struct audit *audit, const char *file, enum chain_verdict verdict,
	const struct chain_record *at)
{
	uint64_t next = audit->chain.number + 1;
	if (verdict == CHAIN_TORN)
		audit_finding(audit, next, file, "it is cut off in the middle");
	else if (verdict == CHAIN_DAMAGED)
		audit_finding(audit, next, file, "it does not verify: its bytes were changed");
	else if (at->after.number == next)
		audit_finding(
			audit, next, file, "it follows another record than the one before it");
	else
		audit_finding(audit, next, file, "record %llu is in its place",
			(unsigned long long)at->after.number);
	return AUDIT_DOES_NOT;
}

static enum audit_verdict examine(
	struct audit *audit, const char *file, const struct chain_record *at, bool first_of_file)
{
	Fairlead__V1__JournalRecord *record = NULL;
	struct exhibit exhibit = {audit, file, at, NULL};
	if (PB_UNPACK(fairlead__v1__journal_record, at->payload, &record, NULL) < 0) {
		wrong(&exhibit, "it is no journal record");
		return AUDIT_DOES_NOT;
	}
	exhibit.record = record;
	bool fits = check_record(&exhibit, first_of_file);
	pb_free(&record->base);
	if (!fits)
		return AUDIT_DOES_NOT;
	audit->chain = at->after;
	if (!audit->first)
		audit->first = at->after.number;
	return AUDIT_FITS;
}

/* The very first record may follow what is no longer kept; number 1 follows nothing. */
static bool begins_well(struct audit *audit, const char *file, const struct chain_record *at)
{
	if (at->after.number > 1 || (at->after.number == 1 && digest_is_zero(&at->before.head)))
		return true;
	audit_finding(audit, 1, file, "it follows a record, and is said to be the first");
	return false;
}

enum audit_verdict audit_file(
	struct audit *audit, const char *name, struct bytes content, enum audit_end end)
{
	struct chain_record at;
	bool first_of_file = true;
	if (audit->finding.record)
		return AUDIT_DOES_NOT;
	audit->segments++;
	if (content.len == 0 && audit->first)
		audit_finding(audit, audit->chain.number + 1, name, "the file is empty");
	while (content.len > 0) {
		bool anchor = audit->first == 0;
		enum chain_verdict verdict =
			chain_next(content, anchor ? NULL : &audit->chain, &at);
		if (verdict == CHAIN_TORN && end == AUDIT_END_MAY_BE_TORN)
			return AUDIT_FITS;
		if (verdict != CHAIN_RECORD)
			return stop(audit, name, verdict, &at);
		if (anchor && !begins_well(audit, name, &at))
			return AUDIT_DOES_NOT;
		if (examine(audit, name, &at, first_of_file) == AUDIT_DOES_NOT)
			return AUDIT_DOES_NOT;
		content = BYTES(content.data + at.size, content.len - at.size);
		first_of_file = false;
	}
	return audit->finding.record ? AUDIT_DOES_NOT : AUDIT_FITS;
}
