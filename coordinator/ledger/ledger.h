/* The ledger: the coordinator's memory of what happened (SQLite; hosts stay the truth).
 *
 * One file, WAL mode, schema versioned by PRAGMA user_version and migrated on open. Default path
 * $XDG_STATE_HOME/fairlead/ledger.db (~/.local/state/…). May block on disk, at most 5 s on a
 * lock of another coordinator. */
#pragma once

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ledger;
int ledger_open(
	const char *path, struct ledger **ret, struct err *err); /* NULL: the default path */
void ledger_free(struct ledger *ledger);

struct ledger_deployment {
	const char *id;   /* 32 hex digits */
	const char *kind; /* "deploy" | "rollback" */
	const char *app, *environment;
	const char *class_name;              /* "APP_ONLY" … */
	const char *commit_from, *commit_to; /* from: of the first host; labels */
	const char *actor;
	uint64_t started_unix_ms,
		ended_unix_ms; /* ended 0: still running, or the coordinator died */
	const char *outcome; /* "running" | "committed" | "failed" | "rolled_back" | "mixed" … */
	int exit_status;
	uint32_t files_changed;
	uint64_t bytes;    /* on the wire */
	const char *error; /* "" if none */
};
struct ledger_host {
	const char *host;
	const char *state; /* the agent's final state in lower case: "committed" … */
	const char *commit_from, *commit_to;
	uint64_t duration_ms, bytes;
	const char *error;
};

int ledger_begin(
	struct ledger *ledger, const struct ledger_deployment *deployment, struct err *err);
int ledger_end(struct ledger *ledger, const struct ledger_deployment *deployment,
	const struct ledger_host *hosts, size_t host_count, struct err *err);

/* Newest first; app and environment NULL for any. Strings are borrowed for the call of fn.
 * Stops when fn returns non-zero. */
typedef int ledger_fn(void *user, const struct ledger_deployment *deployment,
	const struct ledger_host *hosts, size_t host_count);
int ledger_history(struct ledger *ledger, const char *app, const char *environment, unsigned limit,
	ledger_fn *fn, void *user, struct err *err);
