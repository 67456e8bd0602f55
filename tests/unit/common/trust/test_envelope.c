#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/trust/envelope.h"

#include <setjmp.h>

#include <cmocka.h>

#define ACTION(name) FAIRLEAD__V1__ACTION__ACTION_##name

enum { NOW = 1736346615 };
static const uint64_t now_ms = NOW * 1000ull;

/* One host, one signer `ci` who may do all in shop/production. */
static struct world {
	struct signing_key *signer, *stranger, *host;
	struct policy policy;
	struct policy_signer signers[1];
	char *apps[2], *environments[2];
} world;

static int make_world(void **state)
{
	(void)state;
	world.signer = signing_key_new();
	world.stranger = signing_key_new();
	world.host = signing_key_new();
	world.apps[0] = pb_str("shop");
	world.environments[0] = pb_str("production");
	world.signers[0] = (struct policy_signer){
		.name = pb_str("ci"),
		.key = *signing_key_public(world.signer),
		.roles = POLICY_ROLE_OBSERVE | POLICY_ROLE_DEPLOY | POLICY_ROLE_ROLLBACK,
		.apps = world.apps,
		.environments = world.environments,
	};
	world.policy = (struct policy){world.signers, 1};
	return 0;
}

static int free_world(void **state)
{
	(void)state;
	signing_key_free(world.signer);
	signing_key_free(world.stranger);
	signing_key_free(world.host);
	return 0;
}

/* A good command of any action, on the caller's stack. */
struct draft {
	Fairlead__V1__Command command;
	Fairlead__V1__Prepare prepare;
	Fairlead__V1__Rollback rollback;
	Fairlead__V1__Abort abort;
	Fairlead__V1__Watch watch;
	Fairlead__V1__Logs logs;
	Fairlead__V1__ManifestRequest manifest;
	Fairlead__V1__Resolve resolve;
	Fairlead__V1__Pin pin;
	uint8_t id[16];
};

static Fairlead__V1__Command *draft(struct draft *d, Fairlead__V1__Action action)
{
	*d = (struct draft){
		.command = FAIRLEAD__V1__COMMAND__INIT,
		.prepare = FAIRLEAD__V1__PREPARE__INIT,
		.rollback = FAIRLEAD__V1__ROLLBACK__INIT,
		.abort = FAIRLEAD__V1__ABORT__INIT,
		.watch = FAIRLEAD__V1__WATCH__INIT,
		.logs = FAIRLEAD__V1__LOGS__INIT,
		.manifest = FAIRLEAD__V1__MANIFEST_REQUEST__INIT,
		.resolve = FAIRLEAD__V1__RESOLVE__INIT,
		.pin = FAIRLEAD__V1__PIN__INIT,
		.id = "0123456789abcde",
	};
	Fairlead__V1__Command *c = &d->command;
	c->action = action;
	c->host_key = pb_borrow(signing_key_public(world.host)->bytes, KEY_PUBLIC_SIZE);
	c->app = pb_str("shop");
	c->environment = pb_str("production");
	if (envelope_action_changes(action)) {
		c->deployment_id = pb_borrow(d->id, sizeof(d->id));
		c->sequence = 7;
	}
	c->prepare = action == ACTION(PREPARE) ? &d->prepare : NULL;
	c->rollback = action == ACTION(ROLLBACK) ? &d->rollback : NULL;
	c->abort = action == ACTION(ABORT) ? &d->abort : NULL;
	c->watch = action == ACTION(WATCH) ? &d->watch : NULL;
	c->logs = action == ACTION(LOGS) ? &d->logs : NULL;
	c->manifest = action == ACTION(MANIFEST) ? &d->manifest : NULL;
	c->resolve = action == ACTION(RESOLVE) ? &d->resolve : NULL;
	c->pin = action == ACTION(PIN) ? &d->pin : NULL;
	return c;
}

static enum err_code verify_at(Fairlead__V1__Action action, struct bytes packed, uint64_t at_ms)
{
	AUTO(envelope) struct envelope envelope = {0};
	struct err err = ERR_INIT;
	int rc = envelope_verify(&world.policy, signing_key_public(world.host), action, packed,
		at_ms, &envelope, &err);
	assert_int_equal(rc, err.code == ERR_NONE ? 0 : -1);
	assert_int_equal(envelope.command != NULL, rc == 0);
	return err.code;
}

static enum err_code verify(Fairlead__V1__Action action, struct bytes packed)
{
	return verify_at(action, packed, now_ms);
}

