/* What a host says it did, read by a coordinator: nothing that is not the host's own passes.
 *
 * Input: 0 | a journal file as it is. 1 | a change of an honest file of two deployments. 2 | a
 * change of an honest SignedReceipt. 3 | a payload that the host's own key signs as it is. */
#include "common/evidence/receipt.h"
#include "common/base/pb.h"
#include "common/evidence/audit.h"
#include "tests/fuzz/fuzz.h"

enum { RECORDS_MAX = 16 };

static struct world {
	struct signing_key *host;
	struct buf file;
	size_t ends[RECORDS_MAX]; /* of each record */
	size_t count;
	struct buf receipt; /* the last one, packed */
} world;

static void append(struct chain *chain, const Fairlead__V1__JournalRecord *record)
{
	chain_encode(chain, &record->base, &world.file, chain);
	world.ends[world.count++] = world.file.len;
}

static Fairlead__V1__SignedReceipt *sign(const struct chain *chain,
	const Fairlead__V1__DeploymentStatus *status, uint64_t number,
	const struct digest *previous)
{
	Fairlead__V1__Receipt receipt = FAIRLEAD__V1__RECEIPT__INIT;
	receipt.host_key = pb_borrow(signing_key_public(world.host)->bytes, KEY_PUBLIC_SIZE);
	receipt.app = pb_str("shop");
	receipt.environment = pb_str("production");
	receipt.deployment_id = status->deployment_id;
	receipt.outcome = status->state;
	receipt.to_manifest = status->to_manifest;
	receipt.key_id = pb_borrow("signer!!", KEY_ID_SIZE);
	receipt.journal_number = chain->number;
	receipt.journal_head = pb_borrow(chain->head.bytes, DIGEST_SIZE);
	receipt.number = number;
	if (number > 1)
		receipt.previous = pb_borrow(previous->bytes, DIGEST_SIZE);
	return receipt_sign(world.host, &receipt);
}

static void deploy(struct chain *chain, uint64_t number, struct digest *previous)
{
	uint8_t id[16] = {(uint8_t)number}, to[DIGEST_SIZE] = {(uint8_t)number};
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	Fairlead__V1__DeploymentStatus status = FAIRLEAD__V1__DEPLOYMENT_STATUS__INIT;
	record.deployment_id = status.deployment_id = pb_borrow(id, sizeof(id));
	record.state = FAIRLEAD__V1__STATE__STATE_ACCEPTED;
	append(chain, &record);
	record.state = status.state = FAIRLEAD__V1__STATE__STATE_COMMITTED;
	status.to_manifest = pb_borrow(to, sizeof(to));
	status.receipt = sign(chain, &status, number, previous);
	*previous = receipt_digest(status.receipt);
	buf_clear(&world.receipt);
	PB_PACK(status.receipt, &world.receipt);
	record.status = &status;
	append(chain, &record);
	pb_free(&status.receipt->base);
}

static void make_world(void)
{
	static const uint8_t seed[32] = {7};
	struct chain chain = {0};
	struct digest previous;
	if (world.host)
		return;
	world.host = signing_key_from_seed(seed);
	deploy(&chain, 1, &previous);
	deploy(&chain, 2, &previous);
}

static bool fits(struct bytes file, struct audit *ret)
{
	const struct audit_setup setup = {
		.host = signing_key_public(world.host), .app = "shop", .environment = "production"};
	audit_init(ret, &setup);
	bool good = audit_file(ret, "journal", file, AUDIT_END_WHOLE) == AUDIT_FITS;
	MUST(good == (ret->finding.record == 0));
	MUST(good || ret->finding.what[0]);
	/* Where a torn end is fine, no more is found than where it is not. */
	struct audit lenient;
	audit_init(&lenient, &setup);
	bool also = audit_file(&lenient, "journal", file, AUDIT_END_MAY_BE_TORN) == AUDIT_FITS;
	MUST(!good || also);
	MUST(lenient.chain.number == ret->chain.number);
	return good;
}

/* What fits is a chain from its first byte to its last. */
static void check_fits(struct bytes file, const struct audit *audit)
{
	struct chain_record at;
	struct chain chain = {0};
	for (bool first = true; file.len > 0; first = false) {
		MUST(chain_next(file, first ? NULL : &chain, &at) == CHAIN_RECORD);
		chain = at.after;
		file = BYTES(file.data + at.size, file.len - at.size);
	}
	MUST(chain.number == audit->chain.number);
}

