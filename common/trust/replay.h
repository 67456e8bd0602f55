/* Replay protection of an agent: which commands that change something it has seen.
 *
 * Invariant: per app and environment the last sequence only rises, and every deployment among the
 * newest REPLAY_KNOWN_MAX is known with the digest of the command that began it. An older one is
 * forgotten; its commands are then stale by their sequence. Pure memory: the agent feeds it from
 * its journal at start, and records a command here after journalling it and before acting. Not
 * thread-safe. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/trust/envelope.h"

enum { REPLAY_KNOWN_MAX = 256 };

enum replay_verdict {
	REPLAY_NEW = 0,  /* go on: journal it, record it, act */
	REPLAY_REPEAT,   /* the very command that began this deployment: answer with its outcome */
	REPLAY_CONFLICT, /* another command for a deployment id in use; ERR_DENIED, raise an alarm
			  */
	REPLAY_STALE,    /* its sequence is not above the last; ERR_AUTH */
};

struct replay_scope; /* one app and environment */
struct replay {      /* { 0 } is empty */
	struct replay_scope *scopes;
	size_t count;
};

void replay_release(struct replay *replay);

/* Judge the verified command of an action that changes something (envelope_action_changes).
 * Prepare and Rollback begin a deployment; the others go on with one and are judged by their
 * sequence alone. *err is filled for REPLAY_CONFLICT and REPLAY_STALE. */
enum replay_verdict replay_check(
	const struct replay *replay, const struct envelope *envelope, struct err *err);

/* This command was accepted. deployment_id has 16 bytes; command_digest (32 bytes) is of the
 * command that began the deployment, NULL for one that goes on with it. Facts may come in any
 * order, and twice. */
void replay_record(struct replay *replay, const char *app, const char *environment,
	uint64_t sequence, struct bytes deployment_id, const uint8_t *command_digest);

/* 0 when none was seen: the next command must be above this. */
uint64_t replay_last_sequence(
	const struct replay *replay, const char *app, const char *environment);
