/* The processes of a hook: found by their runner, their cgroup and their mark, and ended.
 *
 * Signals go to processes that are proven to be the ones that were found (process_signal). Reads
 * /proc and may block as that does. Inside agent/hook. */
#pragma once

#include "common/os/process.h"

/* "FAIRLEAD_CGROUP=off" in the agent's environment: do without cgroups. */
int tree_may_use_cgroup(void);
/* In the runner: signal everything below it and in its cgroup; returns how many there were. */
size_t tree_signal_below(pid_t runner, const char *place, int signal);
/* From outside, after a crash: the runner too, once nothing is left below it. */
struct hook_trace;
size_t tree_signal_left(const struct hook_trace *trace, const char *place, int signal);
