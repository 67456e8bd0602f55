#include "coordinator/cli/help.h"

#include "common/base/mem.h"
#include "common/base/text.h"

const struct command *const commands[] = {
	&command_init,
	&command_validate,
	&command_plan,
	&command_deploy,
	&command_resume,
	&command_abort,
	&command_rollback,
	&command_status,
	&command_releases,
	&command_history,
	&command_logs,
	&command_drift,
	&command_audit,
	&command_hosts,
	&command_key,
	&command_version,
	&command_help,
	NULL,
};

const struct command *command_find(const char *name, struct err *err)
{
	const char *names[ARRAY_LEN(commands)] = {0};
	for (size_t i = 0; commands[i]; i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
		names[i] = commands[i]->name;
	}
	const char *nearest = text_nearest(name, names);
	err_set(err, ERR_USAGE, "'%s' is not a verb of fairlead", name);
	if (nearest)
		err_hint(err, "Did you mean `fairlead %s`?", nearest);
	else
		err_hint(err, "`fairlead --help` lists the verbs.");
	return NULL;
}