static bool is_cut_between_records(struct bytes file)
{
	if (!fuzz_same(file, BYTES(world.file.data, file.len < world.file.len ? file.len : 0)))
		return false;
	for (size_t i = 0; i < world.count; i++)
		if (world.ends[i] == file.len)
			return true;
	return file.len == 0;
}

static void changed_file(struct bytes in)
{
	AUTO(buf) struct buf file = {0};
	struct audit audit;
	bool other = fuzz_change(&in, buf_bytes(&world.file), &file);
	bool good = fits(buf_bytes(&file), &audit);
	MUST(good == (!other || is_cut_between_records(buf_bytes(&file))));
	MUST(other || audit.receipts == 2);
}

/* However the message around it is spelt, what is accepted is what was signed. */
static void changed_receipt(struct bytes in)
{
	AUTO(buf) struct buf sent = {0};
	Fairlead__V1__SignedReceipt *message = NULL, *honest = NULL;
	Fairlead__V1__Receipt *receipt = NULL;
	bool other = fuzz_change(&in, buf_bytes(&world.receipt), &sent);
	MUST(PB_UNPACK(fairlead__v1__signed_receipt, buf_bytes(&world.receipt), &honest, NULL) ==
		0);
	if (PB_UNPACK(fairlead__v1__signed_receipt, buf_bytes(&sent), &message, NULL) == 0) {
		int rc = receipt_verify(message, signing_key_public(world.host), &receipt, NULL);
		MUST(other || rc == 0);
		MUST(rc < 0 || fuzz_same(PB_BYTES(message->payload), PB_BYTES(honest->payload)));
		if (rc == 0)
			pb_free(&receipt->base);
		pb_free(&message->base);
	}
	pb_free(&honest->base);
}

/* A host that signs nonsense is refused by what it says. */
static void signed_payload(struct bytes payload)
{
	Fairlead__V1__SignedReceipt message = FAIRLEAD__V1__SIGNED_RECEIPT__INIT;
	Fairlead__V1__Receipt *receipt = NULL;
	struct err err = ERR_INIT;
	struct signature signature = signing_key_sign(world.host, KEY_CONTEXT_RECEIPT, payload);
	message.payload = pb_borrow(payload.data, payload.len);
	message.signature = pb_borrow(signature.bytes, sizeof(signature.bytes));
	if (receipt_verify(&message, signing_key_public(world.host), &receipt, &err) < 0) {
		MUST(err.code == ERR_INVALID || err.code == ERR_AUTH || err.code == ERR_LIMIT);
		return;
	}
	AUTO(buf) struct buf again = {0};
	PB_PACK(receipt, &again);
	MUST(fuzz_same(buf_bytes(&again), payload));
	MUST(receipt->deployment_id.len == 16 && receipt->journal_head.len == DIGEST_SIZE);
	MUST(receipt->number > 0);
	pb_free(&receipt->base);
}

void fuzz_one(struct bytes in)
{
	struct audit audit;
	make_world();
	switch (fuzz_u8(&in) % 4) {
	case 0:
		if (fits(in, &audit))
			check_fits(in, &audit);
		break;
	case 1:
		changed_file(in);
		break;
	case 2:
		changed_receipt(in);
		break;
	default:
		signed_payload(in);
	}
}

static void seed(const char *name, uint8_t mode, struct bytes rest)
{
	AUTO(buf) struct buf input = {0};
	buf_append(&input, &mode, 1);
	buf_append(&input, rest.data, rest.len);
	fuzz_seed(name, buf_bytes(&input));
}

void fuzz_seeds(void)
{
	Fairlead__V1__SignedReceipt *message = NULL;
	make_world();
	seed("file", 0, buf_bytes(&world.file));
	static const struct {
		const char *name;
		uint8_t change[5];
	} changes[] = {{"honest", {0}}, {"flipped", {1, 40, 0, 4}}, {"torn", {2, 9, 0}},
		{"extended", {3, 1, 'x'}}};
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		AUTO_FREE char *file = xasprintf("file-%s", changes[i].name);
		AUTO_FREE char *receipt = xasprintf("receipt-%s", changes[i].name);
		seed(file, 1, BYTES(changes[i].change, sizeof(changes[i].change)));
		seed(receipt, 2, BYTES(changes[i].change, sizeof(changes[i].change)));
	}
	MUST(PB_UNPACK(fairlead__v1__signed_receipt, buf_bytes(&world.receipt), &message, NULL) ==
		0);
	seed("payload", 3, PB_BYTES(message->payload));
	pb_free(&message->base);
}
