/* The handshake of a link: who the peer is, and the keys of the session (docs/protocol.md).
 *
 *     I -> R   version | eph_I
 *     R -> I   version | eph_R | box_R{ pk_R, sign(RESPONDER, H_R) }
 *     I -> R   box_I{ pk_I, sign(INITIATOR, H_I) }
 *
 * SIGMA style: H_R and H_I bind the version, both ephemerals and the signer's own key, the boxes
 * are sealed with keys of the X25519 secret. The initiator reveals who it is only after the
 * responder has proven the pinned key. Pure: messages in, messages out; randomness is passed in;
 * signatures are made elsewhere and may come later. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/trust/key.h"

enum {
	HANDSHAKE_VERSION = 1,
	HANDSHAKE_MESSAGE_MAX = 256, /* the largest real one has 145 bytes */
};

enum handshake_role { HANDSHAKE_INITIATOR, HANDSHAKE_RESPONDER };

enum handshake_step {
	HANDSHAKE_WAIT = 0, /* for the peer's next message */
	HANDSHAKE_SIGN = 1, /* transcript must be signed: handshake_signed goes on */
	HANDSHAKE_DONE = 2, /* peer and keys are there */
};

enum handshake_state {
	HANDSHAKE_EXPECTS_HELLO,
	HANDSHAKE_EXPECTS_REPLY,
	HANDSHAKE_EXPECTS_SIGNATURE,
	HANDSHAKE_EXPECTS_PROOF,
	HANDSHAKE_FINISHED,
};

struct handshake {
	enum handshake_role role;
	enum handshake_state state;
	const char *peer_name; /* borrowed, for messages */
	struct public_key self;
	struct public_key pinned; /* initiator: the responder's */
	struct public_key peer;   /* proven once the handshake is done */
	uint8_t secret[32];       /* ephemeral, then of the handshake */
	uint8_t ephemeral[32];    /* own public half */
	uint8_t transcript[32];   /* what HANDSHAKE_SIGN asks to be signed */
	uint8_t box[32];          /* key of the box that awaits our signature */
};

/* The traffic keys, from this side's point of view. */
struct session_keys {
	uint8_t send[32];
	uint8_t receive[32];
};

/* `ephemeral_secret` is 32 random bytes, used once. `pinned` is NULL for the responder. */
void handshake_init(struct handshake *handshake, enum handshake_role role,
	const struct public_key *self, const struct public_key *pinned, const char *peer_name,
	const uint8_t ephemeral_secret[static 32]);
void handshake_release(struct handshake *handshake); /* zeroes */
/* The initiator's first message, appended to out as a record. */
void handshake_start(struct handshake *handshake, struct buf *out);
/* One message of the peer; an answer is appended to out as a record. An enum handshake_step, or
 * ERR_INVALID (does not parse), ERR_UNSUPPORTED (version), ERR_AUTH (does not prove its key, or
 * is not the pinned one). With ERR_UNSUPPORTED `out` may hold a last answer to send. */
int handshake_receive(
	struct handshake *handshake, struct bytes message, struct buf *out, struct err *err);
/* The signature over `transcript`, in this role's context. Returns the next step. */
enum handshake_step handshake_signed(
	struct handshake *handshake, const struct signature *signature, struct buf *out);
/* Only when done. */
void handshake_keys(const struct handshake *handshake, struct session_keys *ret);
