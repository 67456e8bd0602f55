#include "agent/service/orphan.h"

#include "agent/shim/launch.h"
#include "common/base/mem.h"

static int belongs(const struct process *process, const struct pidfile *file, int leader_lives,
	const char *mark)
{
	if (process->session != file->pid || process->start_ticks < file->start_ticks)
		return 0;
	return leader_lives || process_has_env(process->pid, mark);
}

int orphan_find(const struct pidfile *file, const char *service, pid_t **ret, size_t *ret_count,
	struct err *err)
{
	char boot[PROCESS_BOOT_SIZE];
	AUTO_FREE struct process *list = NULL;
	size_t count = 0, found = 0;
	if (process_boot(boot, err) < 0 || process_list(&list, &count, err) < 0)
		return -1;
	if (strcmp(boot, file->boot) != 0)
		count = 0;
	int leader_lives = 0;
	for (size_t i = 0; i < count; i++)
		leader_lives |=
			list[i].pid == file->pid && list[i].start_ticks == file->start_ticks;
	AUTO_FREE char *mark = launch_mark(service);
	pid_t *pids = xcalloc(count + 1, sizeof(*pids));
	for (size_t i = 0; i < count; i++) {
		if (!belongs(&list[i], file, leader_lives, mark))
			continue;
		pids[found] = list[i].pid;
		if (list[i].pid == file->pid) {
			pids[found] = pids[0];
			pids[0] = list[i].pid;
		}
		found++;
	}
	*ret = pids;
	*ret_count = found;
	return 0;
}
