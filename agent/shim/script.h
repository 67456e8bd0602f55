/* One run of a script of the `command` driver: a deadline, an end, and what it wrote.
 *
 * One at a time for each service, also when the agent that began one has died: the file at
 * ShimSpec.socket_path is locked (flock(2)) while one runs. What a start script that ends well
 * leaves running is the service, and stays; of every other run, and of one that is not over at its
 * deadline, the whole tree is killed. A start script writes straight into the log, since the
 * service may go on writing there; what the others write is kept in memory, and of a stop script
 * copied to the log. */
#pragma once

#include "common/base/err.h"
#include "fairlead/v1/local.pb-c.h"

enum { SCRIPT_OUTPUT_MAX = 1024 * 1024, SCRIPT_TAIL = 4096 };

/* Run it; *ready_fd gets a packed ShimReply with `script` and is closed (and -1). -1 with err when
 * it did not run at all; then *ready_fd is as it was. */
int script_run(const Fairlead__V1__ShimSpec *spec, int *ready_fd, struct err *err);
