#include "common/link/handshake.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/link/wire.h"

#include <assert.h>

enum {
	HELLO_SIZE = 1 + 32,
	PROOF_SIZE = KEY_PUBLIC_SIZE + KEY_SIGNATURE_SIZE,
	BOX_SIZE = PROOF_SIZE + crypto_aead_chacha20poly1305_ietf_ABYTES,
	REPLY_SIZE = 1 + 32 + BOX_SIZE,
};
static_assert((int)REPLY_SIZE <= (int)HANDSHAKE_MESSAGE_MAX, "handshake message limit");

static const char transcript_label[] = "fairlead/link/v1 transcript";
static const char identity_label[] = "fairlead/link/v1 identity";

/* What a key derived from the handshake's secret is for; who uses it to seal. */
static const char *const box_labels[] = {
	[HANDSHAKE_INITIATOR] = "fairlead/link/v1 initiator proof",
	[HANDSHAKE_RESPONDER] = "fairlead/link/v1 responder proof",
};
static const char *const traffic_labels[] = {
	[HANDSHAKE_INITIATOR] = "fairlead/link/v1 initiator traffic",
	[HANDSHAKE_RESPONDER] = "fairlead/link/v1 responder traffic",
};
static const enum key_context contexts[] = {
	[HANDSHAKE_INITIATOR] = KEY_CONTEXT_LINK_INITIATOR,
	[HANDSHAKE_RESPONDER] = KEY_CONTEXT_LINK_RESPONDER,
};

static enum handshake_role other(enum handshake_role role)
{
	return role == HANDSHAKE_INITIATOR ? HANDSHAKE_RESPONDER : HANDSHAKE_INITIATOR;
}

void handshake_init(struct handshake *handshake, enum handshake_role role,
	const struct public_key *self, const struct public_key *pinned, const char *peer_name,
	const uint8_t ephemeral_secret[static 32])
{
	*handshake = (struct handshake){
		.role = role,
		.state = role == HANDSHAKE_INITIATOR ? HANDSHAKE_EXPECTS_REPLY
						     : HANDSHAKE_EXPECTS_HELLO,
		.peer_name = peer_name,
		.self = *self,
	};
	if (pinned)
		handshake->pinned = *pinned;
	memcpy(handshake->secret, ephemeral_secret, 32);
	crypto_scalarmult_base(handshake->ephemeral, handshake->secret);
}

void handshake_release(struct handshake *handshake)
{
	sodium_memzero(handshake, sizeof(*handshake));
}

void handshake_start(struct handshake *handshake, struct buf *out)
{
	uint8_t hello[HELLO_SIZE] = {HANDSHAKE_VERSION};
	memcpy(hello + 1, handshake->ephemeral, 32);
	record_append(out, BYTES(hello, sizeof(hello)));
}

/* BLAKE2b-256 keyed with the handshake's secret, over label || transcript. */
static void derive(const struct handshake *handshake, const char *label, uint8_t key[static 32])
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, handshake->secret, sizeof(handshake->secret), 32);
	crypto_generichash_update(&state, (const uint8_t *)label, strlen(label));
	crypto_generichash_update(&state, handshake->transcript, sizeof(handshake->transcript));
	crypto_generichash_final(&state, key, 32);
	sodium_memzero(&state, sizeof(state));
}

/* transcript = BLAKE2b-256(label \0 || a || b). */
static void absorb(struct handshake *handshake, const char *label, struct bytes a, struct bytes b)
{
	struct hasher hasher;
	hasher_init(&hasher);
	hasher_update(&hasher, label, strlen(label) + 1);
	hasher_update(&hasher, a.data, a.len);
	hasher_update(&hasher, b.data, b.len);
	struct digest digest = hasher_final(&hasher);
	memcpy(handshake->transcript, digest.bytes, sizeof(handshake->transcript));
}

static void absorb_identity(struct handshake *handshake, const struct public_key *key)
{
	uint8_t before[32];
	memcpy(before, handshake->transcript, sizeof(before));
	absorb(handshake, identity_label, BYTES(before, sizeof(before)),
		BYTES(key->bytes, sizeof(key->bytes)));
}

