#include "coordinator/cli/audit_host.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/evidence/audit_feed.h"
#include "common/evidence/receipt.h"

/* A receipt the host has, by the record that holds it. */
struct held {
	uint64_t record, journal_number;
	Fairlead__V1__SignedReceipt *message; /* owned */
};

struct audit_host {
	struct audit_host_setup setup;
	struct audit_feed feed;
	struct held *held; /* by rising record */
	size_t held_count;
	unsigned compared, older;
};

static void on_receipt(void *user, uint64_t record, const Fairlead__V1__SignedReceipt *message,
	const Fairlead__V1__Receipt *receipt)
{
	struct audit_host *host = user;
	host->held = xrealloc(host->held, (host->held_count + 1) * sizeof(*host->held));
	host->held[host->held_count++] = (struct held){
		record, receipt->journal_number, PB_COPY(Fairlead__V1__SignedReceipt, message)};
}

struct audit_host *audit_host_new(const struct audit_host_setup *setup)
{
	struct audit_host *host = xcalloc(1, sizeof(*host));
	host->setup = *setup;
	const struct audit_setup audit = {
		.host = setup->key,
		.app = setup->app,
		.environment = setup->environment,
		.receipt = on_receipt,
		.user = host,
	};
	audit_init(&host->feed.audit, &audit);
	return host;
}

void audit_host_free(struct audit_host *host)
{
	if (!host)
		return;
	for (size_t i = 0; i < host->held_count; i++)
		pb_free(&host->held[i].message->base);
	free(host->held);
	audit_feed_release(&host->feed);
	free(host);
}

void audit_host_take(struct audit_host *host, const Fairlead__V1__AuditChunk *chunk)
{
	audit_feed_take(&host->feed, chunk);
}

/* ---- beside the ledger ---- */

static const struct held *find(const struct audit_host *host, uint64_t journal_number)
{
	for (size_t i = 0; i < host->held_count; i++)
		if (host->held[i].journal_number == journal_number)
			return &host->held[i];
	return NULL;
}

static int compare(void *user, const struct ledger_receipt *known)
{
	struct audit_host *host = user;
	struct audit *audit = &host->feed.audit;
	uint64_t record = known->journal_number + 1;
	if (record < audit->first) {
		host->older++;
		return 0;
	}
	if (audit->finding.record && audit->finding.record <= record)
		return 1; /* what comes first is named */
	const struct held *held = find(host, known->journal_number);
	if (record > audit->chain.number)
		audit_finding(audit, record, "journal",
			"it is gone: the ledger has its receipt, and the journal ends before it");
	else if (!held)
		audit_finding(audit, record, "journal",
			"it has no receipt, and the ledger holds one of it");
	else if (held->message->payload.len != known->payload.len ||
		 memcmp(held->message->payload.data, known->payload.data, known->payload.len) != 0)
		audit_finding(audit, record, "journal",
			"its receipt is not the one that the ledger holds");
	else
		host->compared++;
	return audit->finding.record != 0;
}

static int remember(struct audit_host *host, struct ledger *ledger, struct err *err)
{
	for (size_t i = 0; i < host->held_count; i++) {
		const struct held *held = &host->held[i];
		const struct ledger_receipt row = {
			.host = host->setup.name,
			.host_key = BYTES(host->setup.key->bytes, KEY_PUBLIC_SIZE),
			.app = host->setup.app,
			.environment = host->setup.environment,
			.journal_number = held->journal_number,
			.payload = PB_BYTES(held->message->payload),
			.signature = PB_BYTES(held->message->signature),
		};
		if (ledger_receipt_store(ledger, &row, err) < 0)
			return -1;
	}
	return 0;
}

int audit_host_conclude(struct audit_host *host, struct ledger *ledger, struct err *err)
{
	audit_feed_end(&host->feed);
	if (ledger_receipts(ledger, BYTES(host->setup.key->bytes, KEY_PUBLIC_SIZE), host->setup.app,
		    host->setup.environment, compare, host, err) < 0)
		return -1;
	return host->feed.audit.finding.record ? 0 : remember(host, ledger, err);
}

const struct audit *audit_host_result(const struct audit_host *host)
{
	return &host->feed.audit;
}

unsigned audit_host_compared(const struct audit_host *host)
{
	return host->compared;
}

unsigned audit_host_older(const struct audit_host *host)
{
	return host->older;
}
