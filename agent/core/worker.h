/* Long disk work in a forked child, so that the core's loop never waits for a disk.
 *
 * The child runs `work` with the core's own rights and memory as it was, reports progress and its
 * error over a pipe, and exits; memory it used is gone with it. A fork without exec is safe here
 * because the core has one thread and no nng. The child must not touch the loop. */
#pragma once

#include "common/base/err.h"

#include <uv.h>

struct worker;
struct worker_pipe; /* the child's end */

typedef int worker_fn(void *user, struct worker_pipe *pipe, struct err *err);
typedef void worker_progress_fn(void *user, uint64_t done, uint64_t total);
/* On the loop, once; err->code is ERR_NONE when the work returned 0. The worker is freed after. */
typedef void worker_done_fn(void *user, const struct err *err);

int worker_start(uv_loop_t *loop, worker_fn *work, worker_progress_fn *progress,
	worker_done_fn *done, void *user, struct worker **ret, struct err *err);
/* In the child: tell the core how far it is. Never blocks; too many reports are dropped. */
void worker_report(struct worker_pipe *pipe, uint64_t done, uint64_t total);
/* Kill the child and wait for it: when this returns it has stopped touching the disk.
 * `done` is not called. NULL is fine. */
void worker_kill(struct worker *worker);
/* The same without waiting: the child is told to end, and is collected when it has. Its work must
 * only look, for it may go on for a moment. */
void worker_drop(struct worker *worker);
