#include "agent/shim/tree.h"

#include "common/base/mem.h"
#include "common/os/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

int tree_adopt(struct err *err)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot become a subreaper");
	return 0;
}

/* Move the children of list[parent_at] to the end of what is found; `found` entries are at the
 * front of the list. */
static size_t find_children(struct process *list, size_t count, size_t found, pid_t parent)
{
	for (size_t i = found; i < count; i++) {
		if (list[i].parent != parent)
			continue;
		struct process child = list[i];
		list[i] = list[found];
		list[found++] = child;
	}
	return found;
}

int tree_signal(int signal, struct err *err)
{
	AUTO_FREE struct process *list = NULL;
	size_t count = 0;
	if (process_list(&list, &count, err) < 0)
		return -1;
	size_t found = find_children(list, count, 0, getpid());
	for (size_t i = 0; i < found; i++)
		found = find_children(list, count, found, list[i].pid);
	/* Parents come first, so that one being killed does not restart its children. */
	for (size_t i = 0; i < found; i++)
		kill(list[i].pid, signal);
	return 0;
}
