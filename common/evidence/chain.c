#include "common/evidence/chain.h"

#include "common/base/mem.h"
#include "common/base/pb.h"

enum {
	MAGIC = 0x314a4c46,
	LENGTH_AT = 4,
	NUMBER_AT = 8,
	BEFORE_AT = 16,
	CHECK_AT = BEFORE_AT + DIGEST_SIZE,
	CHECK_SIZE = 8,
	HEAD_SIZE = CHECK_AT + CHECK_SIZE,
	RECORD_MAX = HEAD_SIZE + PB_WIRE_MAX + DIGEST_SIZE,
};

void chain_encode(const struct chain *chain, const ProtobufCMessage *payload, struct buf *out,
	struct chain *ret)
{
	size_t from = out->len;
	buf_reserve(out, HEAD_SIZE);
	out->len += HEAD_SIZE;
	pb_pack(payload, out);
	uint8_t *head = out->data + from;
	put_u32(head, MAGIC);
	put_u32(head + LENGTH_AT, (uint32_t)(out->len - from - HEAD_SIZE));
	put_u64(head + NUMBER_AT, chain->number + 1);
	memcpy(head + BEFORE_AT, chain->head.bytes, DIGEST_SIZE);
	struct digest check = digest_of(head, CHECK_AT);
	memcpy(head + CHECK_AT, check.bytes, CHECK_SIZE);
	struct digest digest = digest_of(head, out->len - from);
	buf_append(out, digest.bytes, DIGEST_SIZE);
	*ret = (struct chain){chain->number + 1, digest};
}

static bool is_head(const uint8_t *head)
{
	struct digest check = digest_of(head, CHECK_AT);
	return get_u32(head) == MAGIC && memcmp(head + CHECK_AT, check.bytes, CHECK_SIZE) == 0;
}

/* What does not verify is a torn end, unless a whole head follows later, or more bytes than one
 * append can have left. */
static enum chain_verdict torn_or_damaged(struct bytes in)
{
	if (in.len > RECORD_MAX)
		return CHAIN_DAMAGED;
	for (size_t at = 1; at + HEAD_SIZE <= in.len; at++)
		if (is_head(in.data + at))
			return CHAIN_DAMAGED;
	return CHAIN_TORN;
}

enum chain_verdict chain_next(struct bytes in, const struct chain *chain, struct chain_record *ret)
{
	if (in.len == 0)
		return CHAIN_END;
	if (in.len < HEAD_SIZE + DIGEST_SIZE)
		return CHAIN_TORN;
	size_t length = get_u32(in.data + LENGTH_AT);
	size_t covered = HEAD_SIZE + length;
	if (!is_head(in.data) || length > PB_WIRE_MAX || covered + DIGEST_SIZE > in.len)
		return torn_or_damaged(in);
	struct digest digest = digest_of(in.data, covered);
	if (memcmp(digest.bytes, in.data + covered, DIGEST_SIZE) != 0)
		return torn_or_damaged(in);
	struct chain_record record = {
		.before = {.number = get_u64(in.data + NUMBER_AT) - 1},
		.after = {get_u64(in.data + NUMBER_AT), digest},
		.payload = BYTES(in.data + HEAD_SIZE, length),
		.size = covered + DIGEST_SIZE,
	};
	memcpy(record.before.head.bytes, in.data + BEFORE_AT, DIGEST_SIZE);
	*ret = record;
	/* The checksum holds, so a break of the chain here is no torn write. */
	bool follows = !chain || (record.before.number == chain->number &&
					 digest_equal(&record.before.head, &chain->head));
	return follows ? CHAIN_RECORD : CHAIN_BROKEN;
}
