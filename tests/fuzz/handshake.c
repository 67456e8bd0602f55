/* The handshake of a link, from both ends.
 *
 * Input: 0 | records of an initiator, 1 | records of a responder: nobody who lacks the keys gets
 * through. 2 | a liar or none | three changes: an exchange comes to its end when, and only when,
 * nobody lied and no message was changed on the way; both then have the same keys. */
#include "common/link/handshake.h"
#include "common/link/wire.h"
#include "tests/fuzz/fuzz.h"

/* Nobody: the wrong key, in whatever place. */
static struct signing_key *host, *user, *nobody;

static enum liar {
	LIAR_NONE,
	LIAR_OTHER_HOST, /* a host that is not the pinned one */
	LIAR_HOST,       /* does not hold the key it shows */
	LIAR_USER,       /* likewise */
	LIAR_ROLE,       /* signatures made for the other role */
	LIARS
} liar;

static const struct {
	struct signing_key **key;
	enum key_context context;
} ends[] = {
	[HANDSHAKE_INITIATOR] = {&user, KEY_CONTEXT_LINK_INITIATOR},
	[HANDSHAKE_RESPONDER] = {&host, KEY_CONTEXT_LINK_RESPONDER},
};

static void make_keys(void)
{
	uint8_t seed[32] = {1};
	if (host)
		return;
	host = signing_key_from_seed(seed);
	seed[0] = 2;
	user = signing_key_from_seed(seed);
	seed[0] = 5;
	nobody = signing_key_from_seed(seed);
}

static void begin(struct handshake *handshake, enum handshake_role role)
{
	uint8_t ephemeral[32];
	randombytes_buf(ephemeral, sizeof(ephemeral));
	const struct public_key *pinned =
		signing_key_public(liar == LIAR_OTHER_HOST ? nobody : host);
	handshake_init(handshake, role, signing_key_public(*ends[role].key),
		role == HANDSHAKE_INITIATOR ? pinned : NULL, "the peer", ephemeral);
}

static enum handshake_step sign(struct handshake *handshake, struct buf *out)
{
	enum handshake_role role = handshake->role;
	enum handshake_role other =
		role == HANDSHAKE_INITIATOR ? HANDSHAKE_RESPONDER : HANDSHAKE_INITIATOR;
	bool lies = liar == (role == HANDSHAKE_RESPONDER ? LIAR_HOST : LIAR_USER);
	struct signature signature = signing_key_sign(lies ? nobody : *ends[role].key,
		ends[liar == LIAR_ROLE ? other : role].context,
		BYTES(handshake->transcript, sizeof(handshake->transcript)));
	return handshake_signed(handshake, &signature, out);
}

static void strangers(struct bytes in, enum handshake_role role)
{
	struct handshake handshake;
	struct bytes body;
	AUTO(buf) struct buf out = {0};
	begin(&handshake, role);
	if (role == HANDSHAKE_INITIATOR)
		handshake_start(&handshake, &out);
	while (record_next(in, HANDSHAKE_MESSAGE_MAX, &body, NULL) == RECORD_WHOLE) {
		fuzz_take(&in, RECORD_PREFIX + body.len);
		int step = handshake_receive(&handshake, body, &out, NULL);
		MUST(step != HANDSHAKE_DONE);
		/* Only a responder answers before the peer has proven anything. */
		MUST(step != HANDSHAKE_SIGN || role == HANDSHAKE_RESPONDER);
		if (step < 0)
			break;
		if (step == HANDSHAKE_SIGN)
			sign(&handshake, &out);
	}
	handshake_release(&handshake);
}

/* The record in `message` reaches `at`, changed or not; its answer replaces it. */
static int deliver(struct bytes *in, struct handshake *at, struct buf *message, bool *changed)
{
	AUTO(buf) struct buf body = {0};
	*changed |= fuzz_change(
		in, BYTES(message->data + RECORD_PREFIX, message->len - RECORD_PREFIX), &body);
	buf_clear(message);
	struct err err = ERR_INIT;
	int step = handshake_receive(at, buf_bytes(&body), message, &err);
	MUST(step >= 0 || err.code != ERR_NONE);
	MUST(step >= 0 || *changed);
	if (step == HANDSHAKE_SIGN)
		step = (int)sign(at, message);
	return step;
}

static void exchange(struct bytes in)
{
	struct handshake i, r;
	struct session_keys ours, theirs;
	AUTO(buf) struct buf message = {0};
	liar = (enum liar)(fuzz_u8(&in) % LIARS);
	bool changed = liar != LIAR_NONE;
	begin(&i, HANDSHAKE_INITIATOR);
	begin(&r, HANDSHAKE_RESPONDER);
	handshake_start(&i, &message);
	if (deliver(&in, &r, &message, &changed) == HANDSHAKE_WAIT &&
		deliver(&in, &i, &message, &changed) == HANDSHAKE_DONE) {
		MUST(!changed || liar == LIAR_USER);
		MUST(public_key_equal(&i.peer, signing_key_public(host)));
		bool done = deliver(&in, &r, &message, &changed) == HANDSHAKE_DONE;
		MUST(done == !changed);
		handshake_keys(&i, &ours);
		if (done) {
			handshake_keys(&r, &theirs);
			MUST(public_key_equal(&r.peer, signing_key_public(user)));
			MUST(memcmp(ours.send, theirs.receive, sizeof(ours.send)) == 0);
			MUST(memcmp(ours.receive, theirs.send, sizeof(ours.send)) == 0);
			MUST(memcmp(ours.receive, ours.send, sizeof(ours.send)) != 0);
		}
	}
	handshake_release(&i);
	handshake_release(&r);
}

void fuzz_one(struct bytes in)
{
	make_keys();
	liar = LIAR_NONE;
	uint8_t mode = fuzz_u8(&in) % 3;
	if (mode == 2)
		exchange(in);
	else
		strangers(in, mode == 0 ? HANDSHAKE_RESPONDER : HANDSHAKE_INITIATOR);
}

void fuzz_seeds(void)
{
	make_keys();
	for (uint8_t who = LIAR_NONE; who < LIARS; who++) {
		AUTO_FREE char *name = xasprintf("liar-%u", who);
		uint8_t exchange_of[] = {2, who, 0, 0, 0};
		fuzz_seed(name, BYTES(exchange_of, sizeof(exchange_of)));
	}
	static const uint8_t flipped[] = {2, 0, 0, 1, 40, 0, 1, 0};
	fuzz_seed("flipped", BYTES(flipped, sizeof(flipped)));
	struct handshake i, r;
	AUTO(buf) struct buf hello = {0}, reply = {0}, seed = {0};
	begin(&i, HANDSHAKE_INITIATOR);
	begin(&r, HANDSHAKE_RESPONDER);

	handshake_start(&i, &hello);
	MUST(handshake_receive(&r, BYTES(hello.data + RECORD_PREFIX, hello.len - RECORD_PREFIX),
		     &reply, NULL) == HANDSHAKE_SIGN);
	sign(&r, &reply);
	buf_append(&seed, "\0", 1);
	buf_append(&seed, hello.data, hello.len);
	buf_append(&seed, reply.data, reply.len);
	fuzz_seed("hello", buf_bytes(&seed));
	buf_clear(&seed);
	buf_append(&seed, "\1", 1);
	buf_append(&seed, reply.data, reply.len);
	fuzz_seed("reply", buf_bytes(&seed));
}
