/* Signed commands: nothing gets in that was not signed, for this host, by somebody who may.
 *
 * Input: the action asked for, then 0 | a packed SignedCommand, 1 | the signer | a payload that is
 * signed as it is, 2 | a change of an honest command: only the unchanged one is accepted. */
#include "common/trust/envelope.h"
#include "common/base/digest.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "tests/fuzz/fuzz.h"

#define ACTION(name) FAIRLEAD__V1__ACTION__ACTION_##name

static const uint64_t now_ms = 1736346615000;

/* `ci` may do all in shop, `eye` may look at anything, and the last is nobody. */
static struct world {
	struct signing_key *keys[3], *host;
	struct policy_signer signers[2];
	struct policy policy;
} world;

static void make_world(void)
{
	static char *shop[] = {NULL, NULL}, *any[] = {NULL, NULL};
	uint8_t seed[32] = {0};
	if (world.host)
		return;
	shop[0] = pb_str("shop");
	any[0] = pb_str("*");
	for (size_t i = 0; i < ARRAY_LEN(world.keys); i++) {
		seed[0] = (uint8_t)(1 + i);
		world.keys[i] = signing_key_from_seed(seed);
	}
	seed[0] = 9;
	world.host = signing_key_from_seed(seed);
	world.signers[0] = (struct policy_signer){
		pb_str("ci"), *signing_key_public(world.keys[0]), POLICY_ROLE_DEPLOY, shop, any, 0};
	world.signers[1] = (struct policy_signer){pb_str("eye"), *signing_key_public(world.keys[1]),
		POLICY_ROLE_OBSERVE, any, any, now_ms + 1};
	world.policy = (struct policy){world.signers, ARRAY_LEN(world.signers)};
}

/* The signature, checked without the code under test. */
static bool is_signed(const Fairlead__V1__SignedCommand *message, const struct public_key *key)
{
	AUTO(buf) struct buf covered = {0};
	buf_append(&covered, "fairlead/command/v1", sizeof("fairlead/command/v1"));
	buf_append(&covered, message->payload.data, message->payload.len);
	return message->signature.len == crypto_sign_BYTES &&
	       crypto_sign_verify_detached(
		       message->signature.data, covered.data, covered.len, key->bytes) == 0;
}

static void check_accepted(
	const struct envelope *envelope, Fairlead__V1__Action action, struct bytes packed)
{
	const Fairlead__V1__Command *command = envelope->command;
	Fairlead__V1__SignedCommand *message = NULL;
	MUST(PB_UNPACK(fairlead__v1__signed_command, packed, &message, NULL) == 0);
	MUST(is_signed(message, &envelope->signer->key));
	struct digest digest = digest_of(message->payload.data, message->payload.len);
	MUST(memcmp(digest.bytes, envelope->command_digest, sizeof(digest.bytes)) == 0);
	AUTO(buf) struct buf again = {0};
	PB_PACK(command, &again);
	MUST(fuzz_same(buf_bytes(&again), PB_BYTES(message->payload)));
	pb_free(&message->base);

	bool ci = envelope->signer == &world.signers[0];
	MUST(ci || envelope->signer == &world.signers[1]);
	MUST(command->action == action);
	MUST(!ci || strcmp(command->app, "shop") == 0);
	MUST(ci || !envelope_action_changes(action));
	MUST(text_is_name(command->app) && text_is_name(command->environment));
	MUST(fuzz_same(PB_BYTES(command->host_key),
		BYTES(signing_key_public(world.host)->bytes, KEY_PUBLIC_SIZE)));
	MUST(command->not_before_unix_ms <= now_ms + ENVELOPE_SKEW_MS);
	MUST(command->expires_unix_ms >= now_ms - ENVELOPE_SKEW_MS);
	MUST(envelope_action_changes(action) == (command->deployment_id.len == 16));
}

static bool verify(struct bytes packed, Fairlead__V1__Action action)
{
	AUTO(envelope) struct envelope envelope = {0};
	struct err err = ERR_INIT;
	if (envelope_verify(&world.policy, signing_key_public(world.host), action, packed, now_ms,
		    &envelope, &err) < 0) {
		MUST(err.code == ERR_INVALID || err.code == ERR_LIMIT || err.code == ERR_AUTH ||
			err.code == ERR_DENIED);
		return false;
	}
	check_accepted(&envelope, action, packed);
	return true;
}

static void sign(const struct signing_key *key, struct bytes payload, struct buf *out)
{
	Fairlead__V1__SignedCommand message = FAIRLEAD__V1__SIGNED_COMMAND__INIT;
	struct key_id id = public_key_id(signing_key_public(key));
	struct signature signature = signing_key_sign(key, KEY_CONTEXT_COMMAND, payload);
	message.key_id = pb_borrow(id.bytes, sizeof(id.bytes));
	message.payload = pb_borrow(payload.data, payload.len);
	message.signature = pb_borrow(signature.bytes, sizeof(signature.bytes));
	PB_PACK(&message, out);
}

