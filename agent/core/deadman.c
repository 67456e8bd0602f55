#include "agent/core/deadman.h"

#include "agent/core/deployment_hooks.h"
#include "agent/core/reboot.h"
#include "common/base/text.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

/* The new release is live and not confirmed. */
static bool is_on_trial(const struct deployment *d, bool on_new)
{
	static const bool trials[MACHINE_STATE_COUNT] = {
		[S(SWITCHED)] = true,
		[S(RESTARTED)] = true,
		[S(SERVING)] = true,
		[S(HEALTHY)] = true,
	};
	return trials[d->machine.state] && (d->machine.state != S(SWITCHED) || on_new);
}

/* It waits for something, or has not come to its end: only time or a command may end it. */
static bool is_undecided(const struct deployment *d, bool on_new)
{
	return d->machine.state == S(PREPARED) || d->machine.state == S(ACTIVATING) ||
	       is_on_trial(d, on_new);
}

static void leave(const struct deployment *d)
{
	char when[TEXT_TIME_SIZE];
	core_log("%s/%s: left alone: it is %s, and has time until %s", d->app->name,
		d->app->environment, machine_state_name(d->machine.state),
		d->deadline_at.unix_ms ? text_time(d->deadline_at.unix_ms, when)
				       : "somebody decides: fairlead resume");
}

enum deadman_verdict deadman_judge(const struct deployment *d,
	const Fairlead__V1__JournalRecord *latest, bool on_new, enum machine_event *ret_event,
	struct err *ret_cause)
{
	struct deadline_now now = core_now(d->app->core);
	bool late = d->deadline_at.unix_ms && deadline_left_ms(&d->deadline_at, &now) == 0;
	*ret_cause = ERR_INIT;
	/* Not even time decides about a step that may have been done: it is held. */
	if (deployment_is_cut_off(d)) {
		if (d->app->core->purpose != CORE_RECOVER)
			return DEADMAN_GO_ON;
		leave(d);
		return DEADMAN_LEAVE;
	}
	if (is_on_trial(d, on_new) && deadline_other_boot(latest, &now)) {
		*ret_event = MACHINE_ABORT;
		err_set(ret_cause, ERR_CANCELLED,
			"the host was rebooted before the deployment was confirmed");
		return DEADMAN_RAISE;
	}
	if (is_undecided(d, on_new) && late) {
		/* Not MACHINE_DEADLINE: the release is not to blame for an agent that was away. */
		*ret_event = MACHINE_ABORT;
		deployment_explain_deadline(d, ret_cause);
		err_wrap(ret_cause, "the agent was away");
		return DEADMAN_RAISE;
	}
	bool waits = is_undecided(d, on_new) || machine_is_held(d->machine.state);
	if (d->app->core->purpose != CORE_RECOVER || !waits)
		return DEADMAN_GO_ON;
	leave(d);
	return DEADMAN_LEAVE;
}

/* ---- `fairlead-agent recover` ---- */

static bool any_running(const struct core *core)
{
	for (const struct app *app = core->apps; app; app = app->next)
		if (app->running)
			return true;
	return false;
}

int deadman_run(struct core *core, struct err *err)
{
	reboot_start_services(core);
	while (core->fatal.code == ERR_NONE && (any_running(core) || reboot_is_busy(core)))
		uv_run(&core->loop, UV_RUN_ONCE);
	if (core->fatal.code == ERR_NONE)
		return 0;
	*err = core->fatal;
	return -1;
}