static enum err_code sign_and_verify(Fairlead__V1__Command *command, Fairlead__V1__Action action)
{
	AUTO(buf) struct buf packed = {0};
	envelope_sign(world.signer, command, now_ms, &packed);
	return verify(action, buf_bytes(&packed));
}

/* Wrap payload bytes as they are, with a true signature of `context`. */
static void sign_payload(struct bytes payload, enum key_context context, struct buf *out)
{
	struct signature signature = signing_key_sign(world.signer, context, payload);
	struct key_id id = public_key_id(signing_key_public(world.signer));
	Fairlead__V1__SignedCommand message = FAIRLEAD__V1__SIGNED_COMMAND__INIT;
	message.key_id = pb_borrow(id.bytes, sizeof(id.bytes));
	message.payload = pb_borrow(payload.data, payload.len);
	message.signature = pb_borrow(signature.bytes, sizeof(signature.bytes));
	PB_PACK(&message, out);
}

static enum err_code verify_payload(const struct buf *payload)
{
	AUTO(buf) struct buf packed = {0};
	sign_payload(buf_bytes(payload), KEY_CONTEXT_COMMAND, &packed);
	return verify(ACTION(ACTIVATE), buf_bytes(&packed));
}

/* A valid Activate payload, with its times. */
static void activate_payload(struct buf *out)
{
	struct draft d;
	Fairlead__V1__Command *command = draft(&d, ACTION(ACTIVATE));
	command->not_before_unix_ms = now_ms;
	command->expires_unix_ms = now_ms + 1000;
	PB_PACK(command, out);
}

static void each_action_is_accepted_for_itself_only(void **state)
{
	(void)state;
	enum { BEYOND = 32 }; /* numbers that are none, and those between that are none yet */
	for (int signed_as = 0; signed_as < BEYOND; signed_as++) {
		for (int method = 0; method < BEYOND; method++) {
			struct draft d;
			bool good = signed_as == method && method > 0 &&
				    protobuf_c_enum_descriptor_get_value(
					    &fairlead__v1__action__descriptor, method);
			assert_int_equal(sign_and_verify(draft(&d, (Fairlead__V1__Action)signed_as),
						 (Fairlead__V1__Action)method),
				good ? ERR_NONE : ERR_INVALID);
		}
	}
}

static void an_envelope_says_who_and_what(void **state)
{
	(void)state;
	struct draft d;
	Fairlead__V1__Command *command = draft(&d, ACTION(PREPARE));
	d.prepare.commit_to = pb_str("abc1234");
	AUTO(buf) struct buf packed = {0}, payload = {0};
	envelope_sign(world.signer, command, now_ms, &packed);
	assert_int_equal(command->not_before_unix_ms, now_ms);
	assert_int_equal(command->expires_unix_ms, now_ms + ENVELOPE_LIFETIME_MS);
	AUTO(envelope) struct envelope envelope = {0};
	assert_int_equal(envelope_verify(&world.policy, signing_key_public(world.host),
				 ACTION(PREPARE), buf_bytes(&packed), now_ms, &envelope, NULL),
		0);
	assert_ptr_equal(envelope.signer, &world.signers[0]);
	struct key_id id = public_key_id(signing_key_public(world.signer));
	assert_memory_equal(envelope.key_id.bytes, id.bytes, sizeof(id.bytes));
	assert_string_equal(envelope.command->prepare->commit_to, "abc1234");
	PB_PACK(command, &payload);
	struct digest digest = digest_of(payload.data, payload.len);
	assert_memory_equal(envelope.command_digest, digest.bytes, DIGEST_SIZE);
}

