#include "common/os/process.h"

#include "common/base/mem.h"
#include "common/os/clock.h"
#include "common/os/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/pidfd.h>

/* A stat line has 52 numbers and a name of at most 64 bytes; an environment is whatever it is. */
enum { STAT_MAX = 4096, ENVIRON_MAX = 4 * 1024 * 1024 };

int process_parse(const char *line, struct process *ret)
{
	/* "pid (name) state ppid pgrp session …": the name ends at the last parenthesis. */
	const char *name_end = strrchr(line, ')');
	struct process process;
	if (!name_end || sscanf(line, "%d (", &process.pid) != 1)
		return -1;
	int fields = sscanf(name_end + 1,
		" %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d"
		" %" SCNu64,
		&process.state, &process.parent, &process.group, &process.session,
		&process.start_ticks);
	if (fields != 5)
		return -1;
	*ret = process;
	return 0;
}

static int is_gone(const struct process *process)
{
	return process->state == 'Z' || process->state == 'X';
}

int process_read(pid_t pid, struct process *ret, struct err *err)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char line[STAT_MAX];
	/* One read: the kernel writes the line anew for each, and two halves need not fit. */
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (n < 0 && errno != ENOENT && errno != ESRCH)
		return err_errno(err, ERR_INTERNAL, errno, "cannot read '%s'", path);
	struct process process;
	if (n > 0) {
		line[n] = '\0';
		if (process_parse(line, &process) < 0)
			return err_set(err, ERR_INTERNAL, "'%s' is not as proc(5) says", path);
	}
	if (n <= 0 || is_gone(&process))
		return err_set(err, ERR_NOT_FOUND, "there is no process %d", pid);
	*ret = process;
	return 0;
}

int process_list(struct process **ret, size_t *ret_count, struct err *err)
{
	DIR *dir = opendir("/proc");
	if (!dir)
		return err_errno(err, ERR_INTERNAL, errno, "cannot list '/proc'");
	struct process *list = NULL;
	size_t count = 0, cap = 0;
	int rc = 0;
	errno = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(dir)); errno = 0) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		struct process process;
		struct err why = ERR_INIT;
		if (*end || pid <= 0)
			continue;
		if (process_read((pid_t)pid, &process, &why) < 0) {
			if (why.code == ERR_NOT_FOUND)
				continue; /* it has just ended */
			if (err)
				*err = why;
			rc = -1;
			continue;
		}
		if (count == cap)
			list = xrealloc(list, (cap = cap ? 2 * cap : 64) * sizeof(*list));
		list[count++] = process;
	}
	if (rc == 0 && errno)
		rc = err_errno(err, ERR_INTERNAL, errno, "cannot list '/proc'");
	closedir(dir);
	if (rc < 0) {
		free(list);
		return -1;
	}
	*ret = list;
	*ret_count = count;
	return 0;
}

static bool is_one_of(const struct process *list, size_t count, pid_t pid)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].pid == pid)
			return true;
	return false;
}

size_t process_descendants(struct process *list, size_t count, pid_t ancestor)
{
	size_t found = 0, before;
	do {
		before = found;
		for (size_t i = found; i < count; i++) {
			if (list[i].parent != ancestor && !is_one_of(list, found, list[i].parent))
				continue;
			struct process one = list[i];
			list[i] = list[found];
			list[found++] = one;
		}
	} while (found > before);
	return found;
}

void process_signal(const struct process *process, int signal)
{
	AUTO_CLOSE int fd = pidfd_open(process->pid, 0);
	struct process now;
	/* Once it is held by the fd its number is its own. */
	if (fd >= 0 && process_read(process->pid, &now, NULL) == 0 &&
		now.start_ticks == process->start_ticks)
		pidfd_send_signal(fd, signal, NULL, 0);
}

int process_has_env(pid_t pid, const char *entry)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	AUTO(buf) struct buf env = {0};
	if (file_read(AT_FDCWD, path, ENVIRON_MAX, &env, NULL) < 0)
		return 0;
	const char *at = buf_str(&env);
	const char *end = at + env.len;
	for (; at < end; at += strlen(at) + 1)
		if (strcmp(at, entry) == 0)
			return 1;
	return 0;
}

uint64_t process_unix_ms(uint64_t start_ticks)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	uint64_t up_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	return clock_unix_ms() - up_ms + start_ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

int process_boot(char ret[static PROCESS_BOOT_SIZE], struct err *err)
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot read this boot's id");
	if (fd_read_exact(fd, ret, PROCESS_BOOT_SIZE - 1, err) < 0)
		return err_wrap(err, "this boot's id");
	ret[PROCESS_BOOT_SIZE - 1] = '\0';
	return 0;
}
