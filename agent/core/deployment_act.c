/* The acts of a deployment by the machine's table, and what several of them share. */
#include "agent/core/deployment_hooks.h"

#include "common/base/mem.h"

void deployment_service_begun(void *user, const struct service_step *step)
{
	static const char *const verbs[] = {
		[SERVICE_STEP_STOP] = "stopping",
		[SERVICE_STEP_START] = "starting",
	};
	struct deployment *d = user;
	d->services[step->tag].touched = SERVICE_TOUCHED;
	deployment_tell(d, step->plan->name, 0, 0, "%s", verbs[step->kind]);
}

void deployment_add_step(struct service_step *steps, size_t *count, enum service_step_kind kind,
	const Fairlead__V1__ServicePlan *plan, const struct digest *release, size_t tag)
{
	steps[(*count)++] = (struct service_step){kind, plan, *release, tag};
}

void deployment_fail(struct deployment *d, const struct err *err)
{
	deployment_event(d, MACHINE_FAIL, err);
}

/* Those that only wait have none. */
static void (*const acts[MACHINE_ACT_COUNT])(struct deployment *) = {
	[MACHINE_ACT_STAGE] = deployment_stage,
	[MACHINE_ACT_CHECK] = deployment_check,
	[MACHINE_ACT_STEPS] = deployment_run_steps,
	[MACHINE_ACT_SWITCH] = deployment_switch,
	[MACHINE_ACT_WATCH] = deployment_watch_health,
	[MACHINE_ACT_UNDO] = deployment_undo,
	[MACHINE_ACT_END] = deployment_close,
};

void deployment_act(struct deployment *d, enum machine_act act)
{
	/* Nothing else is done while anything of a hook is left. */
	if (d->hook)
		deployment_stop_hook_then(d, act);
	else if (acts[act])
		acts[act](d);
}

void deployment_stop_acts(struct deployment *d)
{
	worker_kill(TAKE(d->worker));
	hook_abandon(TAKE(d->hook));
	deployment_stop_watching(d);
	service_sequence_abandon(TAKE(d->sequence));
}