/* The payload of a good command. */
static void draft(Fairlead__V1__Action action, struct buf *out)
{
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	Fairlead__V1__Prepare prepare = FAIRLEAD__V1__PREPARE__INIT;
	Fairlead__V1__ServicePlan web = FAIRLEAD__V1__SERVICE_PLAN__INIT, *services[] = {&web};
	Fairlead__V1__Rollback rollback = FAIRLEAD__V1__ROLLBACK__INIT;
	Fairlead__V1__Abort abort = FAIRLEAD__V1__ABORT__INIT;
	Fairlead__V1__Watch watch = FAIRLEAD__V1__WATCH__INIT;
	Fairlead__V1__Logs logs = FAIRLEAD__V1__LOGS__INIT;
	Fairlead__V1__ManifestRequest manifest = FAIRLEAD__V1__MANIFEST_REQUEST__INIT;
	Fairlead__V1__Resolve resolve = FAIRLEAD__V1__RESOLVE__INIT;
	Fairlead__V1__Pin pin = FAIRLEAD__V1__PIN__INIT;
	web.name = pb_str("web");
	prepare.services = services;
	prepare.n_services = 1;
	command.action = action;
	command.host_key = pb_borrow(signing_key_public(world.host)->bytes, KEY_PUBLIC_SIZE);
	command.app = pb_str("shop");
	command.environment = pb_str("production");
	command.not_before_unix_ms = now_ms;
	command.expires_unix_ms = now_ms + ENVELOPE_LIFETIME_MS;
	if (envelope_action_changes(action)) {
		command.deployment_id = pb_borrow("0123456789abcdef", 16);
		command.sequence = 7;
	}
	command.prepare = action == ACTION(PREPARE) ? &prepare : NULL;
	command.rollback = action == ACTION(ROLLBACK) ? &rollback : NULL;
	command.abort = action == ACTION(ABORT) ? &abort : NULL;
	command.watch = action == ACTION(WATCH) ? &watch : NULL;
	command.logs = action == ACTION(LOGS) ? &logs : NULL;
	command.manifest = action == ACTION(MANIFEST) ? &manifest : NULL;
	command.resolve = action == ACTION(RESOLVE) ? &resolve : NULL;
	command.pin = action == ACTION(PIN) ? &pin : NULL;
	PB_PACK(&command, out);
}

static void changed(struct bytes in, Fairlead__V1__Action action)
{
	AUTO(buf) struct buf payload = {0}, honest = {0}, sent = {0};
	draft(action, &payload);
	sign(world.keys[0], buf_bytes(&payload), &honest);
	bool other = fuzz_change(&in, buf_bytes(&honest), &sent);
	bool known = action > ACTION(UNSPECIFIED) &&
		     protobuf_c_enum_descriptor_get_value(
			     &fairlead__v1__action__descriptor, (int)action);
	MUST(verify(buf_bytes(&sent), action) == (known && !other));
}

void fuzz_one(struct bytes in)
{
	make_world();
	Fairlead__V1__Action action = (Fairlead__V1__Action)(fuzz_u8(&in) % 32);
	uint8_t mode = fuzz_u8(&in) % 3;
	if (mode == 0) {
		verify(in, action);
	} else if (mode == 1) {
		size_t signer = fuzz_u8(&in) % ARRAY_LEN(world.keys);
		AUTO(buf) struct buf packed = {0};
		sign(world.keys[signer], in, &packed);
		bool accepted = verify(buf_bytes(&packed), action);
		MUST(!accepted || signer < ARRAY_LEN(world.signers));
	} else {
		changed(in, action);
	}
}

void fuzz_seeds(void)
{
	make_world();
	for (uint8_t action = ACTION(DESCRIBE); action < 32; action++) {
		if (!protobuf_c_enum_descriptor_get_value(
			    &fairlead__v1__action__descriptor, action))
			continue;
		AUTO(buf) struct buf seed = {0}, payload = {0};
		AUTO_FREE char *name = xasprintf("signed-%02u", action);
		draft(action, &payload);
		buf_append(&seed, (uint8_t[]){action, 1, 0}, 3);
		buf_append(&seed, payload.data, payload.len);
		fuzz_seed(name, buf_bytes(&seed));
	}
	AUTO(buf) struct buf seed = {0}, payload = {0};
	draft(ACTION(STATUS), &payload);
	buf_append(&seed, (uint8_t[]){ACTION(STATUS), 0}, 2);
	sign(world.keys[1], buf_bytes(&payload), &seed);
	fuzz_seed("packed-status", buf_bytes(&seed));
	/* A field of the envelope said twice: the same message to protobuf, other bytes. */
	buf_clear(&seed);
	struct key_id id = public_key_id(signing_key_public(world.keys[0]));
	buf_append(&seed,
		(uint8_t[]){ACTION(STATUS), 2, 3, 2 + KEY_ID_SIZE, 1 << 3 | 2, KEY_ID_SIZE}, 6);
	buf_append(&seed, id.bytes, sizeof(id.bytes));
	fuzz_seed("twice", buf_bytes(&seed));
	static const uint8_t honest[] = {2, 2, 0}, flipped[] = {3, 2, 1, 40, 0, 1};
	fuzz_seed("honest", BYTES(honest, sizeof(honest)));
	fuzz_seed("flipped", BYTES(flipped, sizeof(flipped)));
}
