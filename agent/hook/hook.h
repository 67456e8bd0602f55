/* One program that the agent runs for a deployment, with all that it starts: begun, watched, and
 * ended whole.
 *
 * Between the core and the program stands a runner, a forked child of the core that is the
 * subreaper of everything below it and sits in a cgroup of its own with it, where this host has one
 * that can be written to. Invariant: when `ended` is called nothing of the tree is left, however it
 * forked, changed its session or let its parents die; nor is it long after the core is gone, for
 * the runner kills the tree when the core's end of their socket closes. Only what becomes of a
 * runner that was killed itself is left to hook_sweep, which the next core calls before anything
 * else.
 *
 * Loop thread only. A program gets stdin from /dev/null, and stdout and stderr in one pipe. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/os/process.h"
#include "common/os/spawn.h"

#include <uv.h>

struct hook;

/* All borrowed, and only for the call of hook_start. */
struct hook_setup {
	const char *name;    /* for messages: "bin/preflight" */
	const char *program; /* a path */
	const char *const *argv, *const *env;
	const char *cwd;
	const struct spawn_user *user; /* NULL: stay who we are */
	uint64_t timeout_ms;           /* then it is stopped, and has failed */
	const char *place;             /* hook_place of whose it is */
};

struct hook_ops {
	/* A line of output, escaped and cut; not all of them, when there are many. */
	void (*line)(void *user, const char *text);
	/* Once, and the hook is freed after: ERR_NONE when the program exited with 0. `tail` is the
	 * end of what it printed, escaped line by line; borrowed. */
	void (*ended)(void *user, const struct err *err, const char *tail);
};

/* Where what is left of it can be found after a crash; to be made durable before hook_go. */
struct hook_trace {
	char boot[PROCESS_BOOT_SIZE];
	pid_t runner;
	uint64_t start_ticks;
};

/* One agent runs at most one hook in a place at a time: a file name made of whose it is. The
 * caller's to free. It is also the mark that every process of the tree has in its environment. */
char *hook_place(const char *root, const char *app, const char *environment);
char *hook_mark(const char *place); /* "FAIRLEAD_HOOK_PLACE=..." */

/* The runner is there and waits; the program has not begun. ops is borrowed for its life. */
int hook_start(uv_loop_t *loop, const struct hook_setup *setup, const struct hook_ops *ops,
	void *user, struct hook **ret, struct err *err);
const struct hook_trace *hook_trace(const struct hook *hook);
void hook_go(struct hook *hook);
/* TERM to the whole tree, KILL after HOOK_GRACE_MS. `ended` comes when it is gone, with `why`. */
enum { HOOK_GRACE_MS = 3000 };
void hook_stop(struct hook *hook, const struct err *why);
/* The agent ends: the runner kills the tree, nobody waits for it. NULL is fine. */
void hook_abandon(struct hook *hook);

/* Kill what is left of the tree of a trace and wait until it is gone; blocks as long as that takes,
 * at most HOOK_SWEEP_MS (ERR_FAILED: something could not be ended). */
enum { HOOK_SWEEP_MS = 10000 };
int hook_sweep(const struct hook_trace *trace, const char *place, struct err *err);
