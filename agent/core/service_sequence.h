/* A list of service operations, run one after another on the loop: the stops and starts of an
 * activation or of its undoing. The first failure ends it. Before a stop the service is asked what
 * runs; the start after it counts only when something else runs then. */
#pragma once

#include "agent/service/service.h"

enum service_step_kind { SERVICE_STEP_STOP, SERVICE_STEP_START };

struct service_step {
	enum service_step_kind kind;
	const Fairlead__V1__ServicePlan *plan; /* borrowed until the sequence ends */
	struct digest release;                 /* of a start */
	size_t tag;                            /* the caller's own: which service it is */
};

/* A process is its number and when it began; pid 0: none ran. */
struct service_identity {
	int64_t pid;
	uint64_t started_unix_ms;
};
/* Is what a start says it started a process that was not there before, of the step's release? One
 * that has ended already (pid 0) is for the health checks to judge. ERR_FAILED. Pure. */
int service_started_anew(const struct service_step *step, const struct service_identity *before,
	const Fairlead__V1__ServiceStatus *status, struct err *err);

struct service_sequence;
/* A step begins. */
typedef void service_sequence_step_fn(void *user, const struct service_step *step);
/* Once, on the loop and never from inside service_sequence_start: done, failed (err names the
 * service), or ended early on request (ERR_CANCELLED). The sequence is freed after. */
typedef void service_sequence_done_fn(void *user, const struct err *err);

/* Takes `steps` (malloc'ed); the context is borrowed. */
struct service_sequence *service_sequence_start(const struct service_context *context,
	struct service_step *steps, size_t count, service_sequence_step_fn *begun,
	service_sequence_done_fn *done, void *user);
/* Begin no further step; `done` comes when the one under way has ended. */
void service_sequence_stop(struct service_sequence *sequence);
/* The same, and `done` never comes. NULL is fine. */
void service_sequence_abandon(struct service_sequence *sequence);
