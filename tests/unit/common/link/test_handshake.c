/* What a handshake must refuse. That it works, byte for byte, is in test_vectors.c. */
#include "common/base/mem.h"
#include "common/link/handshake.h"
#include "common/link/wire.h"

#include <setjmp.h>

#include <cmocka.h>

struct pair {
	struct signing_key *host, *user, *pinned;
	struct handshake i, r;
};

static void open_pair(struct pair *pair)
{
	uint8_t seed[32] = {1};
	assert_true(sodium_init() >= 0);
	pair->host = signing_key_from_seed(seed);
	seed[0] = 2;
	pair->user = signing_key_from_seed(seed);
	seed[0] = 3;
	handshake_init(&pair->i, HANDSHAKE_INITIATOR, signing_key_public(pair->user),
		signing_key_public(pair->pinned ? pair->pinned : pair->host), "10.0.0.1:7443",
		seed);
	seed[0] = 4;
	handshake_init(&pair->r, HANDSHAKE_RESPONDER, signing_key_public(pair->host), NULL,
		"the peer", seed);
}

static void close_pair(struct pair *pair)
{
	handshake_release(&pair->i);
	handshake_release(&pair->r);
	signing_key_free(pair->host);
	signing_key_free(pair->user);
}

/* Deliver the record in `from` with bit `flip` flipped (-1: none); the answer replaces `to`. */
static int deliver(
	struct handshake *at, const struct buf *from, long flip, struct buf *to, struct err *err)
{
	AUTO(buf) struct buf copy = {0};
	buf_append(&copy, from->data + RECORD_PREFIX, from->len - RECORD_PREFIX);
	if (flip >= 0)
		copy.data[flip / 8] ^= (uint8_t)(1 << flip % 8);
	buf_clear(to);
	return handshake_receive(at, buf_bytes(&copy), to, err);
}

static void sign(struct handshake *at, const struct signing_key *key, enum key_context context,
	struct buf *out)
{
	struct signature signature =
		signing_key_sign(key, context, BYTES(at->transcript, sizeof(at->transcript)));
	handshake_signed(at, &signature, out);
}

/* The whole exchange with one bit of message `which` (1, 2, 3) flipped: does it complete? */
static bool completes(int which, long flip)
{
	struct pair pair = {0};
	struct err err = ERR_INIT;
	AUTO(buf) struct buf a = {0}, b = {0};
	open_pair(&pair);
	handshake_start(&pair.i, &a);
	bool done = deliver(&pair.r, &a, which == 1 ? flip : -1, &b, &err) == HANDSHAKE_SIGN;
	if (done) {
		sign(&pair.r, pair.host, KEY_CONTEXT_LINK_RESPONDER, &b);
		done = deliver(&pair.i, &b, which == 2 ? flip : -1, &a, &err) == HANDSHAKE_SIGN;
	}
	if (done) {
		sign(&pair.i, pair.user, KEY_CONTEXT_LINK_INITIATOR, &a);
		done = deliver(&pair.r, &a, which == 3 ? flip : -1, &b, &err) == HANDSHAKE_DONE;
	}
	close_pair(&pair);
	return done;
}

static void no_bit_can_be_changed(void **state)
{
	(void)state;
	static const long bits[] = {0, 33 * 8, 145 * 8, 112 * 8};
	assert_true(completes(0, -1));
	for (int which = 1; which <= 3; which++)
		for (long bit = 0; bit < bits[which]; bit += 5)
			if (completes(which, bit))
				fail_msg("message %d, bit %ld", which, bit);
}

static void another_host_learns_nothing(void **state)
{
	(void)state;
	uint8_t seed[32] = {9};
	struct pair pair = {.pinned = signing_key_from_seed(seed)};
	struct err err = ERR_INIT;
	AUTO(buf) struct buf a = {0}, b = {0};
	open_pair(&pair);
	handshake_start(&pair.i, &a);
	assert_int_equal(deliver(&pair.r, &a, -1, &b, &err), HANDSHAKE_SIGN);
	sign(&pair.r, pair.host, KEY_CONTEXT_LINK_RESPONDER, &b);
	assert_true(deliver(&pair.i, &b, -1, &a, &err) < 0);
	assert_int_equal(err.code, ERR_AUTH);
	char found[KEY_TEXT_SIZE], expected[KEY_TEXT_SIZE];
	AUTO_FREE char *message = xasprintf("host key of 10.0.0.1:7443 is %s, expected %s",
		public_key_text(signing_key_public(pair.host), found),
		public_key_text(signing_key_public(pair.pinned), expected));
	assert_string_equal(err.message, message);
	assert_true(err.hint[0]);
	assert_int_equal(a.len, 0);
	signing_key_free(pair.pinned);
	close_pair(&pair);
}

