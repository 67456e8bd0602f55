/* Runs health probes for the core: `running` from the driver's status, `http` and `tcp` through
 * the unprivileged fairlead-probe worker, which keeps libcurl out of the core.
 *
 * The judgement (start_period, interval, timeout, retries, min_healthy) is the pure engine of
 * health.h; this is its shell on the loop. The worker is started on first use and again when it
 * dies (a probe that was under way then fails with its answer "probe worker died").
 *
 * An answer counts at once when the service itself holds the port that gave it (listener.h);
 * otherwise it is unproven (health.h). Why: docs/adr/0007-evidence-of-health.md. */
#pragma once

#include "agent/service/service.h"

struct prober;
/* probe_path: the fairlead-probe program; probe_user: to run it as, NULL for the core's own. */
int prober_new(uv_loop_t *loop, const char *probe_path, const char *probe_user, struct prober **ret,
	struct err *err);
/* Ends the worker. Every watch has been cancelled or has ended; the loop runs once more before it
 * is closed. NULL is fine. */
void prober_free(struct prober *prober);

struct health_watch;
/* The verdict on one service: healthy (ERR_NONE) when every probe is; failed on the first that
 * gives up, and at once when the service has ended for good. On failure err says which probe, its
 * last answer and latency, and which other process holds the port it asked. Called once, on the
 * loop; the watch is gone by then. */
typedef void health_done_fn(void *user, const struct err *err);
/* What is watched; all of it outlives the watch. */
struct health_subject {
	const struct service_context *context;
	const Fairlead__V1__ServicePlan *plan;
	const struct digest *release; /* that it was started from */
	const char *commit;           /* the release was made from; "": not known */
};
/* Watch it until it is healthy or failed. A service without probes gets `running` for 1 s. Nothing
 * counts that was asked before this call; `running` wants the process that is there now to stay
 * (another pid is a restart), and a restart makes the other probes begin anew. */
struct health_watch *health_watch_start(struct prober *prober, const struct health_subject *subject,
	health_done_fn *done, void *user);
/* No callback follows. NULL is fine. */
void health_watch_cancel(struct health_watch *watch);