/* Both ephemerals are known: the transcript begins, and the X25519 secret replaces ours. A peer
 * key of small order would give a secret that everybody knows; libsodium reports it. */
static int agree(
	struct handshake *handshake, const uint8_t peer_ephemeral[static 32], struct err *err)
{
	uint8_t shared[32], hello[HELLO_SIZE] = {HANDSHAKE_VERSION};
	if (crypto_scalarmult(shared, handshake->secret, peer_ephemeral) != 0)
		return err_set(err, ERR_AUTH, "%s offers a weak key", handshake->peer_name);
	bool initiator = handshake->role == HANDSHAKE_INITIATOR;
	memcpy(hello + 1, initiator ? handshake->ephemeral : peer_ephemeral, 32);
	absorb(handshake, transcript_label, BYTES(hello, sizeof(hello)),
		BYTES(initiator ? peer_ephemeral : handshake->ephemeral, 32));
	crypto_generichash(handshake->secret, 32, handshake->transcript, 32, shared, 32);
	sodium_memzero(shared, sizeof(shared));
	return 0;
}

/* Each box key seals exactly one box, so its nonce may be zero; it depends on the transcript, so
 * that needs no additional data. */
static const uint8_t zero_nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

/* A proof opened, but not verified yet. */
struct proof {
	struct public_key key;
	struct signature signature;
};

static int open_box(
	const struct handshake *handshake, struct bytes box, struct proof *ret, struct err *err)
{
	uint8_t key[32], plain[PROOF_SIZE];
	derive(handshake, box_labels[other(handshake->role)], key);
	bool opened =
		box.len == BOX_SIZE && crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL,
					       box.data, box.len, NULL, 0, zero_nonce, key) == 0;
	sodium_memzero(key, sizeof(key));
	if (!opened)
		return err_set(err, ERR_AUTH, "the handshake with %s was altered on the way",
			handshake->peer_name);
	memcpy(ret->key.bytes, plain, KEY_PUBLIC_SIZE);
	memcpy(ret->signature.bytes, plain + KEY_PUBLIC_SIZE, KEY_SIGNATURE_SIZE);
	return 0;
}

/* The peer's identity enters the transcript, and its signature must be over that. */
static int accept_proof(struct handshake *handshake, struct bytes box, struct err *err)
{
	struct proof proof;
	if (open_box(handshake, box, &proof, err) < 0)
		return -1;
	absorb_identity(handshake, &proof.key);
	if (!public_key_verify(&proof.key, contexts[other(handshake->role)],
		    BYTES(handshake->transcript, sizeof(handshake->transcript)), &proof.signature))
		return err_set(
			err, ERR_AUTH, "%s does not hold the key it shows", handshake->peer_name);
	handshake->peer = proof.key;
	return 0;
}

/* Our turn to prove who we are: the box's key is of the transcript before our identity. */
static int ask_for_signature(struct handshake *handshake)
{
	derive(handshake, box_labels[handshake->role], handshake->box);
	absorb_identity(handshake, &handshake->self);
	handshake->state = HANDSHAKE_EXPECTS_SIGNATURE;
	return HANDSHAKE_SIGN;
}

static int receive_hello(
	struct handshake *handshake, struct bytes message, struct buf *out, struct err *err)
{
	if (message.data[0] != HANDSHAKE_VERSION) {
		record_append(out, BYTES(&(uint8_t){HANDSHAKE_VERSION}, 1));
		return err_set(err, ERR_UNSUPPORTED, "%s speaks link version %u, this program %d",
			handshake->peer_name, message.data[0], HANDSHAKE_VERSION);
	}
	if (message.len != HELLO_SIZE)
		return err_set(err, ERR_INVALID, "%s opens with %zu bytes", handshake->peer_name,
			message.len);
	if (agree(handshake, message.data + 1, err) < 0)
		return -1;
	return ask_for_signature(handshake);
}

