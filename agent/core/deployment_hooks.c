#include "agent/core/deployment_hooks.h"

#include "common/base/mem.h"
#include "common/base/pb.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name
#define PHASE(name) FAIRLEAD__V1__HOOK_PHASE__HOOK_##name

enum { DIAGNOSIS_MAX = 64 * 1024 };

/* ---- which ---- */

static int is_meant(
	const struct deployment *d, const Fairlead__V1__Hook *hook, Fairlead__V1__HookPhase phase)
{
	return hook->phase == phase && !(d->record->accepted->is_rollback &&
					       hook->class_ == FAIRLEAD__V1__STEP_CLASS__STEP_ONCE);
}

unsigned deployment_hook_count(const struct deployment *d, Fairlead__V1__HookPhase phase)
{
	unsigned count = 0;
	for (size_t i = 0; i < d->plan->n_hooks; i++)
		count += is_meant(d, d->plan->hooks[i], phase) ? 1 : 0;
	return count;
}

static const Fairlead__V1__Hook *find(
	const struct deployment *d, Fairlead__V1__HookPhase phase, unsigned number)
{
	for (size_t i = 0; i < d->plan->n_hooks; i++)
		if (is_meant(d, d->plan->hooks[i], phase) && number-- == 0)
			return d->plan->hooks[i];
	return NULL;
}

static Fairlead__V1__HookPhase phase_of(const struct deployment *d)
{
	switch ((int)d->machine.state) {
	case S(ACTIVATING):
	case S(HELD_BEFORE):
		return PHASE(BEFORE);
	case S(SERVING):
	case S(HELD_AFTER):
		return PHASE(AFTER);
	case S(ABORTED):
	case S(ROLLED_BACK):
	case S(FAILED_SAFE):
		/* Before the activation nothing has failed that a program could look at. */
		return d->activated ? PHASE(ON_FAILURE) : PHASE(PHASE_UNSPECIFIED);
	default:
		return PHASE(PHASE_UNSPECIFIED);
	}
}

const Fairlead__V1__Hook *deployment_step_hook(const struct deployment *d)
{
	return find(d, phase_of(d), d->machine.step);
}

char *deployment_hook_text(const Fairlead__V1__Hook *hook)
{
	AUTO(buf) struct buf text = {0};
	for (size_t i = 0; i < hook->n_command; i++) {
		buf_append_str(&text, i ? " " : "");
		buf_append(&text, hook->command[i].data, hook->command[i].len);
	}
	return xstrdup(buf_str(&text));
}

bool deployment_is_cut_off(const struct deployment *d)
{
	const Fairlead__V1__Hook *hook = deployment_step_hook(d);
	return machine_recovery_of(d->machine.state) == MACHINE_RECOVERY_STEPS &&
	       d->machine.mark == MACHINE_MARK_BEGUN && hook &&
	       hook->class_ == FAIRLEAD__V1__STEP_CLASS__STEP_ONCE;
}

void deployment_set_held(struct deployment *d)
{
	const Fairlead__V1__Hook *hook =
		machine_is_held(d->machine.state) ? deployment_step_hook(d) : NULL;
	AUTO_FREE char *text = hook ? deployment_hook_text(hook) : xstrdup("");
	pb_set_str(&d->status->held_step, text);
}

int deployment_check_hooks(const struct deployment *d, struct err *err)
{
	for (size_t i = 0; i < d->plan->n_hooks; i++) {
		struct deployment_hook made;
		if (deployment_hook_prepare(d, d->plan->hooks[i], &made, err) < 0)
			return -1;
		deployment_hook_release(&made);
	}
	return 0;
}

/* ---- journalling ---- */

static int note(
	struct deployment *d, const char *what, const struct hook_trace *trace, struct err *err)
{
	Fairlead__V1__Step step = FAIRLEAD__V1__STEP__INIT;
	char boot[PROCESS_BOOT_SIZE];
	memcpy(boot, trace->boot, sizeof(boot));
	step.phase = d->hook_phase;
	step.number = d->hook_number;
	step.runner_pid = (uint64_t)trace->runner;
	step.start_ticks = trace->start_ticks;
	step.boot = boot;
	return deployment_note_hook(d, what, &step, err);
}

/* ---- running ---- */

static void keep_words(struct deployment *d, const char *name, const char *tail)
{
	AUTO(buf) struct buf text = {0};
	if (!tail[0])
		return;
	buf_append_str(&text, d->status->diagnosis);
	buf_printf(&text, "last lines of hook '%s':\n%s", name, tail);
	if (text.len > DIAGNOSIS_MAX)
		buf_consume(&text, text.len - DIAGNOSIS_MAX);
	pb_set_str(&d->status->diagnosis, buf_str(&text));
}

