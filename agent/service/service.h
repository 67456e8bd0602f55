/* A service and the driver that runs it: one ops table a driver, one explicit registry.
 *
 * All ops are asynchronous on the core's libuv loop and never block it: `done` comes later, once,
 * on the loop, never from inside the call. One start or stop at a time for each service. Errors do
 * not name the service: the caller knows it. */
#pragma once

#include "agent/store/store.h"
#include "fairlead/v1/local.pb-c.h"

#include <uv.h>

struct service_context {
	uv_loop_t *loop;
	const struct store *store;
	const char *shim_path; /* the fairlead-shim program */
	int may_change_user;   /* 0: the agent is not root; services run as its own user */
};

/* err->code is ERR_NONE when it worked; then the status is there, borrowed. On failure it is NULL.
 */
typedef void service_done_fn(
	void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err);

/* What a stop is for: the sockets of a service that starts again stay open (SERVICE_STARTS_AGAIN),
 * and its start follows, or a stop that means SERVICE_ENDS. */
enum service_after_stop { SERVICE_ENDS, SERVICE_STARTS_AGAIN };

struct service_ops {
	const char *name; /* ServicePlan.driver */
	/* ERR_CONFIG when this host cannot run the plan (no such user, no such command in the
	 * release …). Called while preparing; touches nothing. May block briefly on disk. */
	int (*check)(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
		const char *release_path, struct err *err);
	/* The plan is borrowed for the call only, here and below. Start from the release; done when
	 * the process exists (or could not be started). Not idempotent: the caller has stopped the
	 * old one. ERR_FAILED: the command did not execute, and nothing is left of it. */
	int (*start)(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
		const struct digest *release, service_done_fn *done, void *user, struct err *err);
	/* Signal, wait stop_timeout_ms, kill the whole group; done when nothing of it is left.
	 * Idempotent: a service that is not there is stopped. */
	int (*stop)(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
		enum service_after_stop after, service_done_fn *done, void *user, struct err *err);
	/* Idempotent, and changes nothing of the service. The pid is the identity that health
	 * checks go by: another one is a restart; 0 when the driver does not know it. */
	int (*status)(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
		service_done_fn *done, void *user, struct err *err);
	/* A log file, opened for reading: `age` 0 the newest, 1 the one before it, and so on;
	 * ERR_NOT_FOUND when there is none of that age. Idempotent; may block briefly on disk. */
	int (*open_log)(const struct service_context *context,
		const Fairlead__V1__ServicePlan *plan, unsigned age, int *ret_fd, struct err *err);
};

/* Every driver of this agent, NULL behind the last. */
extern const struct service_ops *const service_drivers[];
/* The driver of that name; NULL if this agent has none. */
const struct service_ops *service_ops_find(const char *driver);

/* Append the last `lines` lines (at most 64 KiB) of an open log file, escaped line by line
 * (text_escape), for a failure report. May block on disk briefly. */
int service_log_tail(int fd, unsigned lines, struct buf *ret, struct err *err);
