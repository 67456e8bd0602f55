/* The shim's one word to the agent that started it: a packed ShimReply in the ready pipe.
 *
 * Nobody listening any more is no reason to stop a good service: nothing fails here. It is one not
 * to begin: the agent died before it knew of us, and the next one decides anew what is to run. */
#pragma once

#include "common/base/err.h"
#include "fairlead/v1/local.pb-c.h"

#include <stdbool.h>

/* False when the agent has closed its end, or ended. */
bool report_is_awaited(int fd);
/* Sends and closes; *fd is -1 after. */
void report_status(int *fd, Fairlead__V1__ServiceStatus *status);
void report_script(int *fd, Fairlead__V1__ScriptEnd *script);
/* A status `failed`, or `error` when the release is not to blame; the message is err's, the hint on
 * a second line. */
void report_failure(int *fd, const struct err *err);