/* The outcome stands; what a hook of its thinks of it is only said. */
static void after_failure_hook(struct deployment *d, const struct err *err)
{
	if (err->code != ERR_NONE) {
		core_log("%s/%s: hook on_failure: %s", d->app->name, d->app->environment,
			err->message);
		deployment_tell(d, "hook on_failure", 0, 0, "%s", err->message);
	}
	machine_step_end(&d->machine);
	deployment_run_steps(d);
}

static void take_result(struct deployment *d, const struct hook_trace *trace, const struct err *err)
{
	struct err problem = ERR_INIT;
	int ended = err->code == ERR_NONE || d->hook_phase == PHASE(ON_FAILURE);
	if (note(d, ended ? DEPLOYMENT_STEP_END : DEPLOYMENT_STEP_STOPPED, trace, &problem) < 0) {
		core_die(d->app->core, &problem);
		return;
	}
	if (d->hook_phase == PHASE(ON_FAILURE)) {
		after_failure_hook(d, err);
	} else if (err->code == ERR_NONE) {
		machine_step_end(&d->machine);
		deployment_run_steps(d);
	} else {
		struct err cause = *err;
		err_wrap(&cause, "hook `%s`", deployment_phase_name(d->hook_phase));
		deployment_fail(d, &cause);
	}
}

/* Where events name a service, those of a hook name it. */
static void tell(struct deployment *d, const char *text)
{
	AUTO_FREE char *who = xasprintf("hook %s", d->hook_text);
	deployment_tell(d, who, 0, 0, "%s", text);
}

static void on_line(void *user, const char *text)
{
	tell(user, text);
}

static void on_ended(void *user, const struct err *err, const char *tail)
{
	struct deployment *d = user;
	const struct hook_trace trace = *hook_trace(d->hook);
	d->hook = NULL;
	AUTO_FREE char *text = TAKE(d->hook_text);
	if (d->after_hook == MACHINE_ACT_COUNT) {
		if (err->code != ERR_NONE || d->hook_phase == PHASE(ON_FAILURE))
			keep_words(d, text, tail);
		take_result(d, &trace, err);
		return;
	}
	struct err problem = ERR_INIT;
	enum machine_act act = d->after_hook;
	d->after_hook = MACHINE_ACT_COUNT;
	keep_words(d, text, tail);
	if (note(d, DEPLOYMENT_STEP_STOPPED, &trace, &problem) < 0)
		core_die(d->app->core, &problem);
	else
		deployment_act(d, act);
}

static const struct hook_ops ops = {.line = on_line, .ended = on_ended};

static int start(struct deployment *d, const Fairlead__V1__Hook *hook, struct err *err)
{
	struct deployment_hook made;
	if (deployment_hook_prepare(d, hook, &made, err) < 0)
		return -1;
	const struct hook_setup setup = {
		.name = d->hook_text,
		.program = made.program,
		.argv = (const char *const *)made.argv.items,
		.env = (const char *const *)made.env.items,
		.cwd = made.cwd,
		.user = made.changes_user ? &made.user : NULL,
		.timeout_ms = hook->timeout_ms,
		.place = d->app->hook_place,
	};
	int rc = hook_start(&d->app->core->loop, &setup, &ops, d, &d->hook, err);
	deployment_hook_release(&made);
	return rc;
}

static void begin(struct deployment *d, const Fairlead__V1__Hook *hook)
{
	struct err err = ERR_INIT;
	d->hook_phase = hook->phase;
	d->hook_number = d->machine.step;
	free(d->hook_text);
	d->hook_text = deployment_hook_text(hook);
	if (start(d, hook, &err) < 0) {
		const struct hook_trace none = {0};
		take_result(d, &none, &err);
		return;
	}
	if (note(d, DEPLOYMENT_STEP_BEGIN, hook_trace(d->hook), &err) < 0) {
		core_die(d->app->core, &err);
		return;
	}
	machine_step_begin(&d->machine);
	AUTO_FREE char *begun = xasprintf("running %s", deployment_phase_name(hook->phase));
	tell(d, begun);
	hook_go(d->hook);
}

void deployment_run_steps(struct deployment *d)
{
	const Fairlead__V1__Hook *hook = deployment_step_hook(d);
	if (hook)
		begin(d, hook);
	else if (machine_is_final(d->machine.state))
		deployment_finish(d);
	else
		deployment_event(d, MACHINE_STEPPED, NULL);
}

void deployment_stop_hook_then(struct deployment *d, enum machine_act act)
{
	struct err why = ERR_INIT;
	d->after_hook = act;
	err_set(&why, ERR_CANCELLED, "stopped");
	hook_stop(d->hook, &why);
}
