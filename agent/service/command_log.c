#include "agent/service/command_log.h"

#include "agent/service/command_record.h"
#include "agent/service/shim_start.h"
#include "common/base/mem.h"
#include "common/os/file.h"
#include "common/os/spawn.h"

#include <errno.h>
#include <sys/stat.h>

/* Of a service with a user of its own only what is that user's: its log may be a link by now, and
 * whoever reads logs reads with the agent's rights. */
static int check_owner(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
	const struct stat *st, struct err *err)
{
	AUTO(spawn_user) struct spawn_user user = {0};
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_NOT_FOUND, "its log_file is no file");
	if (!context->may_change_user || !plan->process || !*plan->process->user)
		return 0;
	if (spawn_user_find(plan->process->user, &user, err) < 0)
		return -1;
	if (user.uid != st->st_uid)
		return err_set(
			err, ERR_DENIED, "its log_file is not a file of user '%s'", user.name);
	return 0;
}

static char *log_path(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
	unsigned age, struct err *err)
{
	struct command_record record = {0};
	AUTO_FREE char *file =
		xstrndup((const char *)plan->command->log_file.data, plan->command->log_file.len);
	AUTO_FREE char *suffix = age ? xasprintf(".%u", age) : xstrdup("");
	if (file[0] == '/')
		return xasprintf("%s%s", file, suffix);
	if (command_record_read(context->store, plan->name, &record, err) != COMMAND_RECORD_FOUND) {
		err_set(err, ERR_NOT_FOUND, "service '%s' does not run on this host", plan->name);
		return NULL;
	}
	AUTO_FREE char *release = store_release_path(context->store, &record.release);
	return xasprintf("%s/%s%s", release, file, suffix);
}

int command_log_open(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
	unsigned age, int *ret_fd, struct err *err)
{
	if (!plan->command || plan->command->log_file.len == 0)
		return shim_open_log(context, plan->name, age, ret_fd, err);
	AUTO_FREE char *path = log_path(context, plan, age, err);
	if (!path)
		return -1;
	struct stat st;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
			"cannot open its log_file '%s'", path);
	if (check_owner(context, plan, &st, err) < 0)
		return -1;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
