#include "common/link/wire.h"

#include "common/base/mem.h"

#include <assert.h>

static_assert(FRAME_OVERHEAD == crypto_secretstream_xchacha20poly1305_ABYTES, "frame overhead");
/* A message of LINK_MESSAGE_MAX bytes must fit into the initial credit, or it never arrives. */
static_assert(LINK_MESSAGE_MAX <= LINK_STREAM_CREDIT &&
		      LINK_MESSAGE_MAX % FRAME_PAYLOAD_MAX >= FRAME_COST_MIN,
	"credit and the largest message");

enum place { ON_LINK, ON_STREAM };

static const struct {
	const char *name;
	enum place place;
	uint8_t flags; /* allowed */
	size_t payload_min, payload_max;
} types[FRAME_TYPE_COUNT] = {
	[FRAME_ADMIT] = {"ADMIT", ON_LINK, 0, 0, 0},
	[FRAME_OPEN] = {"OPEN", ON_STREAM, 0, 9, 8 + METHOD_MAX},
	[FRAME_DATA] = {"DATA", ON_STREAM, FRAME_MORE, 0, FRAME_PAYLOAD_MAX},
	[FRAME_CREDIT] = {"CREDIT", ON_STREAM, 0, 4, 4},
	[FRAME_END] = {"END", ON_STREAM, 0, 0, 4096},
	[FRAME_CANCEL] = {"CANCEL", ON_STREAM, 0, 0, 0},
	[FRAME_PING] = {"PING", ON_LINK, 0, 8, 8},
	[FRAME_PONG] = {"PONG", ON_LINK, 0, 8, 8},
	[FRAME_GOAWAY] = {"GOAWAY", ON_LINK, 0, 4, 4096},
};

const char *frame_name(enum frame_type type)
{
	return type > 0 && type < FRAME_TYPE_COUNT ? types[type].name : "unknown";
}

int record_next(struct bytes in, size_t max, struct bytes *ret_body, struct err *err)
{
	if (in.len < RECORD_PREFIX)
		return RECORD_PARTIAL;
	uint32_t len = get_u32(in.data);
	if (len == 0 || len > max)
		return err_set(err, ERR_INVALID, "a record of %u bytes, 1 to %zu are possible here",
			len, max);
	if (in.len - RECORD_PREFIX < len)
		return RECORD_PARTIAL;
	*ret_body = BYTES(in.data + RECORD_PREFIX, len);
	return RECORD_WHOLE;
}

void record_append(struct buf *out, struct bytes body)
{
	put_u32(buf_reserve(out, RECORD_PREFIX), (uint32_t)body.len);
	out->len += RECORD_PREFIX;
	buf_append(out, body.data, body.len);
}

void frame_encode(const struct frame *frame, struct buf *out)
{
	assert(frame->payload.len <= types[frame->type].payload_max);
	uint8_t *p = buf_reserve(out, FRAME_HEADER);
	p[0] = (uint8_t)frame->type;
	p[1] = frame->flags;
	put_u32(p + 2, frame->stream);
	out->len += FRAME_HEADER;
	buf_append(out, frame->payload.data, frame->payload.len);
}

int frame_decode(struct bytes in, struct frame *ret, struct err *err)
{
	if (in.len < FRAME_HEADER)
		return err_set(err, ERR_INVALID, "a frame of %zu bytes", in.len);
	unsigned type = in.data[0];
	if (type == 0 || type >= FRAME_TYPE_COUNT)
		return err_set(err, ERR_INVALID, "unknown frame type %u", type);
	struct frame frame = {
		.type = (enum frame_type)type,
		.flags = in.data[1],
		.stream = get_u32(in.data + 2),
		.payload = BYTES(in.data + FRAME_HEADER, in.len - FRAME_HEADER),
	};
	if (frame.flags & (uint8_t)~types[type].flags)
		return err_set(err, ERR_INVALID, "%s frame with flags 0x%02x", types[type].name,
			frame.flags);
	if ((frame.stream != 0) != (types[type].place == ON_STREAM))
		return err_set(
			err, ERR_INVALID, "%s frame on stream %u", types[type].name, frame.stream);
	if (frame.payload.len < types[type].payload_min ||
		frame.payload.len > types[type].payload_max)
		return err_set(err, ERR_INVALID, "%s frame with %zu bytes", types[type].name,
			frame.payload.len);
	*ret = frame;
	return 0;
}

void open_encode(const char *method, uint64_t deadline_ms, struct buf *out)
{
	put_u64(buf_reserve(out, 8), deadline_ms);
	out->len += 8;
	buf_append_str(out, method);
}

int open_decode(struct bytes in, char ret_method[static METHOD_MAX + 1], uint64_t *ret_deadline_ms,
	struct err *err)
{
	assert(in.len >= 9 && in.len <= 8 + METHOD_MAX);
	size_t len = in.len - 8;
	for (size_t i = 0; i < len; i++)
		if (in.data[8 + i] <= ' ' || in.data[8 + i] >= 0x7f)
			return err_set(
				err, ERR_INVALID, "a method name with byte 0x%02x", in.data[8 + i]);
	memcpy(ret_method, in.data + 8, len);
	ret_method[len] = '\0';
	*ret_deadline_ms = get_u64(in.data);
	return 0;
}
