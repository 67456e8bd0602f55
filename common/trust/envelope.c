#include "common/trust/envelope.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"

enum { DEPLOYMENT_ID_SIZE = 16 };

#define ACTION(name) FAIRLEAD__V1__ACTION__ACTION_##name
#define BODY(field) offsetof(Fairlead__V1__Command, field)

/* What a command of each action must carry. An action without a row is refused. */
static const struct action_row {
	const char *name; /* NULL: no such action */
	size_t body;      /* the message field it needs; 0 for none */
	bool changes;
} actions[] = {
	[ACTION(DESCRIBE)] = {"describe", 0, false},
	[ACTION(PREPARE)] = {"prepare", BODY(prepare), true},
	[ACTION(ACTIVATE)] = {"activate", 0, true},
	[ACTION(CONFIRM)] = {"confirm", 0, true},
	[ACTION(ABORT)] = {"abort", BODY(abort), true},
	[ACTION(ROLLBACK)] = {"rollback", BODY(rollback), true},
	[ACTION(STATUS)] = {"status", 0, false},
	[ACTION(RELEASES)] = {"releases", 0, false},
	[ACTION(WATCH)] = {"watch", BODY(watch), false},
	[ACTION(LOGS)] = {"logs", BODY(logs), false},
	[ACTION(MANIFEST)] = {"manifest", BODY(manifest), false},
	[ACTION(RESOLVE)] = {"resolve", BODY(resolve), true},
	[ACTION(PIN)] = {"pin", BODY(pin), true},
	[ACTION(AUDIT)] = {"audit", 0, false},
	[ACTION(DRIFT)] = {"drift", 0, false},
};

static const size_t bodies[] = {BODY(prepare), BODY(rollback), BODY(abort), BODY(watch), BODY(logs),
	BODY(manifest), BODY(resolve), BODY(pin)};

static const struct action_row *action_row(Fairlead__V1__Action action)
{
	size_t i = (size_t)action;
	return action > 0 && i < ARRAY_LEN(actions) && actions[i].name ? &actions[i] : NULL;
}

bool envelope_action_changes(Fairlead__V1__Action action)
{
	const struct action_row *row = action_row(action);
	return row && row->changes;
}

/* -- signing ------------------------------------------------------------------------------ */

void envelope_sign(const struct signing_key *key, Fairlead__V1__Command *command,
	uint64_t now_unix_ms, struct buf *out)
{
	if (command->not_before_unix_ms == 0)
		command->not_before_unix_ms = now_unix_ms;
	if (command->expires_unix_ms == 0)
		command->expires_unix_ms = command->not_before_unix_ms + ENVELOPE_LIFETIME_MS;

	AUTO(buf) struct buf payload = {0};
	PB_PACK(command, &payload);
	struct key_id id = public_key_id(signing_key_public(key));
	struct signature signature =
		signing_key_sign(key, KEY_CONTEXT_COMMAND, buf_bytes(&payload));
	Fairlead__V1__SignedCommand message = FAIRLEAD__V1__SIGNED_COMMAND__INIT;
	message.key_id = pb_borrow(id.bytes, sizeof(id.bytes));
	message.payload = pb_borrow(payload.data, payload.len);
	message.signature = pb_borrow(signature.bytes, sizeof(signature.bytes));
	PB_PACK(&message, out);
}

/* -- verifying: each step relies on the ones before it ------------------------------------ */

static int check_sizes(const Fairlead__V1__SignedCommand *message, struct err *err)
{
	if (message->base.n_unknown_fields)
		return err_set(err, ERR_INVALID, "signed command with unknown fields");
	if (message->key_id.len != KEY_ID_SIZE)
		return err_set(err, ERR_INVALID, "signed command with a key id of %zu bytes",
			message->key_id.len);
	if (message->signature.len != KEY_SIGNATURE_SIZE)
		return err_set(err, ERR_INVALID, "signed command with a signature of %zu bytes",
			message->signature.len);
	if (message->payload.len == 0 || message->payload.len > PB_WIRE_MAX)
		return err_set(err, ERR_INVALID, "signed command with a payload of %zu bytes",
			message->payload.len);
	return 0;
}

static int check_signature(const struct policy *policy, const Fairlead__V1__SignedCommand *message,
	struct envelope *envelope, struct err *err)
{
	struct signature signature;
	memcpy(envelope->key_id.bytes, message->key_id.data, KEY_ID_SIZE);
	memcpy(signature.bytes, message->signature.data, KEY_SIGNATURE_SIZE);
	envelope->signer = policy_find(policy, &envelope->key_id);
	if (!envelope->signer) {
		char id[2 * KEY_ID_SIZE + 1];
		sodium_bin2hex(id, sizeof(id), envelope->key_id.bytes, KEY_ID_SIZE);
		err_set(err, ERR_AUTH, "command signed by the unknown key %s", id);
		return err_hint(err, "Add the public key to the host's policy.yaml, or sign with a "
				     "key that is there (`fairlead key show` prints its id).");
	}
	if (!public_key_verify(&envelope->signer->key, KEY_CONTEXT_COMMAND,
		    PB_BYTES(message->payload), &signature))
		return err_set(err, ERR_AUTH, "command with a signature that is not by '%s'",
			envelope->signer->name);
	return 0;
}

