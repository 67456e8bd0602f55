/* The frames of a link and the records they travel in, as bytes (docs/protocol.md).
 *
 *     record:  u32 length | body                       length <= LINK_FRAME_MAX
 *     frame:   u8 type | u8 flags | u32 stream | payload
 *
 * In the handshake a record's body is a handshake message; afterwards it is an encrypted frame.
 * Integers are little-endian. A struct frame handed out by frame_decode obeys the table in
 * wire.c: known type and flags, a stream where one belongs, a payload within its bounds. Pure. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/link/link.h"

enum {
	RECORD_PREFIX = 4,
	FRAME_HEADER = 6,
	FRAME_OVERHEAD = 17, /* crypto_secretstream_xchacha20poly1305_ABYTES */
	FRAME_PAYLOAD_MAX = LINK_FRAME_MAX - FRAME_OVERHEAD - FRAME_HEADER,
	FRAME_COST_MIN = 64, /* credit an (almost) empty DATA frame costs */
	METHOD_MAX = 255,
};

enum frame_type {
	FRAME_ADMIT = 1, /* responder's first: the initiator is let in */
	FRAME_OPEN,      /* u64 deadline_ms (0: none) | method */
	FRAME_DATA,      /* a message, or with FRAME_MORE a full-sized piece of one */
	FRAME_CREDIT,    /* u32 bytes of DATA the peer may send on top */
	FRAME_END, /* from the caller: empty, its last message is sent; from the callee: status */
	FRAME_CANCEL, /* from the caller */
	FRAME_PING,   /* 8 bytes, sent back in the PONG */
	FRAME_PONG,
	FRAME_GOAWAY, /* status; the sender's last frame, sealed with TAG_FINAL */
	FRAME_TYPE_COUNT
};

enum { FRAME_MORE = 1 };

struct frame {
	enum frame_type type;
	uint8_t flags;
	uint32_t stream;
	struct bytes payload; /* borrowed */
};

enum record { RECORD_WHOLE = 0, RECORD_PARTIAL = 1 };
/* The first record of `in`: its body, borrowed. ERR_INVALID when its length is 0 or over max. */
int record_next(struct bytes in, size_t max, struct bytes *ret_body, struct err *err);
/* Append a record whose body the caller has. */
void record_append(struct buf *out, struct bytes body);

void frame_encode(const struct frame *frame, struct buf *out);
int frame_decode(struct bytes in, struct frame *ret, struct err *err);
const char *frame_name(enum frame_type type);

/* What a DATA frame of `len` payload bytes takes from the credit of its stream. */
static inline uint32_t frame_cost(size_t len)
{
	return len < FRAME_COST_MIN ? FRAME_COST_MIN : (uint32_t)len;
}

/* The payload of OPEN. method is a C string of at most METHOD_MAX bytes. */
void open_encode(const char *method, uint64_t deadline_ms, struct buf *out);
int open_decode(struct bytes in, char ret_method[static METHOD_MAX + 1], uint64_t *ret_deadline_ms,
	struct err *err);
