/* Taking up a deployment after the agent ended in the middle of it. Itself safe against the next
 * end: everything here is done again in the same way. */
#include "agent/core/deadman.h"
#include "agent/core/deployment_hooks.h"
#include "common/base/mem.h"
#include "common/base/pb.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

/* ---- what the journal says ---- */

static void replace(Fairlead__V1__JournalRecord **slot, const Fairlead__V1__JournalRecord *record)
{
	if (*slot)
		pb_free(&(*slot)->base);
	*slot = PB_COPY(Fairlead__V1__JournalRecord, record);
}

static void drop(Fairlead__V1__JournalRecord **slot)
{
	if (*slot)
		pb_free(&TAKE(*slot)->base);
}

static void hook_begun(struct deployment_past *past, const Fairlead__V1__JournalRecord *record)
{
	replace(&past->hook, record);
	past->mark = MACHINE_MARK_BEGUN;
}

static void hook_ended(struct deployment_past *past, const Fairlead__V1__JournalRecord *record)
{
	(void)record;
	drop(&past->hook);
	past->mark = MACHINE_MARK_NONE;
	past->step++;
	past->recoveries = 0;
}

/* Nothing of it is left; whether it was done is for the next state to say. */
static void hook_stopped(struct deployment_past *past, const Fairlead__V1__JournalRecord *record)
{
	(void)record;
	drop(&past->hook);
}

static void recovered(struct deployment_past *past, const Fairlead__V1__JournalRecord *record)
{
	(void)record;
	past->recoveries++;
}

static void concluded(struct deployment_past *past, const Fairlead__V1__JournalRecord *record)
{
	(void)record;
	drop(&past->hook);
	past->concluded = 1;
}

/* Records that enter no state. */
static const struct {
	const char *step;
	void (*add)(struct deployment_past *past, const Fairlead__V1__JournalRecord *record);
} notes[] = {
	{DEPLOYMENT_STEP_BEGIN, hook_begun},
	{DEPLOYMENT_STEP_END, hook_ended},
	{DEPLOYMENT_STEP_STOPPED, hook_stopped},
	{DEPLOYMENT_STEP_RECOVERED, recovered},
	{DEPLOYMENT_STEP_CONCLUDED, concluded},
};

/* As place_step() of machine.c did when the state was entered. */
static void place_step(struct deployment_past *past, const Fairlead__V1__JournalRecord *record)
{
	if (machine_is_held(record->state))
		return;
	if (strcmp(record->step, DEPLOYMENT_STEP_RESOLVED_DONE) == 0)
		past->step++;
	else if (strcmp(record->step, DEPLOYMENT_STEP_RESOLVED_REDO) != 0)
		past->step = 0;
	past->mark = MACHINE_MARK_NONE;
}

void deployment_past_add(struct deployment_past *past, const Fairlead__V1__JournalRecord *record)
{
	for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
		if (strcmp(record->step, notes[i].step) == 0) {
			notes[i].add(past, record);
			return;
		}
	}
	if (record->accepted) {
		replace(&past->accepted, record);
		past->activated = 0;
	}
	place_step(past, record);
	replace(&past->latest, record);
	past->activated |= record->state == S(ACTIVATING) || record->state == S(SWITCHED);
	past->recoveries = 0;
	past->concluded = 0;
}

void deployment_past_release(struct deployment_past *past)
{
	drop(&past->accepted);
	drop(&past->latest);
	drop(&past->hook);
	*past = (struct deployment_past){0};
}

/* ---- what is to be done ---- */

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

static int find_evidence(struct deployment *d, struct machine_evidence *ret, struct err *err)
{
	struct digest current;
	const Fairlead__V1__Hook *hook = deployment_step_hook(d);
	*ret = (struct machine_evidence){
		.class_ = hook && hook->class_ == FAIRLEAD__V1__STEP_CLASS__STEP_ONCE
				  ? MACHINE_STEP_ONCE
				  : MACHINE_STEP_AGAIN,
	};
	/* Only then it decides; what has ended is no longer where it was. */
	if (machine_recovery_of(d->machine.state) != MACHINE_RECOVERY_LOOK)
		return 0;
	if (store_current(&d->app->store, &current, err) < 0)
		return -1;
	ret->current = digest_equal(&current, &d->to) ? MACHINE_ON_NEW : MACHINE_ON_OLD;
	return 0;
}

static void explain_hold(struct deployment *d, struct err *ret)
{
	char id[33] = "";
	const ProtobufCBinaryData *bytes = &d->status->deployment_id;
	AUTO_FREE char *text = deployment_hook_text(deployment_step_hook(d));
	if (bytes->len == (sizeof(id) - 1) / 2)
		sodium_bin2hex(id, sizeof(id), bytes->data, bytes->len);
	err_set(ret, ERR_FAILED,
		"the agent ended while hook '%s' ran, which may run only once: nobody but you can "
		"tell whether it was done",
		text);
	err_hint(ret,
		"Look at what it does, then decide: fairlead resume %s --resolve done (go on), "
		"redo (run it again) or undo (go back).",
		id);
	core_log("ALARM %s/%s: %s", d->app->name, d->app->environment, ret->message);
}