static void every_flipped_bit_is_refused(void **state)
{
	(void)state;
	struct draft d;
	AUTO(buf) struct buf packed = {0};
	envelope_sign(world.signer, draft(&d, ACTION(PREPARE)), now_ms, &packed);
	for (size_t bit = 0; bit < 8 * packed.len; bit++) {
		packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(verify(ACTION(PREPARE), buf_bytes(&packed)), ERR_NONE);
		packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(verify(ACTION(PREPARE), buf_bytes(&packed)), ERR_NONE);
}

static void nothing_may_be_cut_or_appended(void **state)
{
	(void)state;
	struct draft d;
	AUTO(buf) struct buf packed = {0};
	envelope_sign(world.signer, draft(&d, ACTION(ACTIVATE)), now_ms, &packed);
	for (size_t len = 0; len < packed.len; len++)
		assert_int_not_equal(verify(ACTION(ACTIVATE), BYTES(packed.data, len)), ERR_NONE);
	static const struct {
		const char *bytes;
		size_t len;
	} tails[] = {
		{"\0", 1}, {"\x0a\x00", 2}, /* a second, empty key_id */
		{"\x22\x01x", 3},           /* field 4: unknown */
		{"\xf8\x7f\x01", 3},        /* a large unknown field */
		{"\x1a\x00", 2},            /* a second, empty signature */
	};
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		size_t len = packed.len;
		buf_append(&packed, tails[i].bytes, tails[i].len);
		assert_int_equal(verify(ACTION(ACTIVATE), buf_bytes(&packed)), ERR_INVALID);
		packed.len = len;
	}
	/* The true signature once more, field and all. */
	AUTO(buf) struct buf twice = {0};
	buf_append(&twice, packed.data, packed.len);
	buf_append(
		&twice, packed.data + packed.len - KEY_SIGNATURE_SIZE - 2, KEY_SIGNATURE_SIZE + 2);
	assert_int_equal(verify(ACTION(ACTIVATE), buf_bytes(&twice)), ERR_INVALID);
}

/* Signed by a true key, and still refused: two readers must not read two things in it. */
static void a_payload_has_one_spelling(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
	} tails[] = {
		{"\x08\x03", 2},        /* action again, the same value */
		{"\x08\x02", 2},        /* action again, another value */
		{"\x30\x00", 2},        /* sequence, as its default */
		{"\x30\x87\x00", 3},    /* sequence again, a longer varint */
		{"\x22\x07staging", 9}, /* environment again */
		{"\xfa\x7f\x01x", 4},   /* unknown field */
	};
	AUTO(buf) struct buf payload = {0};
	activate_payload(&payload);
	assert_int_equal(verify_payload(&payload), ERR_NONE);
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		size_t len = payload.len;
		buf_append(&payload, tails[i].bytes, tails[i].len);
		assert_int_equal(verify_payload(&payload), ERR_INVALID);
		payload.len = len;
	}
}

static void a_signature_for_another_purpose_is_none(void **state)
{
	(void)state;
	AUTO(buf) struct buf payload = {0};
	activate_payload(&payload);
	for (int context = 0; context < KEY_CONTEXT_COUNT; context++) {
		AUTO(buf) struct buf packed = {0};
		sign_payload(buf_bytes(&payload), (enum key_context)context, &packed);
		assert_int_equal(verify(ACTION(ACTIVATE), buf_bytes(&packed)),
			context == KEY_CONTEXT_COMMAND ? ERR_NONE : ERR_AUTH);
	}
}

static void fields_of_a_wrong_size_are_invalid(void **state)
{
	(void)state;
	AUTO(buf) struct buf payload = {0}, packed = {0};
	activate_payload(&payload);
	sign_payload(buf_bytes(&payload), KEY_CONTEXT_COMMAND, &packed);
	Fairlead__V1__SignedCommand *message = NULL;
	assert_int_equal(
		PB_UNPACK(fairlead__v1__signed_command, buf_bytes(&packed), &message, NULL), 0);
	ProtobufCBinaryData *fields[] = {&message->key_id, &message->payload, &message->signature};
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		ProtobufCBinaryData kept = *fields[i];
		fields[i]->len = i == 1 ? 0 : kept.len - 1;
		struct envelope envelope = {0};
		struct err err = ERR_INIT;
		assert_int_equal(
			envelope_verify_message(&world.policy, signing_key_public(world.host),
				ACTION(ACTIVATE), message, now_ms, &envelope, &err),
			-1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_null(envelope.command);
		*fields[i] = kept;
	}
	pb_free(&message->base);
}