static int not_pinned(const struct handshake *handshake, struct err *err)
{
	char found[KEY_TEXT_SIZE], expected[KEY_TEXT_SIZE];
	err_set(err, ERR_AUTH, "host key of %s is %s, expected %s", handshake->peer_name,
		public_key_text(&handshake->peer, found),
		public_key_text(&handshake->pinned, expected));
	return err_hint(err, "If this host was set up anew, check its key with `fairlead key show` "
			     "there and correct fleet.yaml; otherwise somebody else is answering.");
}

static int receive_reply(struct handshake *handshake, struct bytes message, struct err *err)
{
	if (message.data[0] != HANDSHAKE_VERSION) {
		err_set(err, ERR_UNSUPPORTED, "%s speaks link version %u, this program %d",
			handshake->peer_name, message.data[0], HANDSHAKE_VERSION);
		return err_hint(err, "Install the same version of Fairlead on both sides.");
	}
	if (message.len != REPLY_SIZE)
		return err_set(err, ERR_INVALID, "%s answers the handshake with %zu bytes",
			handshake->peer_name, message.len);
	if (agree(handshake, message.data + 1, err) < 0 ||
		accept_proof(handshake, BYTES(message.data + HELLO_SIZE, BOX_SIZE), err) < 0)
		return -1;
	if (!public_key_equal(&handshake->peer, &handshake->pinned))
		return not_pinned(handshake, err);
	return ask_for_signature(handshake);
}

static int receive_proof(struct handshake *handshake, struct bytes message, struct err *err)
{
	if (accept_proof(handshake, message, err) < 0)
		return -1;
	handshake->state = HANDSHAKE_FINISHED;
	return HANDSHAKE_DONE;
}

int handshake_receive(
	struct handshake *handshake, struct bytes message, struct buf *out, struct err *err)
{
	assert(message.len > 0);
	switch (handshake->state) {
	case HANDSHAKE_EXPECTS_HELLO:
		return receive_hello(handshake, message, out, err);
	case HANDSHAKE_EXPECTS_REPLY:
		return receive_reply(handshake, message, err);
	case HANDSHAKE_EXPECTS_PROOF:
		return receive_proof(handshake, message, err);
	case HANDSHAKE_EXPECTS_SIGNATURE:
	case HANDSHAKE_FINISHED:
		break;
	}
	return err_set(
		err, ERR_INVALID, "%s sends a handshake message out of turn", handshake->peer_name);
}

static void seal_proof(struct handshake *handshake, const struct signature *signature,
	uint8_t box[static BOX_SIZE])
{
	uint8_t plain[PROOF_SIZE];
	memcpy(plain, handshake->self.bytes, KEY_PUBLIC_SIZE);
	memcpy(plain + KEY_PUBLIC_SIZE, signature->bytes, KEY_SIGNATURE_SIZE);
	crypto_aead_chacha20poly1305_ietf_encrypt(
		box, NULL, plain, sizeof(plain), NULL, 0, NULL, zero_nonce, handshake->box);
	sodium_memzero(handshake->box, sizeof(handshake->box));
}

enum handshake_step handshake_signed(
	struct handshake *handshake, const struct signature *signature, struct buf *out)
{
	assert(handshake->state == HANDSHAKE_EXPECTS_SIGNATURE);
	uint8_t message[REPLY_SIZE] = {HANDSHAKE_VERSION};
	if (handshake->role == HANDSHAKE_INITIATOR) {
		seal_proof(handshake, signature, message);
		record_append(out, BYTES(message, BOX_SIZE));
		handshake->state = HANDSHAKE_FINISHED;
		return HANDSHAKE_DONE;
	}
	memcpy(message + 1, handshake->ephemeral, 32);
	seal_proof(handshake, signature, message + HELLO_SIZE);
	record_append(out, BYTES(message, sizeof(message)));
	handshake->state = HANDSHAKE_EXPECTS_PROOF;
	return HANDSHAKE_WAIT;
}

void handshake_keys(const struct handshake *handshake, struct session_keys *ret)
{
	assert(handshake->state == HANDSHAKE_FINISHED);
	derive(handshake, traffic_labels[handshake->role], ret->send);
	derive(handshake, traffic_labels[other(handshake->role)], ret->receive);
}
