/* Taking up a deployment after the agent ended in the middle of it. Itself safe against the next
 * end: everything here is done again in the same way. */
#include "agent/core/deployment_impl.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

/* So often an act is taken up; what ends the agent that often is not left to try for ever. */
enum { RECOVERIES_MAX = 3 };

/* ---- what the journal says ---- */

static void replace(Fairlead__V1__JournalRecord **slot, const Fairlead__V1__JournalRecord *record)
{
	if (*slot)
		pb_free(&(*slot)->base);
	*slot = PB_COPY(Fairlead__V1__JournalRecord, record);
}

void deployment_past_add(struct deployment_past *past, const Fairlead__V1__JournalRecord *record)
{
	if (strcmp(record->step, DEPLOYMENT_STEP_RECOVERED) == 0) {
		past->recoveries++;
		return;
	}
	if (strcmp(record->step, DEPLOYMENT_STEP_CONCLUDED) == 0) {
		past->concluded = 1;
		return;
	}
	if (record->accepted)
		replace(&past->accepted, record);
	replace(&past->latest, record);
	past->recoveries = 0;
	past->concluded = 0;
}

void deployment_past_release(struct deployment_past *past)
{
	if (past->accepted)
		pb_free(&past->accepted->base);
	if (past->latest)
		pb_free(&past->latest->base);
	*past = (struct deployment_past){0};
}

/* ---- what each state needs ---- */

/* Those that the activation may have stopped or started. */
static void mark_touched(struct deployment *d)
{
	for (size_t i = 0; i < d->service_count; i++) {
		struct deployment_service *service = &d->services[i];
		if (!service->new_plan ||
			service->new_plan->action == FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART)
			service->touched = SERVICE_TOUCHED;
	}
}

static int give_up(struct deployment *d, const struct deployment_past *past, struct err *err)
{
	(void)past;
	(void)err;
	struct err cause = ERR_INIT;
	err_set(&cause, ERR_INTERNAL, "the agent was restarted before the host was prepared");
	deployment_event(d, MACHINE_FAIL, &cause);
	return 0;
}

/* The deadline says for how long. */
static int wait(struct deployment *d, const struct deployment_past *past, struct err *err)
{
	(void)past;
	(void)err;
	if (d->status->state == S(HEALTHY))
		mark_touched(d);
	return 0;
}

static int act_again(struct deployment *d, const struct deployment_past *past, struct err *err)
{
	if (past->recoveries >= RECOVERIES_MAX) {
		struct err cause = ERR_INIT;
		err_set(&cause, ERR_INTERNAL, "the agent ended %u times while the host was %s",
			past->recoveries + 1, machine_state_name(d->status->state));
		err_hint(&cause, "Read the agent's log on the host, and deploy again.");
		core_log("ALARM %s/%s: %s", d->app->name, d->app->environment, cause.message);
		deployment_event(d, MACHINE_STUCK, &cause);
		return 0;
	}
	if (deployment_note(d, DEPLOYMENT_STEP_RECOVERED, err) < 0)
		return -1;
	mark_touched(d);
	deployment_act(d);
	return 0;
}

/* Services are touched only after the switch was durable. */
static int look_at_switch(struct deployment *d, const struct deployment_past *past, struct err *err)
{
	struct digest current;
	if (store_current(&d->app->store, &current, err) < 0)
		return -1;
	if (digest_equal(&current, &d->to))
		return act_again(d, past, err);
	struct err cause = ERR_INIT;
	err_set(&cause, ERR_INTERNAL, "the agent was restarted before it switched");
	deployment_event(d, MACHINE_UNTOUCHED, &cause);
	return 0;
}

/* The outcome is in the journal; perhaps it is not yet in the log and with the release. */
static int conclude_again(struct deployment *d, const struct deployment_past *past, struct err *err)
{
	(void)err;
	pb_free(&d->status->base);
	d->status = PB_COPY(Fairlead__V1__DeploymentStatus, past->latest->status);
	d->log_how = DEPLOYMENT_LOG_COMPLETE;
	deployment_act(d);
	deployment_concluded(d);
	deployment_free(d);
	return 0;
}

static int (*const recoveries[MACHINE_STATE_COUNT])(
	struct deployment *, const struct deployment_past *, struct err *) = {
	[S(ACCEPTED)] = give_up,
	[S(FETCHED)] = give_up,
	[S(STAGED)] = give_up,
	[S(PREPARED)] = wait,
	[S(SWITCHED)] = look_at_switch,
	[S(RESTARTED)] = act_again,
	[S(HEALTHY)] = wait,
	[S(ROLLING_BACK)] = act_again,
	[S(COMMITTED)] = conclude_again,
	[S(ABORTED)] = conclude_again,
	[S(ROLLED_BACK)] = conclude_again,
	[S(FAILED_SAFE)] = conclude_again,
};

static void restore(struct deployment *d, const Fairlead__V1__JournalRecord *latest)
{
	d->status->state = latest->state;
	if (strcmp(latest->step, DEPLOYMENT_STEP_RELEASE_FAILED) == 0)
		d->blame = CAUSE_RELEASE;
	if (!latest->error)
		return;
	err_set(&d->cause, err_code_from_name(latest->error->code), "%s", latest->error->message);
	err_hint(&d->cause, "%s", latest->error->hint);
	deployment_set_error(d);
}

int deployment_recover(struct app *app, const struct deployment_past *past, struct err *err)
{
	struct deployment *d = NULL;
	if (!past->latest || past->concluded)
		return 0;
	Fairlead__V1__State state = past->latest->state;
	if ((unsigned)state >= MACHINE_STATE_COUNT || !recoveries[state])
		return err_set(
			err, ERR_CORRUPT, "the journal knows a state that this agent does not");
	if (deployment_build(app, PB_COPY(Fairlead__V1__JournalRecord, past->accepted), &d, err) <
		0)
		return -1;
	/* What has ended needs no services; the release it came from may be pruned. */
	if (!machine_is_final(state) && deployment_pair_services(d, err) < 0) {
		deployment_free(d);
		return -1;
	}
	app->running = d;
	restore(d, past->latest);
	core_log("%s/%s: taking up a deployment that was %s", app->name, app->environment,
		machine_state_name(state));
	deployment_set_deadline(d, past->latest->deadline_unix_ms);
	return recoveries[state](d, past, err);
}
