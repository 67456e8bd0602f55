#include "coordinator/cli/help.h"

static int run(const struct options *options, struct err *err)
{
	if (options->man) {
		help_man(stdout);
		return 0;
	}
	if (options->arg_count == 0) {
		help_overview(stdout);
		return 0;
	}
	const struct command *command = command_find(options->args[0], err);
	if (!command)
		return -1;
	help_command(stdout, command);
	return 0;
}

static const struct option_row option_rows[] = {
	{"man", 0, OPTION_FLAG, NULL, offsetof(struct options, man),
		"print the manual page, for man(1)"},
	{0},
};

const struct command command_help = {
	.name = "help",
	.args = "[VERB]",
	.args_max = 1,
	.summary = "explain Fairlead, or one verb",
	.options = option_rows,
	.run = run,
};
