/* Help and the man page, printed from the tables of commands and options. */
#pragma once

#include "coordinator/cli/command.h"

/* Options that stand before a verb only. */
extern const struct option_row main_options[];

void help_overview(FILE *out);
void help_command(FILE *out, const struct command *command);
/* fairlead(1) in mdoc(7). */
void help_man(FILE *out);

/* NULL, with ERR_USAGE and a suggestion, when there is no such verb. */
const struct command *command_find(const char *name, struct err *err);
