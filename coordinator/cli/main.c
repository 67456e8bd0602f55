/* The program `fairlead`: finds the verb, runs it, prints the one error. */
#include "common/base/err.h"
#include "coordinator/cli/help.h"
#include "coordinator/cli/options.h"

#include <errno.h>
#include <sodium.h>
#include <unistd.h>

static int check_args(const struct command *command, const struct options *options, struct err *err)
{
	if (options->arg_count < command->args_min)
		err_set(err, ERR_USAGE, "'fairlead %s' needs an argument", command->name);
	else if (options->arg_count > command->args_max)
		err_set(err, ERR_USAGE, "unexpected argument '%s'",
			options->args[command->args_max]);
	else
		return 0;
	return err_hint(err, "Write `fairlead %s%s%s`; add --help for more.", command->name,
		command->args[0] ? " " : "", command->args);
}

static int run_command(const struct command *command, struct options *options, struct err *err)
{
	const struct option_row *tables[] = {common_options, command->options, NULL};
	/* args[0] is the verb. */
	if (options_parse(tables, options->arg_count - 1, options->args + 1, OPTIONS_ANYWHERE,
		    options, err) < 0)
		return -1;
	if (options->help) {
		help_command(stdout, command);
		return 0;
	}
	if (check_args(command, options, err) < 0)
		return -1;
	if (options->directory && chdir(options->directory) < 0)
		return err_errno(err, ERR_USAGE, errno, "cannot go to the directory '%s'",
			options->directory);
	return command->run(options, err);
}

static int run(int argc, char **argv, struct options *options, struct err *err)
{
	const struct option_row *tables[] = {common_options, main_options, NULL};
	if (options_parse(tables, argc - 1, argv + 1, OPTIONS_UNTIL_VERB, options, err) < 0)
		return -1;
	if (options->version)
		return command_version.run(options, err);
	if (options->arg_count > 0) {
		const struct command *command = command_find(options->args[0], err);
		return command ? run_command(command, options, err) : -1;
	}
	if (options->help) {
		help_overview(stdout);
		return 0;
	}
	err_set(err, ERR_USAGE, "no verb given");
	return err_hint(err, "usage: fairlead [OPTION…] VERB [ARGUMENT…]; --help lists the verbs.");
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct err err = ERR_INIT;
	int status = 1;
	if (sodium_init() < 0)
		err_set(&err, ERR_INTERNAL, "cannot initialise libsodium");
	else
		status = run(argc, argv, &options, &err);
	/* A full disk behind a redirection is found here at the latest. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && err.code == ERR_NONE)
		err_errno(&err, ERR_IO, errno, "cannot write to standard output");
	if (err.code == ERR_NONE)
		return status;
	report_error(options_style(&options), &err);
	return err_code_exit_status(err.code);
}