/* Why the agent raises this event by itself. */
static void explain(struct deployment *d, enum machine_event event, struct err *ret)
{
	if (event == MACHINE_UNTOUCHED) {
		err_set(ret, ERR_INTERNAL, "the agent was restarted before it switched");
	} else if (event == MACHINE_HOLD) {
		explain_hold(d, ret);
	} else if (event == MACHINE_STUCK) {
		err_set(ret, ERR_INTERNAL, "the agent ended %u times while the host was %s",
			d->machine.recoveries + 1, machine_state_name(d->machine.state));
		err_hint(ret, "Read the agent's log on the host, and deploy again.");
		core_log("ALARM %s/%s: %s", d->app->name, d->app->environment, ret->message);
	} else {
		err_set(ret, ERR_INTERNAL, "the agent was restarted before the host was prepared");
	}
}

static int take_up(struct deployment *d, const struct machine_decision *decision, struct err *err)
{
	struct err cause = ERR_INIT;
	switch (decision->kind) {
	case MACHINE_DECIDE_WAIT:
		return 0; /* the deadline says for how long */
	case MACHINE_DECIDE_EVENT:
		explain(d, decision->event, &cause);
		deployment_event(d, decision->event, &cause);
		return 0;
	case MACHINE_DECIDE_AGAIN:
		if (deployment_note(d, DEPLOYMENT_STEP_RECOVERED, err) < 0)
			return -1;
		deployment_act(d, decision->act);
		return 0;
	case MACHINE_DECIDE_CONCLUDE:
		if (d->machine.mark == MACHINE_MARK_BEGUN &&
			deployment_note(d, DEPLOYMENT_STEP_RECOVERED, err) < 0)
			return -1;
		d->log_how = DEPLOYMENT_LOG_COMPLETE;
		deployment_act(d, decision->act);
		return 0;
	case MACHINE_DECIDE_REFUSE:
		break;
	}
	return err_set(err, ERR_CORRUPT, "the journal knows a state that this agent does not");
}

static void restore(struct deployment *d, const struct deployment_past *past)
{
	const Fairlead__V1__JournalRecord *latest = past->latest;
	d->machine.state = latest->state;
	struct deadline_now now = core_now(d->app->core);
	d->deadline_at = deadline_read(latest, &now);
	/* The way back has its time anew: what counts is how often it is taken up. */
	if (latest->state == FAIRLEAD__V1__STATE__STATE_ROLLING_BACK)
		deadline_set(&d->deadline_at, now.unix_ms + d->plan->activate_timeout_ms, &now);
	d->machine.deadline_unix_ms = d->deadline_at.unix_ms;
	d->machine.step = past->step;
	d->machine.mark = past->mark;
	d->machine.recoveries = past->recoveries;
	d->activated = past->activated;
	if (latest->status) { /* of an end: it was written when all was known */
		pb_free(&d->status->base);
		d->status = PB_COPY(Fairlead__V1__DeploymentStatus, latest->status);
	}
	d->status->state = latest->state;
	if (strcmp(latest->step, DEPLOYMENT_STEP_RELEASE_FAILED) == 0)
		d->blame = MACHINE_BLAME_RELEASE;
	deployment_set_held(d);
	if (!latest->error)
		return;
	err_set(&d->cause, err_code_from_name(latest->error->code), "%s", latest->error->message);
	err_hint(&d->cause, "%s", latest->error->hint);
	deployment_set_error(d);
}

/* Before anything else: what a dead agent left of a hook is ended. */
static void sweep(const struct app *app, const Fairlead__V1__JournalRecord *record)
{
	const Fairlead__V1__Step *step = record ? record->hook : NULL;
	struct hook_trace trace = {0};
	struct err err = ERR_INIT;
	if (!step || !step->runner_pid || strlen(step->boot) >= sizeof(trace.boot))
		return;
	memcpy(trace.boot, step->boot, strlen(step->boot));
	trace.runner = (pid_t)step->runner_pid;
	trace.start_ticks = step->start_ticks;
	if (hook_sweep(&trace, app->hook_place, &err) < 0)
		core_log("ALARM %s/%s: %s", app->name, app->environment, err.message);
}

int deployment_recover(struct app *app, const struct deployment_past *past, struct err *err)
{
	struct deployment *d = NULL;
	struct machine_evidence evidence;
	if (!past->latest || past->concluded)
		return 0;
	sweep(app, past->hook);
	Fairlead__V1__State state = past->latest->state;
	if (deployment_build(app, PB_COPY(Fairlead__V1__JournalRecord, past->accepted), &d, err) <
		0)
		return -1;
	restore(d, past);
	/* What has ended needs no services; the release it came from may be pruned. */
	if ((!machine_is_final(state) && deployment_pair_services(d, err) < 0) ||
		find_evidence(d, &evidence, err) < 0) {
		deployment_free(d);
		return -1;
	}
	enum machine_event event;
	struct err cause;
	enum deadman_verdict verdict =
		deadman_judge(d, past->latest, evidence.current == MACHINE_ON_NEW, &event, &cause);
	if (verdict == DEADMAN_LEAVE) {
		deployment_free(d);
		return 0;
	}
	app->running = d;
	core_log("%s/%s: taking up a deployment that was %s", app->name, app->environment,
		machine_state_name(state));
	mark_touched(d);
	if (verdict == DEADMAN_RAISE) {
		deployment_event(d, event, &cause);
		return 0;
	}
	deployment_arm(d);
	struct machine_decision decision = machine_recover(&d->machine, &evidence);
	return take_up(d, &decision, err);
}
