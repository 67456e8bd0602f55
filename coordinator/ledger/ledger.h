/* The ledger: the coordinator's memory of what happened (SQLite; hosts stay the truth).
 *
 * One file, WAL mode, schema versioned by PRAGMA user_version and migrated on open. Default path
 * $XDG_STATE_HOME/fairlead/ledger.db (~/.local/state/…). May block on disk, at most 5 s on a
 * lock of another coordinator. */
#pragma once

#include "common/base/buf.h"
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
	/* How it was asked for, so that it can be taken up: an absolute path, "" for a commit; the
	 * --type, "" for auto; releases that failed before are deployed too. */
	const char *folder, *forced;
	int retry_bad;
};
struct ledger_host {
	const char *host;
	const char *state; /* the agent's final state in lower case: "committed" … */
	const char *commit_from, *commit_to;
	uint64_t duration_ms, bytes;
	const char *error;
};

/* How far each host's events were shown; there is a row for each host that was reached. `showing`
 * is written before the events up to it are shown, `shown` after: those in between may have been.
 */
struct ledger_progress {
	const char *host;
	uint64_t showing, shown;
};

/* ERR_EXISTS when the id is there already. */
int ledger_begin(struct ledger *ledger, const struct ledger_deployment *deployment,
	const struct ledger_progress *progress, size_t count, struct err *err);
/* All or none. What is written survives the death of this process, and most power losses. */
int ledger_set_progress(struct ledger *ledger, const char *id,
	const struct ledger_progress *progress, size_t count, struct err *err);
/* Ended, its outcome "superseded": what began before `started_unix_ms` and never told its end. */
int ledger_supersede(struct ledger *ledger, const char *app, const char *environment,
	uint64_t started_unix_ms, struct err *err);
int ledger_end(struct ledger *ledger, const struct ledger_deployment *deployment,
	const struct ledger_host *hosts, size_t host_count, struct err *err);

/* Deployments of the app and environment that have not ended, newest first; or, with a prefix of
 * its id, one that may have ended. Strings are borrowed for the call of fn. Stops when fn returns
 * non-zero. */
typedef int ledger_recall_fn(void *user, const struct ledger_deployment *deployment,
	const struct ledger_progress *progress, size_t count);
int ledger_recall(struct ledger *ledger, const char *app, const char *environment,
	const char *id_prefix, ledger_recall_fn *fn, void *user, struct err *err);

/* Newest first; app and environment NULL for any. Strings are borrowed for the call of fn.
 * Stops when fn returns non-zero. */
typedef int ledger_fn(void *user, const struct ledger_deployment *deployment,
	const struct ledger_host *hosts, size_t host_count);
int ledger_history(struct ledger *ledger, const char *app, const char *environment, unsigned limit,
	ledger_fn *fn, void *user, struct err *err);

/* What a host signed at the end of a deployment (common/evidence/receipt.h); verified by the
 * caller. A host has one receipt for each record of its journal that holds one. */
struct ledger_receipt {
	const char *host;      /* its name in the fleet when this was stored */
	struct bytes host_key; /* 32 bytes */
	const char *app, *environment;
	uint64_t journal_number; /* of Receipt.journal_number */
	struct bytes payload, signature;
};
/* CONFLICT: there is another one in its place, which stays. */
enum ledger_receipt_outcome { LEDGER_RECEIPT_STORED = 0, LEDGER_RECEIPT_CONFLICT = 1 };
int ledger_receipt_store(
	struct ledger *ledger, const struct ledger_receipt *receipt, struct err *err);
/* Those of one host for one app and environment, by rising journal_number. Borrowed for the call of
 * fn; stops when it returns non-zero. */
typedef int ledger_receipt_fn(void *user, const struct ledger_receipt *receipt);
int ledger_receipts(struct ledger *ledger, struct bytes host_key, const char *app,
	const char *environment, ledger_receipt_fn *fn, void *user, struct err *err);
