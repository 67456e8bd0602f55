/* A journal made by hand, as a host would have written it: two deployments, each with a receipt. */
#pragma once

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/evidence/audit.h"
#include "common/evidence/chain.h"
#include "common/evidence/receipt.h"

#include <setjmp.h>

#include <cmocka.h>

enum { RECORDS_MAX = 32 };

struct world {
	struct signing_key *host, *other;
	struct buf bytes;             /* one file */
	size_t ends[RECORDS_MAX + 1]; /* of record i + 1; ends[0] is 0 */
	struct chain chain;
	uint64_t receipts;
	struct digest last_receipt;
};

static inline void world_init(struct world *w)
{
	static const uint8_t seed[32] = {1}, other[32] = {2};
	*w = (struct world){0};
	w->host = signing_key_from_seed(seed);
	w->other = signing_key_from_seed(other);
}

static inline void world_release(struct world *w)
{
	signing_key_free(w->host);
	signing_key_free(w->other);
	buf_release(&w->bytes);
}

static inline void world_append(struct world *w, const Fairlead__V1__JournalRecord *record)
{
	chain_encode(&w->chain, &record->base, &w->bytes, &w->chain);
	assert_true(w->chain.number <= RECORDS_MAX);
	w->ends[w->chain.number] = w->bytes.len;
}

/* The receipt that belongs into the next record. */
static inline Fairlead__V1__SignedReceipt *world_sign(struct world *w,
	const Fairlead__V1__DeploymentStatus *status, const struct signing_key *key)
{
	Fairlead__V1__Receipt receipt = FAIRLEAD__V1__RECEIPT__INIT;
	receipt.host_key = pb_borrow(signing_key_public(key)->bytes, KEY_PUBLIC_SIZE);
	receipt.app = pb_str("shop");
	receipt.environment = pb_str("production");
	receipt.deployment_id = status->deployment_id;
	receipt.outcome = status->state;
	receipt.to_manifest = status->to_manifest;
	receipt.key_id = pb_borrow("signer!!", KEY_ID_SIZE);
	receipt.journal_number = w->chain.number;
	receipt.journal_head = pb_borrow(w->chain.head.bytes, DIGEST_SIZE);
	receipt.number = w->receipts + 1;
	if (w->receipts)
		receipt.previous = pb_borrow(w->last_receipt.bytes, DIGEST_SIZE);
	Fairlead__V1__SignedReceipt *message = receipt_sign(key, &receipt);
	w->receipts++;
	w->last_receipt = receipt_digest(message);
	return message;
}

/* accepted, prepared, committed, CONCLUDED: four records, the third with the receipt. */
static inline void world_deploy(struct world *w, const char id[static 16])
{
	uint8_t to[DIGEST_SIZE] = {(uint8_t)id[0]};
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	Fairlead__V1__DeploymentStatus status = FAIRLEAD__V1__DEPLOYMENT_STATUS__INIT;
	record.deployment_id = pb_borrow(id, 16);
	record.state = FAIRLEAD__V1__STATE__STATE_ACCEPTED;
	world_append(w, &record);
	record.state = FAIRLEAD__V1__STATE__STATE_PREPARED;
	world_append(w, &record);
	record.state = status.state = FAIRLEAD__V1__STATE__STATE_COMMITTED;
	status.deployment_id = record.deployment_id;
	status.to_manifest = pb_borrow(to, sizeof(to));
	status.receipt = world_sign(w, &status, w->host);
	record.status = &status;
	world_append(w, &record);
	pb_free(&status.receipt->base);
	record.status = NULL;
	record.step = pb_str("CONCLUDED");
	world_append(w, &record);
}

static inline void world_two(struct world *w)
{
	world_init(w);
	world_deploy(w, "aaaaaaaaaaaaaaa");
	world_deploy(w, "bbbbbbbbbbbbbbb");
}

static inline struct bytes world_record(const struct world *w, size_t number)
{
	size_t from = w->ends[number - 1];
	return BYTES(w->bytes.data + from, w->ends[number] - from);
}

/* The audit of one file; 0 or the number of the record it names. */
static inline uint64_t audited(
	const struct world *w, struct bytes bytes, enum audit_end end, struct audit *ret)
{
	const struct audit_setup setup = {
		.host = signing_key_public(w->host), .app = "shop", .environment = "production"};
	audit_init(ret, &setup);
	audit_file(ret, "journal", bytes, end);
	return ret->finding.record;
}
