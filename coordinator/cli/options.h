/* The parser of the command line: table-driven, no globals, prints nothing. And the defaults of
 * the common options, so that every verb has the same ones. Pure but for the environment. */
#pragma once

#include "coordinator/cli/command.h"

enum options_mode {
	OPTIONS_ANYWHERE,   /* options and arguments may mix; "--" ends the options */
	OPTIONS_UNTIL_VERB, /* stops at the first argument */
};

/* Parse argv[0..argc) by the option tables (a NULL-terminated list of them). Adds to *ret, which
 * the caller zeroed; after a failure it holds what came before the wrong one, so that --json is
 * honoured. The arguments are moved to the front of argv. ERR_USAGE, with a suggestion. */
int options_parse(const struct option_row *const *tables, int argc, char **argv,
	enum options_mode mode, struct options *ret, struct err *err);

/* --config, else fairlead.yaml; --fleet, else fleet.yaml. Borrowed. */
const char *options_config_path(const struct options *options);
const char *options_fleet_path(const struct options *options);
/* --key, else $FAIRLEAD_KEY, else $XDG_CONFIG_HOME/fairlead/key (~/.config/…). The caller frees;
 * NULL with ERR_USAGE when there is no home directory. */
char *options_key_path(const struct options *options, struct err *err);
enum report_style options_style(const struct options *options);
enum report_verbosity options_verbosity(const struct options *options);
/* --count and the like: a whole number of min..max; `fallback` when text is NULL. `name` is that
 * of the option, for ERR_USAGE. */
int options_number(const char *name, const char *text, unsigned min, unsigned max,
	unsigned fallback, unsigned *ret, struct err *err);