/* A signature made for the other role, or by another key, proves nothing. */
static void a_proof_is_of_its_role_and_key(void **state)
{
	(void)state;
	for (int wrong_key = 0; wrong_key < 2; wrong_key++) {
		struct pair pair = {0};
		struct err err = ERR_INIT;
		AUTO(buf) struct buf a = {0}, b = {0};
		open_pair(&pair);
		handshake_start(&pair.i, &a);
		deliver(&pair.r, &a, -1, &b, &err);
		sign(&pair.r, wrong_key ? pair.user : pair.host,
			wrong_key ? KEY_CONTEXT_LINK_RESPONDER : KEY_CONTEXT_LINK_INITIATOR, &b);
		assert_true(deliver(&pair.i, &b, -1, &a, &err) < 0);
		assert_int_equal(err.code, ERR_AUTH);
		close_pair(&pair);
	}
}

static void a_weak_key_is_refused(void **state)
{
	(void)state;
	struct pair pair = {0};
	struct err err = ERR_INIT;
	AUTO(buf) struct buf out = {0};
	uint8_t hello[33] = {HANDSHAKE_VERSION}; /* the point of order 4 */
	open_pair(&pair);
	assert_true(handshake_receive(&pair.r, BYTES(hello, sizeof(hello)), &out, &err) < 0);
	assert_int_equal(err.code, ERR_AUTH);
	assert_int_equal(out.len, 0);
	close_pair(&pair);
}

static void another_version_is_told_ours(void **state)
{
	(void)state;
	struct pair pair = {0};
	struct err err = ERR_INIT;
	AUTO(buf) struct buf out = {0}, none = {0};
	uint8_t hello[33] = {HANDSHAKE_VERSION + 1};
	open_pair(&pair);
	assert_true(handshake_receive(&pair.r, BYTES(hello, sizeof(hello)), &out, &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_int_equal(out.len, RECORD_PREFIX + 1);
	out.data[RECORD_PREFIX] = 7;
	assert_true(deliver(&pair.i, &out, -1, &none, &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_string_equal(err.message, "10.0.0.1:7443 speaks link version 7, this program 1");
	close_pair(&pair);
}

static void odd_sizes_and_turns_are_refused(void **state)
{
	(void)state;
	static const uint8_t bytes[HANDSHAKE_MESSAGE_MAX] = {HANDSHAKE_VERSION};
	for (size_t len = 1; len <= HANDSHAKE_MESSAGE_MAX; len++) {
		struct pair pair = {0};
		struct err err = ERR_INIT;
		AUTO(buf) struct buf out = {0};
		open_pair(&pair);
		assert_true(handshake_receive(&pair.i, BYTES(bytes, len), &out, &err) < 0);
		assert_true(handshake_receive(&pair.r, BYTES(bytes, len), &out, &err) < 0);
		assert_int_equal(out.len, 0);
		close_pair(&pair);
	}
	struct pair pair = {0};
	struct err err = ERR_INIT;
	AUTO(buf) struct buf a = {0}, b = {0};
	open_pair(&pair);
	handshake_start(&pair.i, &a);
	assert_int_equal(deliver(&pair.r, &a, -1, &b, &err), HANDSHAKE_SIGN);
	assert_true(deliver(&pair.r, &a, -1, &b, &err) < 0); /* not while it signs */
	assert_int_equal(err.code, ERR_INVALID);
	close_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_bit_can_be_changed),
		cmocka_unit_test(another_host_learns_nothing),
		cmocka_unit_test(a_proof_is_of_its_role_and_key),
		cmocka_unit_test(a_weak_key_is_refused),
		cmocka_unit_test(another_version_is_told_ours),
		cmocka_unit_test(odd_sizes_and_turns_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
