/* The encrypted half of a link: frames in, records out, and back (docs/protocol.md).
 *
 * libsodium's secretstream each way. The record's length prefix is additional data, the first
 * record of each direction is the stream's header, and the last frame is sealed with TAG_FINAL,
 * so that a stream cut short is told from one that ended. Pure but for the random header. */
#pragma once

#include "common/link/handshake.h"

struct session {
	crypto_secretstream_xchacha20poly1305_state send, receive;
	struct session_keys keys; /* each zeroed once its stream has begun */
	enum session_state { SESSION_NEW, SESSION_RUNNING, SESSION_FINAL } sending, receiving;
};

enum session_tag { SESSION_TAG_MESSAGE, SESSION_TAG_FINAL };

void session_init(struct session *session, const struct session_keys *keys);
void session_release(struct session *session); /* zeroes */
/* Append the record of one frame (with the stream's header before the first) to out.
 * After SESSION_TAG_FINAL nothing more may be sealed. */
void session_seal(
	struct session *session, struct bytes frame, enum session_tag tag, struct buf *out);

enum session_open {
	SESSION_OPENED_FRAME = 0,
	SESSION_OPENED_HEADER = 1, /* nothing in it */
	SESSION_OPENED_FINAL = 2,  /* a frame, the last one */
};
/* One record's body; the frame replaces what is in `ret_frame`. ERR_INVALID when it was altered,
 * cut, repeated or comes after the last. */
int session_open(
	struct session *session, struct bytes body, struct buf *ret_frame, struct err *err);
