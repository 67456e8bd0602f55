/* What the end of a status script says, by the exit statuses of LSB init scripts
 * (Linux Standard Base Core, "Init Script Actions"): 0 running, 3 stopped, 1 and 2 dead but its
 * pid or lock file is there; all others, a kill and a deadline say nothing. A line "pid=N" of its
 * output names the process that is the service. Pure but for a look at that process. */
#pragma once

#include "common/base/err.h"
#include "fairlead/v1/local.pb-c.h"

#include <sys/types.h>

enum command_state { COMMAND_RUNNING, COMMAND_STOPPED, COMMAND_DEAD };

struct command_status {
	enum command_state state;
	pid_t pid;         /* 0: none named */
	const char *words; /* why it is dead; static */
};

int command_status_read(
	const Fairlead__V1__ScriptEnd *end, struct command_status *ret, struct err *err);
/* The N of the last line "pid=N" of `text`; 0 for none. Pure. */
pid_t command_status_pid(const char *text, size_t len);
