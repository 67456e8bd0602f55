#include "agent/service/plan_check.h"

#include "agent/shim/launch.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/spawn.h"

#include <errno.h>
#include <sys/stat.h>

int plan_check_name(const Fairlead__V1__ServicePlan *plan, struct err *err)
{
	if (!text_is_name(plan->name))
		return err_set(err, ERR_CONFIG, "'%s' is no name of a service", plan->name);
	return 0;
}

/* argv and environ are C strings. */
static int check_bytes(ProtobufCBinaryData field, const char *what, struct err *err)
{
	if (field.len && memchr(field.data, '\0', field.len))
		return err_set(err, ERR_CONFIG, "%s has a NUL byte", what);
	return 0;
}

static int check_env(const Fairlead__V1__ProcessSpec *process, struct err *err)
{
	for (size_t i = 0; i < process->n_env; i++) {
		const Fairlead__V1__EnvVar *var = process->env[i];
		if (!*var->name || strchr(var->name, '='))
			return err_set(err, ERR_CONFIG, "'%s' is no name of a variable", var->name);
		if (check_bytes(var->value, var->name, err) < 0)
			return -1;
	}
	return 0;
}

int plan_check_process(const struct service_context *context,
	const Fairlead__V1__ProcessSpec *process, struct err *err)
{
	if (!process)
		return 0;
	if (check_env(process, err) < 0)
		return -1;
	AUTO(spawn_user) struct spawn_user user = {0};
	if (context->may_change_user && *process->user)
		return spawn_user_find(process->user, &user, err);
	return 0;
}

static int check_argv(const Fairlead__V1__ProcessSpec *process, const char *key, struct err *err)
{
	if (process->n_command == 0 || process->command[0].len == 0)
		return err_set(err, ERR_CONFIG, "it has no %s", key);
	for (size_t i = 0; i < process->n_command; i++)
		if (check_bytes(process->command[i], key, err) < 0)
			return -1;
	return 0;
}

int plan_check_program(const Fairlead__V1__ProcessSpec *process, const char *key,
	const char *release_path, struct err *err)
{
	if (check_argv(process, key, err) < 0)
		return -1;
	AUTO_FREE char *command =
		xstrndup((const char *)process->command[0].data, process->command[0].len);
	AUTO_FREE char *program = NULL;
	struct err why = ERR_INIT;
	struct stat st;
	if (launch_find(process, release_path, &program, &why) < 0 || stat(program, &st) < 0) {
		if (program && errno != ENOENT && errno != ENOTDIR)
			return err_errno(err, ERR_IO, errno, "cannot look at '%s'", command);
		err_set(err, ERR_CONFIG, "its %s '%s' is not there", key, command);
		if (*why.hint)
			return err_hint(err, "%s", why.hint);
		return err_hint(err, "The path is relative to the top of the release; is the file "
				     "part of it?");
	}
	bool runs = S_ISREG(st.st_mode) && access(program, X_OK) == 0;
	if (!runs && S_ISREG(st.st_mode) && errno != EACCES)
		return err_errno(err, ERR_IO, errno, "cannot look at '%s'", command);
	if (!runs) {
		err_set(err, ERR_CONFIG, "its %s '%s' is not executable", key, command);
		return err_hint(
			err, "Set the mode in the repository: git update-index --chmod=+x.");
	}
	return 0;
}
