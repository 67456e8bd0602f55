#include "agent/hook/tree.h"

#include "agent/hook/hook.h"
#include "common/base/mem.h"
#include "common/os/cgroup.h"

#include <stdbool.h>

int tree_may_use_cgroup(void)
{
	const char *value = getenv("FAIRLEAD_CGROUP");
	return !value || strcmp(value, "off") != 0;
}

static bool is_member(const pid_t *members, size_t count, pid_t pid)
{
	for (size_t i = 0; i < count; i++)
		if (members[i] == pid)
			return true;
	return false;
}

/* Everything that can be seen now, and who of it is in the cgroup. */
struct view {
	struct process *list;
	size_t count;
	pid_t *members;
	size_t member_count;
};

static void view_take(struct view *view, const char *place)
{
	*view = (struct view){0};
	/* The cgroup first: who joins it later is somebody's child in the list. */
	if (tree_may_use_cgroup())
		cgroup_members(place, &view->members, &view->member_count);
	if (process_list(&view->list, &view->count, NULL) < 0)
		view->count = 0;
}

static void view_release(struct view *view)
{
	free(view->list);
	free(view->members);
}

size_t tree_signal_below(pid_t runner, const char *place, int signal)
{
	struct view view;
	view_take(&view, place);
	size_t below = process_descendants(view.list, view.count, runner), found = below;
	for (size_t i = 0; i < below; i++)
		process_signal(&view.list[i], signal);
	for (size_t i = below; i < view.count; i++) {
		if (view.list[i].pid == runner ||
			!is_member(view.members, view.member_count, view.list[i].pid))
			continue;
		process_signal(&view.list[i], signal);
		found++;
	}
	view_release(&view);
	return found;
}

static bool is_runner(const struct process *process, const struct hook_trace *trace)
{
	return process->pid == trace->runner && process->start_ticks == trace->start_ticks;
}

/* What the runner of an earlier core left, found by all that is known of it. */
static size_t signal_strays(const struct view *view, size_t from, const struct hook_trace *trace,
	const char *mark, int signal)
{
	size_t found = 0;
	for (size_t i = from; i < view->count; i++) {
		const struct process *process = &view->list[i];
		if (is_runner(process, trace) || process->pid == getpid() ||
			process->start_ticks < trace->start_ticks ||
			(!is_member(view->members, view->member_count, process->pid) &&
				!process_has_env(process->pid, mark)))
			continue;
		process_signal(process, signal);
		found++;
	}
	return found;
}

size_t tree_signal_left(const struct hook_trace *trace, const char *place, int signal)
{
	struct view view;
	AUTO_FREE char *mark = hook_mark(place);
	view_take(&view, place);
	const struct process *runner = NULL;
	size_t below = 0, found;
	for (size_t i = 0; i < view.count; i++)
		if (is_runner(&view.list[i], trace))
			below = process_descendants(view.list, view.count, trace->runner);
	for (size_t i = 0; i < below; i++)
		process_signal(&view.list[i], signal);
	found = below + signal_strays(&view, below, trace, mark, signal);
	for (size_t i = below; i < view.count; i++)
		if (is_runner(&view.list[i], trace))
			runner = &view.list[i];
	/* The last: while it lives, all that loses its parents is still below it. */
	if (runner && found == 0)
		process_signal(runner, signal);
	found += runner != NULL;
	view_release(&view);
	return found;
}
