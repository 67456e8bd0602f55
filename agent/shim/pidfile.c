#include "agent/shim/pidfile.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>
#include <inttypes.h>

enum { LINE_MAX_BYTES = 256 };

int pidfile_write(int dirfd, const char *name, pid_t pid, const char *release, struct err *err)
{
	struct process process;
	char boot[PROCESS_BOOT_SIZE];
	if (process_read(pid, &process, err) < 0 || process_boot(boot, err) < 0)
		return -1;
	AUTO(buf) struct buf line = {0};
	buf_printf(&line, "%d %" PRIu64 " %s %s\n", pid, process.start_ticks, boot, release);
	AUTO_FREE char *temporary = xasprintf("%s.new", name);
	AUTO_CLOSE int fd = openat(
		dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, ERR_IO, errno, "cannot create '%s'", temporary);
	if (fd_write_all(fd, line.data, line.len, err) < 0)
		return err_wrap(err, "'%s'", temporary);
	if (renameat(dirfd, temporary, dirfd, name) < 0)
		return err_errno(err, ERR_IO, errno, "cannot write '%s'", name);
	return 0;
}

int pidfile_parse(const char *line, struct pidfile *ret)
{
	struct pidfile file = {0};
	int end = 0;
	if (sscanf(line, "%d %" SCNu64 " %36s %64s %n", &file.pid, &file.start_ticks, file.boot,
		    file.release, &end) != 4 ||
		line[end] != '\0' || file.pid <= 1)
		return -1;
	*ret = file;
	return 0;
}

int pidfile_read(int dirfd, const char *name, struct pidfile *ret, struct err *err)
{
	AUTO(buf) struct buf line = {0};
	if (file_read(dirfd, name, LINE_MAX_BYTES, &line, err) < 0)
		return -1;
	if (pidfile_parse(buf_str(&line), ret) < 0)
		return err_set(err, ERR_CORRUPT, "'%s' does not name a process", name);
	return 0;
}