static int check_host(
	const Fairlead__V1__Command *command, const struct public_key *host, struct err *err)
{
	struct public_key named;
	if (command->host_key.len != KEY_PUBLIC_SIZE)
		return err_set(err, ERR_INVALID, "command with a host key of %zu bytes",
			command->host_key.len);
	memcpy(named.bytes, command->host_key.data, KEY_PUBLIC_SIZE);
	if (public_key_equal(&named, host))
		return 0;
	char text[KEY_TEXT_SIZE];
	err_set(err, ERR_AUTH, "command for another host, %s", public_key_text(&named, text));
	return err_hint(err, "Compare the host's key in fleet.yaml with the one the host prints.");
}

static bool has_body(const Fairlead__V1__Command *command, size_t offset)
{
	const void *body;
	memcpy(&body, (const char *)command + offset, sizeof(body));
	return body != NULL;
}

static int check_action(
	const Fairlead__V1__Command *command, Fairlead__V1__Action action, struct err *err)
{
	const struct action_row *row = action_row(action);
	if (!row || command->action != action)
		return err_set(err, ERR_INVALID, "command of action %d where %s (%d) belongs",
			(int)command->action, row ? row->name : "none", (int)action);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		if (has_body(command, bodies[i]) != (bodies[i] == row->body))
			return err_set(err, ERR_INVALID,
				"%s command without the body that belongs "
				"to it",
				row->name);
	size_t id = command->deployment_id.len;
	if (id != (row->changes ? DEPLOYMENT_ID_SIZE : 0))
		return err_set(err, ERR_INVALID, "%s command with a deployment id of %zu bytes",
			row->name, id);
	if (row->changes && command->sequence == 0)
		return err_set(err, ERR_INVALID, "%s command without a sequence", row->name);
	return 0;
}

static int check_names(const Fairlead__V1__Command *command, struct err *err)
{
	const struct {
		const char *what, *name;
	} names[] = {{"app", command->app}, {"environment", command->environment}};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (text_is_name(names[i].name))
			continue;
		err_set(err, ERR_INVALID, "'%.80s' is not a name of an %s", names[i].name,
			names[i].what);
		return err_hint(err, "Use letters, digits, '.', '_' and '-', at most 63, "
				     "beginning with a letter or digit.");
	}
	return 0;
}

/* Differences, not sums: the peer chose these numbers, up to 2^64 - 1. */
static int check_time(const Fairlead__V1__Command *command, uint64_t now_unix_ms, struct err *err)
{
	uint64_t from = command->not_before_unix_ms, until = command->expires_unix_ms;
	char when[TEXT_TIME_SIZE], now[TEXT_TIME_SIZE];
	if (until < from)
		return err_set(err, ERR_INVALID, "command that expires before it is valid");
	if (from > now_unix_ms && from - now_unix_ms > ENVELOPE_SKEW_MS)
		err_set(err, ERR_AUTH, "command not valid before %s, and here it is %s",
			text_time(from, when), text_time(now_unix_ms, now));
	else if (now_unix_ms > until && now_unix_ms - until > ENVELOPE_SKEW_MS)
		err_set(err, ERR_AUTH, "command expired at %s, and here it is %s",
			text_time(until, when), text_time(now_unix_ms, now));
	else
		return 0;
	return err_hint(err, "Compare the clocks of the two hosts; they may differ by at most 5 "
			     "minutes.");
}

int envelope_verify_message(const struct policy *policy, const struct public_key *host,
	Fairlead__V1__Action action, const Fairlead__V1__SignedCommand *message,
	uint64_t now_unix_ms, struct envelope *ret, struct err *err)
{
	AUTO(envelope) struct envelope envelope = {0};
	struct bytes payload = PB_BYTES(message->payload);

	if (check_sizes(message, err) < 0 || check_signature(policy, message, &envelope, err) < 0 ||
		pb_unpack_canonical(&fairlead__v1__command__descriptor, payload,
			(ProtobufCMessage **)(void *)&envelope.command, err) < 0)
		return -1;

	const Fairlead__V1__Command *command = envelope.command;
	if (check_host(command, host, err) < 0 || check_action(command, action, err) < 0 ||
		check_names(command, err) < 0 || check_time(command, now_unix_ms, err) < 0 ||
		policy_allows(policy, envelope.signer, action, command->app, command->environment,
			now_unix_ms, err) < 0)
		return -1;

	struct digest digest = digest_of(payload.data, payload.len);
	memcpy(envelope.command_digest, digest.bytes, sizeof(envelope.command_digest));
	*ret = envelope;
	envelope.command = NULL;
	return 0;
}

int envelope_verify(const struct policy *policy, const struct public_key *host,
	Fairlead__V1__Action action, struct bytes packed, uint64_t now_unix_ms,
	struct envelope *ret, struct err *err)
{
	Fairlead__V1__SignedCommand *message = NULL;
	if (pb_unpack_canonical(&fairlead__v1__signed_command__descriptor, packed,
		    (ProtobufCMessage **)(void *)&message, err) < 0)
		return -1;
	int rc = envelope_verify_message(policy, host, action, message, now_unix_ms, ret, err);
	pb_free(&message->base);
	return rc;
}

void envelope_release(struct envelope *envelope)
{
	if (envelope->command)
		pb_free(&envelope->command->base);
	*envelope = (struct envelope){0};
}
