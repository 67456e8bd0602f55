/* Who a service's process is, for the day its shim is not there to say so.
 *
 * One line, "<pid> <start ticks> <boot id> <release>", beside the control socket; written whole by
 * rename, not synced: after a power loss no process is left that it could name. */
#pragma once

#include "common/os/process.h"

enum { PIDFILE_RELEASE_SIZE = 65 }; /* a digest in hex */

struct pidfile {
	pid_t pid; /* also its session and process group */
	uint64_t start_ticks;
	char boot[PROCESS_BOOT_SIZE];
	char release[PIDFILE_RELEASE_SIZE];
};

/* For the running process `pid`. */
int pidfile_write(int dirfd, const char *name, pid_t pid, const char *release, struct err *err);
/* ERR_NOT_FOUND: no file; ERR_CORRUPT: not such a line. */
int pidfile_read(int dirfd, const char *name, struct pidfile *ret, struct err *err);
/* Pure; -1 if it does not parse. */
int pidfile_parse(const char *line, struct pidfile *ret);
