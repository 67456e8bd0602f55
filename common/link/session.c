#include "common/link/session.h"

#include "common/link/wire.h"

#include <assert.h>

enum { HEADER_SIZE = crypto_secretstream_xchacha20poly1305_HEADERBYTES };

static const uint8_t tags[] = {
	[SESSION_TAG_MESSAGE] = crypto_secretstream_xchacha20poly1305_TAG_MESSAGE,
	[SESSION_TAG_FINAL] = crypto_secretstream_xchacha20poly1305_TAG_FINAL,
};

void session_init(struct session *session, const struct session_keys *keys)
{
	*session = (struct session){.keys = *keys};
}

void session_release(struct session *session)
{
	sodium_memzero(session, sizeof(*session));
}

static void begin_sending(struct session *session, struct buf *out)
{
	uint8_t header[HEADER_SIZE];
	crypto_secretstream_xchacha20poly1305_init_push(&session->send, header, session->keys.send);
	sodium_memzero(session->keys.send, sizeof(session->keys.send));
	record_append(out, BYTES(header, sizeof(header)));
	session->sending = SESSION_RUNNING;
}

void session_seal(
	struct session *session, struct bytes frame, enum session_tag tag, struct buf *out)
{
	assert(session->sending != SESSION_FINAL);
	assert(frame.len <= LINK_FRAME_MAX - FRAME_OVERHEAD);
	if (session->sending == SESSION_NEW)
		begin_sending(session, out);
	uint8_t *p = buf_reserve(out, RECORD_PREFIX + frame.len + FRAME_OVERHEAD);
	put_u32(p, (uint32_t)(frame.len + FRAME_OVERHEAD));
	crypto_secretstream_xchacha20poly1305_push(&session->send, p + RECORD_PREFIX, NULL,
		frame.data, frame.len, p, RECORD_PREFIX, tags[tag]);
	out->len += RECORD_PREFIX + frame.len + FRAME_OVERHEAD;
	if (tag == SESSION_TAG_FINAL)
		session->sending = SESSION_FINAL;
}

static int begin_receiving(struct session *session, struct bytes body, struct err *err)
{
	if (body.len != HEADER_SIZE || crypto_secretstream_xchacha20poly1305_init_pull(
					       &session->receive, body.data, session->keys.receive))
		return err_set(err, ERR_INVALID, "a stream header of %zu bytes", body.len);
	sodium_memzero(session->keys.receive, sizeof(session->keys.receive));
	session->receiving = SESSION_RUNNING;
	return SESSION_OPENED_HEADER;
}

static int open_frame(
	struct session *session, struct bytes body, struct buf *ret_frame, struct err *err)
{
	uint8_t prefix[RECORD_PREFIX], tag = 0;
	put_u32(prefix, (uint32_t)body.len);
	buf_clear(ret_frame);
	if (body.len < FRAME_OVERHEAD || body.len > LINK_FRAME_MAX ||
		crypto_secretstream_xchacha20poly1305_pull(&session->receive,
			buf_reserve(ret_frame, body.len), NULL, &tag, body.data, body.len, prefix,
			sizeof(prefix)) != 0)
		return err_set(err, ERR_INVALID, "a frame was altered on the way");
	ret_frame->len = body.len - FRAME_OVERHEAD;
	if (tag == tags[SESSION_TAG_MESSAGE])
		return SESSION_OPENED_FRAME;
	if (tag != tags[SESSION_TAG_FINAL])
		return err_set(err, ERR_INVALID, "a frame with tag %u", tag);
	session->receiving = SESSION_FINAL;
	return SESSION_OPENED_FINAL;
}

int session_open(struct session *session, struct bytes body, struct buf *ret_frame, struct err *err)
{
	switch (session->receiving) {
	case SESSION_NEW:
		return begin_receiving(session, body, err);
	case SESSION_RUNNING:
		return open_frame(session, body, ret_frame, err);
	case SESSION_FINAL:
		break;
	}
	return err_set(err, ERR_INVALID, "a frame after the last one");
}
