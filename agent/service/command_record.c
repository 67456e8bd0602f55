#include "agent/service/command_record.h"

#include "agent/service/shim_start.h"
#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

enum { LINE_MAX_BYTES = 512 };

static char *path_of(const char *service)
{
	return xasprintf("%s/%s.command", shim_service_dir, service);
}

int command_record_parse(const char *line, struct command_record *ret)
{
	struct command_record found = {0};
	char release[65];
	if (sscanf(line, "%64s %u %d %" SCNu64 " %36s", release, &found.restarts, &found.pid,
		    &found.start_ticks, found.boot) != 5 ||
		!digest_from_hex(release, &found.release))
		return -1;
	*ret = found;
	return 0;
}

int command_record_read(
	const struct store *store, const char *service, struct command_record *ret, struct err *err)
{
	AUTO_FREE char *path = path_of(service);
	AUTO(buf) struct buf text = {0};
	struct err why = ERR_INIT;
	if (file_read(store->dirfd, path, LINE_MAX_BYTES, &text, &why) == 0)
		return command_record_parse(buf_str(&text), ret) < 0 ? COMMAND_RECORD_NONE
								     : COMMAND_RECORD_FOUND;
	if (why.code == ERR_NOT_FOUND)
		return COMMAND_RECORD_NONE;
	if (err)
		*err = why;
	return -1;
}

int command_record_write(const struct store *store, const char *service,
	const struct command_record *record, struct err *err)
{
	static const char *const dirs[] = {"state", shim_service_dir};
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (mkdirat(store->dirfd, dirs[i], 0700) < 0 && errno != EEXIST)
			return err_errno(
				err, ERR_IO, errno, "cannot make the directory '%s'", dirs[i]);
	AUTO_FREE char *path = path_of(service);
	char hex[DIGEST_HEX_SIZE];
	AUTO_FREE char *line = xasprintf("%s %u %d %" PRIu64 " %s\n",
		digest_hex(&record->release, hex), record->restarts, record->pid,
		record->start_ticks, *record->boot ? record->boot : "-");
	return file_write_atomic(store->dirfd, path, BYTES_STR(line), 0600, err);
}

void command_record_remove(const struct store *store, const char *service)
{
	AUTO_FREE char *path = path_of(service);
	unlinkat(store->dirfd, path, 0);
}

int command_record_see(struct command_record *record, pid_t pid)
{
	struct process process;
	char boot[PROCESS_BOOT_SIZE];
	if (pid <= 0 || process_read(pid, &process, NULL) < 0 || process_boot(boot, NULL) < 0)
		return 0;
	if (record->pid == pid && record->start_ticks == process.start_ticks &&
		strcmp(record->boot, boot) == 0)
		return 0;
	record->restarts += record->pid != 0;
	record->pid = pid;
	record->start_ticks = process.start_ticks;
	memcpy(record->boot, boot, sizeof(boot));
	return 1;
}
