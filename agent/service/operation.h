/* One asynchronous operation on the loop: an fd to wait for, a timer, one answer.
 *
 * Owns its handles and itself: after operation_finish or operation_fail it is gone as soon as the
 * loop has closed them. */
#pragma once

#include "agent/service/service.h"

struct operation {
	uv_poll_t poll;
	uv_timer_t timer;
	int fd; /* -1: none */
	int polling;
	const struct service_context *context;
	char *service;
	service_done_fn *done;
	void *user;
	struct buf received;
	void (*complete)(struct operation *op); /* shim_start.h */
	/* A question to a shim (driver_process.c). */
	Fairlead__V1__ShimVerb verb;
	uv_timer_cb without_shim;
	uint64_t timeout_ms;
	int asked_again;
	/* What stop_orphans (driver_process.c) is at. */
	int stop_signal;
	uint64_t stop_timeout_ms;
	uint64_t kill_at_ms;
	int signalled;
	int open_handles;
};

struct operation *operation_new(const struct service_context *context, const char *service,
	service_done_fn *done, void *user);
/* Take fd and call back when it is readable or closed. */
int operation_wait(struct operation *op, int fd, uv_poll_cb readable, struct err *err);
/* Stop waiting and close the fd. */
void operation_unwait(struct operation *op);
/* Call back later, once; replaces what was set before. */
void operation_after(struct operation *op, uint64_t ms, uv_timer_cb then);
/* The answer; the operation is then gone. */
void operation_finish(struct operation *op, const Fairlead__V1__ServiceStatus *status);
void operation_fail(struct operation *op, const struct err *err);
/* Gone without an answer. */
void operation_free(struct operation *op);
