/* The inside of a struct link_loop: where nng's threads meet the one thread of the protocol.
 *
 * Any thread may loop_post; everything else belongs to the thread that dispatches. Order within
 * one dispatch: what was posted, then timers that are due, then tasks. Callbacks into the
 * application come from the first two only, so that tasks (flush, free) never run beneath one. */
#pragma once

#include "common/link/link.h"
#include "common/link/timer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/queue.h>

#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* Something to run once; lives inside its owner. Not to be posted again before it has run. */
struct loop_job {
	STAILQ_ENTRY(loop_job) next;
	void (*run)(struct loop_job *job);
};
STAILQ_HEAD(loop_jobs, loop_job);

/* Like a job, for the loop thread only; adding it twice before it runs is fine. */
struct loop_task {
	TAILQ_ENTRY(loop_task) next;
	void (*run)(struct loop_task *task);
	bool queued;
};

/* A link or a server: closed, without callbacks, when the loop is freed before it. */
struct loop_member {
	TAILQ_ENTRY(loop_member) next;
	void (*close)(struct loop_member *member);
};

struct link_loop {
	int epoll_fd, event_fd, timer_fd;
	uint64_t now_ms;
	uint64_t skew_ms; /* of our clock, see loop_advance */
	uint64_t armed_ms;
	struct timers timers;
	TAILQ_HEAD(, loop_task) tasks;
	TAILQ_HEAD(, loop_member) members;
	unsigned lingering;             /* links that still send their last frames */
	unsigned owned;                 /* objects whose nng parts are not gone yet */
	unsigned closing;               /* transports among them that were closed */
	struct buf plain_in, plain_out; /* one frame each, in use only while it is handled */

	pthread_mutex_t lock; /* guards what follows */
	struct loop_jobs posted;
	struct loop_jobs reapable;
	bool reaper_stops;
	pthread_cond_t reap;
	pthread_t reaper;
};

/* Run `job` on the loop thread. Any thread. */
void loop_post(struct link_loop *loop, struct loop_job *job);
/* Run `job` on the reaper thread, where nng may be waited for. */
void loop_reap(struct link_loop *loop, struct loop_job *job);
/* Run `task` at the end of this dispatch, or in the next. */
void loop_defer(struct link_loop *loop, struct loop_task *task);
void loop_forget(struct link_loop *loop, struct loop_task *task);
void loop_timer_set(struct link_loop *loop, struct timer *timer, uint64_t due_ms);
void loop_timer_stop(struct link_loop *loop, struct timer *timer);
/* Time as of this dispatch; read anew when the application calls from outside of one. */
uint64_t loop_now_ms(struct link_loop *loop);
/* Move this loop's clock forward, so that a test need not wait for a deadline. */
void loop_advance(struct link_loop *loop, uint64_t ms);
