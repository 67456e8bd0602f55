/* Watching the services that were started, on the way to the new release and on the way back. */
#include "agent/core/deployment_impl.h"

#include "common/base/mem.h"
#include "common/base/pb.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { DIAGNOSIS_LINES = 50 };

static void append_log(struct deployment *d, const Fairlead__V1__ServicePlan *plan, struct buf *out)
{
	const struct service_ops *ops = service_ops_find(plan->driver);
	int fd = -1;
	if (!ops || ops->open_log(&d->app->services, plan, 0, &fd, NULL) < 0)
		return;
	buf_printf(out, "last lines of the log of '%s':\n", plan->name);
	service_log_tail(fd, DIAGNOSIS_LINES, out, NULL);
	close(fd);
}

/* What an operator wants to read at once: the last answer and the last log lines. */
static void diagnose(struct deployment *d, const Fairlead__V1__ServicePlan *plan)
{
	AUTO(buf) struct buf text = {0};
	append_log(d, plan, &text);
	pb_set_str(&d->status->diagnosis, buf_str(&text));
}

static void on_tree_verified(struct deployment *d, const struct err *err)
{
	if (err->code != ERR_NONE)
		deployment_fail(d, err);
	else
		deployment_event(d, MACHINE_HEALTHY, NULL);
}

/* What goes on trial is looked at once more when it runs: it may have changed itself. */
static void all_healthy(struct deployment *d)
{
	if (d->status->state == S(ROLLING_BACK))
		deployment_event(d, MACHINE_UNDONE, NULL);
	else
		deployment_verify(d, &d->to, on_tree_verified);
}

static void on_verdict(void *user, const struct err *err)
{
	struct deployment_watch *watch = user;
	struct deployment *d = watch->d;
	const Fairlead__V1__ServicePlan *plan = watch->plan;
	watch->watch = NULL;
	if (err->code == ERR_NONE) {
		deployment_tell(d, plan->name, 0, 0, "healthy");
		if (++d->healthy_count == d->watch_count)
			all_healthy(d);
		return;
	}
	struct err cause = *err;
	err_wrap(&cause, "service '%s'", plan->name);
	if (d->status->state == S(ROLLING_BACK)) {
		deployment_undo_failed(d, &cause);
		return;
	}
	diagnose(d, plan);
	deployment_fail(d, &cause);
}

static int is_watched(const struct deployment_service *service, int undoing)
{
	if (undoing)
		return service->touched == SERVICE_TOUCHED && service->old_plan;
	return service->new_plan && service->touched == SERVICE_TOUCHED;
}

/* Watch the services that were started; without any there is nothing to wait for. */
void deployment_watch_health(struct deployment *d)
{
	int undoing = d->status->state == S(ROLLING_BACK);
	d->watches = xcalloc(d->service_count, sizeof(*d->watches));
	d->healthy_count = 0;
	for (size_t i = 0; i < d->service_count; i++) {
		const struct deployment_service *service = &d->services[i];
		if (!is_watched(service, undoing))
			continue;
		struct deployment_watch *watch = &d->watches[d->watch_count++];
		watch->d = d;
		watch->plan = undoing ? service->old_plan : service->new_plan;
		const struct health_subject subject = {
			.context = &d->app->services,
			.plan = watch->plan,
			.release = undoing ? &d->from : &d->to,
			.commit = undoing ? d->status->commit_from : d->status->commit_to,
		};
		watch->watch =
			health_watch_start(d->app->core->prober, &subject, on_verdict, watch);
	}
	if (d->watch_count == 0)
		all_healthy(d);
}

void deployment_stop_watching(struct deployment *d)
{
	for (size_t i = 0; i < d->watch_count; i++)
		health_watch_cancel(TAKE(d->watches[i].watch));
	free(TAKE(d->watches));
	d->watch_count = 0;
}
