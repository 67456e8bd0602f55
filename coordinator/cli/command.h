/* A verb of `fairlead`: one const struct command per cmd_<verb>.c, listed in the one registry
 * (commands.c). Help, completion and the man page are printed from these tables. */
#pragma once

#include "common/base/err.h"
#include "coordinator/config/app_config.h"
#include "coordinator/config/fleet_config.h"
#include "coordinator/report/report.h"

#include <stdbool.h>

enum option_kind { OPTION_FLAG, OPTION_STRING };

/* One row of a verb's option table; ends with an empty row. Values land in struct options by
 * offset, so a row is the only place an option is described. */
struct option_row {
	const char *name; /* "type", for --type */
	char letter;      /* 'e' for -e, 0 for none */
	enum option_kind kind;
	const char *value; /* "auto|full|app-only|no-restart"; NULL for a flag */
	size_t offset;     /* into struct options */
	const char *help;
};

/* Every option of every verb; NULL or false when not given. Strings are borrowed from argv. */
struct options {
	const char *directory, *config, *fleet, *environment, *limit, *key, *ledger;
	const char *to, *from, *type, *tail, *out, *count, *revision_from, *actor, *plan_file;
	const char *pin, *unpin, *resolve;
	bool json, yes, verbose, quiet, dry_run, follow, force, allow_dirty, retry_bad, help, all;
	bool detach;
	bool version, man;
	char **args; /* positional, argv compacted */
	int arg_count;
};

struct command {
	const char *name;
	const char *args; /* "[RELEASE]", "" for none */
	int args_min, args_max;
	const char *summary; /* one line, no full stop */
	const char *details; /* paragraphs for --help and the man page; NULL for none */
	const struct option_row *options; /* besides the common ones */
	/* Returns the exit status (table in help.c). Prints its results to stdout; a failure is
	 * left in *err for main to show, and the return value is then ignored if err->code is set.
	 * Runs in options->directory already; sodium_init() has been called. */
	int (*run)(const struct options *options, struct err *err);
};

extern const struct command *const commands[]; /* NULL-terminated, in the order of help */
extern const struct option_row common_options[];

/* One per cmd_<verb>.c; commands.c lists them. */
extern const struct command command_abort;
extern const struct command command_audit;
extern const struct command command_deploy;
extern const struct command command_drift;
extern const struct command command_help;
extern const struct command command_hosts;
extern const struct command command_init;
extern const struct command command_history;
extern const struct command command_key;
extern const struct command command_logs;
extern const struct command command_plan;
extern const struct command command_releases;
extern const struct command command_resume;
extern const struct command command_rollback;
extern const struct command command_status;
extern const struct command command_validate;
extern const struct command command_version;