static void what_a_command_says_is_checked(void **state)
{
	(void)state;
	struct draft d;
	Fairlead__V1__Command *c = draft(&d, ACTION(ACTIVATE));
	const struct public_key *stranger = signing_key_public(world.stranger);
	c->host_key = pb_borrow(stranger->bytes, KEY_PUBLIC_SIZE);
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_AUTH);
	c = draft(&d, ACTION(ACTIVATE));
	c->host_key.len--;
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_INVALID);
	c = draft(&d, ACTION(ACTIVATE));
	c->abort = &d.abort;
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_INVALID);
	c = draft(&d, ACTION(PREPARE));
	c->prepare = NULL;
	assert_int_equal(sign_and_verify(c, ACTION(PREPARE)), ERR_INVALID);
	c = draft(&d, ACTION(PREPARE));
	c->prepare = NULL;
	c->rollback = &d.rollback;
	assert_int_equal(sign_and_verify(c, ACTION(PREPARE)), ERR_INVALID);
	c = draft(&d, ACTION(ACTIVATE));
	c->deployment_id.len = 15;
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_INVALID);
	c = draft(&d, ACTION(ACTIVATE));
	c->sequence = 0;
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_INVALID);
	c = draft(&d, ACTION(STATUS));
	c->deployment_id = pb_borrow(d.id, sizeof(d.id));
	assert_int_equal(sign_and_verify(c, ACTION(STATUS)), ERR_INVALID);

	static const char *const names[] = {"", ".", "..", "a/b", "-x", "a b", "a\n"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		c = draft(&d, ACTION(ACTIVATE));
		c->app = pb_str(names[i]);
		assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_INVALID);
		c = draft(&d, ACTION(ACTIVATE));
		c->environment = pb_str(names[i]);
		assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_INVALID);
	}
}

static void time_narrows_to_the_skew(void **state)
{
	(void)state;
	struct draft d;
	AUTO(buf) struct buf packed = {0};
	Fairlead__V1__Command *c = draft(&d, ACTION(ACTIVATE));
	c->not_before_unix_ms = now_ms;
	c->expires_unix_ms = now_ms + 1000;
	envelope_sign(world.signer, c, now_ms, &packed);
	const struct {
		uint64_t at_ms;
		enum err_code code;
	} cases[] = {
		{now_ms, ERR_NONE},
		{now_ms - ENVELOPE_SKEW_MS, ERR_NONE},
		{now_ms - ENVELOPE_SKEW_MS - 1, ERR_AUTH},
		{now_ms + 1000 + ENVELOPE_SKEW_MS, ERR_NONE},
		{now_ms + 1000 + ENVELOPE_SKEW_MS + 1, ERR_AUTH},
		{0, ERR_AUTH},
		{UINT64_MAX, ERR_AUTH},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(verify_at(ACTION(ACTIVATE), buf_bytes(&packed), cases[i].at_ms),
			cases[i].code);

	c = draft(&d, ACTION(ACTIVATE));
	c->not_before_unix_ms = now_ms;
	c->expires_unix_ms = now_ms - 1;
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_INVALID);
	/* Sums would wrap here. */
	c = draft(&d, ACTION(ACTIVATE));
	c->not_before_unix_ms = UINT64_MAX;
	c->expires_unix_ms = UINT64_MAX;
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_AUTH);
	c->not_before_unix_ms = 1;
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_NONE);
}

static void who_may_not_is_refused(void **state)
{
	(void)state;
	struct draft d;
	AUTO(buf) struct buf packed = {0};
	envelope_sign(world.stranger, draft(&d, ACTION(ACTIVATE)), now_ms, &packed);
	assert_int_equal(verify(ACTION(ACTIVATE), buf_bytes(&packed)), ERR_AUTH);

	Fairlead__V1__Command *c = draft(&d, ACTION(ACTIVATE));
	c->app = pb_str("blog");
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_DENIED);
	c = draft(&d, ACTION(ACTIVATE));
	c->environment = pb_str("staging");
	assert_int_equal(sign_and_verify(c, ACTION(ACTIVATE)), ERR_DENIED);

	unsigned roles = world.signers[0].roles;
	world.signers[0].roles = POLICY_ROLE_OBSERVE;
	assert_int_equal(
		sign_and_verify(draft(&d, ACTION(ACTIVATE)), ACTION(ACTIVATE)), ERR_DENIED);
	assert_int_equal(sign_and_verify(draft(&d, ACTION(STATUS)), ACTION(STATUS)), ERR_NONE);
	world.signers[0].roles = roles;

	world.signers[0].expires_unix_ms = now_ms - 1;
	assert_int_equal(sign_and_verify(draft(&d, ACTION(ACTIVATE)), ACTION(ACTIVATE)), ERR_AUTH);
	world.signers[0].expires_unix_ms = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_action_is_accepted_for_itself_only),
		cmocka_unit_test(an_envelope_says_who_and_what),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(nothing_may_be_cut_or_appended),
		cmocka_unit_test(a_payload_has_one_spelling),
		cmocka_unit_test(a_signature_for_another_purpose_is_none),
		cmocka_unit_test(fields_of_a_wrong_size_are_invalid),
		cmocka_unit_test(what_a_command_says_is_checked),
		cmocka_unit_test(time_narrows_to_the_skew),
		cmocka_unit_test(who_may_not_is_refused),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, make_world, free_world);
}
