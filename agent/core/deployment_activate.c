/* Activating: `current` points to the new tree, and the planned services run anew. */
#include "agent/core/deployment_impl.h"

#include "common/base/mem.h"

/* Stops and starts of the activation: each service in turn, so that its outage is the shortest;
 * those that the new release no longer has are stopped. */
static struct service_step *activation_steps(const struct deployment *d, size_t *ret_count)
{
	struct service_step *steps = xcalloc(2 * d->service_count, sizeof(*steps));
	for (size_t i = 0; i < d->service_count; i++) {
		const struct deployment_service *service = &d->services[i];
		if (service->new_plan &&
			service->new_plan->action != FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART)
			continue;
		deployment_add_step(steps, ret_count, SERVICE_STEP_STOP,
			service->old_plan ? service->old_plan : service->new_plan, &d->from, i);
		if (service->new_plan)
			deployment_add_step(
				steps, ret_count, SERVICE_STEP_START, service->new_plan, &d->to, i);
	}
	return steps;
}

static void on_activated(void *user, const struct err *err)
{
	struct deployment *d = user;
	d->sequence = NULL;
	if (d->undo_waits)
		deployment_undo_now(d);
	else if (err->code != ERR_NONE)
		deployment_fail(d, err);
	else
		deployment_event(d, MACHINE_RESTARTED, NULL);
}

static void on_tree_verified(struct deployment *d, const struct err *wrong)
{
	struct err err = *wrong;
	if (err.code != ERR_NONE || store_switch(&d->app->store, &d->to, &err) < 0) {
		deployment_fail(d, &err);
		return;
	}
	size_t count = 0;
	struct service_step *steps = activation_steps(d, &count);
	if (count == 0) {
		free(steps);
		deployment_event(d, MACHINE_RESTARTED, NULL);
		return;
	}
	d->sequence = service_sequence_start(
		&d->app->services, steps, count, deployment_service_begun, on_activated, d);
}

void deployment_switch(struct deployment *d)
{
	deployment_verify(d, &d->to, on_tree_verified);
}
