#include "common/trust/replay.h"

#include "common/base/digest.h"
#include "common/base/mem.h"

enum { ID_SIZE = 16 };

struct known {
	uint8_t deployment_id[ID_SIZE];
	uint8_t command_digest[DIGEST_SIZE];
};

struct replay_scope {
	char *app, *environment;
	uint64_t last_sequence;
	struct known *known; /* a ring of REPLAY_KNOWN_MAX once full; `next` is the oldest */
	size_t known_count, next;
};

static struct replay_scope *find_scope(
	const struct replay *replay, const char *app, const char *environment)
{
	for (size_t i = 0; i < replay->count; i++)
		if (strcmp(replay->scopes[i].app, app) == 0 &&
			strcmp(replay->scopes[i].environment, environment) == 0)
			return &replay->scopes[i];
	return NULL;
}

static const struct known *find_known(const struct replay_scope *scope, const uint8_t *id)
{
	for (size_t i = 0; i < scope->known_count; i++)
		if (memcmp(scope->known[i].deployment_id, id, ID_SIZE) == 0)
			return &scope->known[i];
	return NULL;
}

static struct replay_scope *add_scope(
	struct replay *replay, const char *app, const char *environment)
{
	replay->scopes = xrealloc(replay->scopes, (replay->count + 1) * sizeof(replay->scopes[0]));
	struct replay_scope *scope = &replay->scopes[replay->count++];
	*scope = (struct replay_scope){
		.app = xstrdup(app),
		.environment = xstrdup(environment),
	};
	return scope;
}

void replay_release(struct replay *replay)
{
	for (size_t i = 0; i < replay->count; i++) {
		free(replay->scopes[i].app);
		free(replay->scopes[i].environment);
		free(replay->scopes[i].known);
	}
	free(replay->scopes);
	*replay = (struct replay){0};
}

static bool begins_deployment(Fairlead__V1__Action action)
{
	return action == FAIRLEAD__V1__ACTION__ACTION_PREPARE ||
	       action == FAIRLEAD__V1__ACTION__ACTION_ROLLBACK;
}

enum replay_verdict replay_check(
	const struct replay *replay, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	const struct replay_scope *scope = find_scope(replay, command->app, command->environment);
	const struct known *known = NULL;

	if (!scope)
		return REPLAY_NEW;
	if (begins_deployment(command->action) && command->deployment_id.len == ID_SIZE)
		known = find_known(scope, command->deployment_id.data);
	if (known && memcmp(known->command_digest, envelope->command_digest, DIGEST_SIZE) == 0)
		return REPLAY_REPEAT;
	if (known) {
		err_set(err, ERR_DENIED,
			"another command by '%s' for a deployment id that is in use in %s/%s",
			envelope->signer->name, command->app, command->environment);
		err_hint(err, "Start the deployment again, so that it gets an id of its own.");
		return REPLAY_CONFLICT;
	}
	if (command->sequence <= scope->last_sequence) {
		err_set(err, ERR_AUTH,
			"replayed command: sequence %llu of %s/%s, and %llu was seen",
			(unsigned long long)command->sequence, command->app, command->environment,
			(unsigned long long)scope->last_sequence);
		err_hint(err, "If nobody else deployed at the same time, an old command was sent "
			      "again: find out who did.");
		return REPLAY_STALE;
	}
	return REPLAY_NEW;
}

static void add_known(struct replay_scope *scope, const uint8_t *id, const uint8_t *digest)
{
	if (!scope->known)
		scope->known = xcalloc(REPLAY_KNOWN_MAX, sizeof(scope->known[0]));
	struct known *known = &scope->known[scope->next];
	memcpy(known->deployment_id, id, ID_SIZE);
	memcpy(known->command_digest, digest, DIGEST_SIZE);
	scope->next = (scope->next + 1) % REPLAY_KNOWN_MAX;
	if (scope->known_count < REPLAY_KNOWN_MAX)
		scope->known_count++;
}

void replay_record(struct replay *replay, const char *app, const char *environment,
	uint64_t sequence, struct bytes deployment_id, const uint8_t *command_digest)
{
	struct replay_scope *scope = find_scope(replay, app, environment);
	if (!scope)
		scope = add_scope(replay, app, environment);
	if (sequence > scope->last_sequence)
		scope->last_sequence = sequence;
	if (command_digest && deployment_id.len == ID_SIZE &&
		!find_known(scope, deployment_id.data))
		add_known(scope, deployment_id.data, command_digest);
}

uint64_t replay_last_sequence(const struct replay *replay, const char *app, const char *environment)
{
	const struct replay_scope *scope = find_scope(replay, app, environment);
	return scope ? scope->last_sequence : 0;
}
