#include "coordinator/cli/command.h"

static int run(const struct options *options, struct err *err)
{
	(void)err;
	if (options->json)
		printf("{\"name\":\"fairlead\",\"version\":\"%s\"}\n", FAIRLEAD_VERSION);
	else
		printf("fairlead %s\n", FAIRLEAD_VERSION);
	return 0;
}

const struct command command_version = {
	.name = "version",
	.args = "",
	.summary = "print the version of this program",
	.run = run,
};
