#include "coordinator/rollout/deployment_impl.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "coordinator/rollout/prepare.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name
#define A(name) FAIRLEAD__V1__ACTION__ACTION_##name

/* On top of the host's own deadlines, so that the host's verdict comes first; and on top of a
 * call's, so that a host whose answer was lost can still be asked how far it is. */
enum { MARGIN_MS = 30000, LOOK_MS = 10000 };

/* What a host's state means to the engine; those between are only shown. */
static const struct {
	bool known, final;
	enum rollout_event event;
} meanings[] = {
	[S(PREPARED)] = {true, false, ROLLOUT_ON_PREPARED},
	[S(HEALTHY)] = {true, false, ROLLOUT_ON_HEALTHY},
	[S(COMMITTED)] = {true, true, ROLLOUT_ON_COMMITTED},
	[S(ABORTED)] = {true, true, ROLLOUT_ON_ABORTED},
	[S(ROLLED_BACK)] = {true, true, ROLLOUT_ON_ROLLED_BACK},
	[S(FAILED_SAFE)] = {true, true, ROLLOUT_ON_FAILED_SAFE},
};

/* Events from the last one shown: here and now, or by the coordinator before. */
static void init_events(struct deployment_target *target, const Fairlead__V1__AppStatus *app)
{
	const struct takeover_host *taken = target->host->taken;
	target->last_event = target->told_by_event = app->last_event;
	if (taken) {
		target->last_event = taken->shown;
		target->shown_before = taken->showing;
	}
	/* Its events were lost, numbers and all: what it has is new. */
	if (target->last_event > app->last_event)
		target->last_event = target->shown_before = 0;
	target->shown = target->last_event;
}

void target_init(struct deployment_target *target, struct deployment *deployment,
	const struct deployment_host *host, size_t index)
{
	*target = (struct deployment_target){
		.deployment = deployment,
		.host = host,
		.index = index,
		.attempt = host->taken ? host->taken->attempt : 0,
	};
	deployment_id_of_attempt(deployment->id, target->attempt, target->id);
	const Fairlead__V1__AppStatus *app = member_app(host->member);
	if (app)
		init_events(target, app);
}

/* Where the coordinator before left it. What has ended is told when its events were. */
static void adopt(struct deployment_target *target)
{
	const struct takeover_host *taken = target->host->taken;
	target->err = taken->err;
	if (taken->status && target_is_own(target, &taken->status->deployment_id)) {
		target->status = PB_COPY(Fairlead__V1__DeploymentStatus, taken->status);
		target->host_state = taken->status->state;
		report_phase(target->deployment->setup->report, target->host->report_index,
			report_state_name(target->host_state), 0, 0);
	}
	rollout_adopt(target->deployment->engine, target->index, taken->state, taken->err.code);
}

void target_begin(struct deployment_target *target)
{
	struct member *member = target->host->member;
	bool ready = member->state == MEMBER_READY;
	target->attachment = ready ? ATTACHED : ATTACH_GONE;
	target->err = member->err;
	target->sent_before = agent_client_sent_bytes(member->client);
	target->started_ms = clock_mono_ms();
	target_set_due(target, ROLLOUT_PREPARE); /* another coordinator may have asked for that */
	member->user = target;
	if (target->host->taken)
		adopt(target);
	else if (!ready)
		target_tell(target, ROLLOUT_ON_UNREACHABLE);
}

void target_release(struct deployment_target *target)
{
	agent_call_cancel(target->call);
	agent_call_cancel(target->watch);
	agent_call_cancel(target->question);
	if (target->status)
		pb_free(&target->status->base);
	if (target->app)
		pb_free(&target->app->base);
}

int target_bundle(struct deployment_target *target, struct err *err)
{
	const struct plan_host *plan = target->host->plan;
	if (!plan || digest_equal(&plan->from, &plan->to))
		return 0;
	return bundles_get(target->deployment->setup->bundles, &plan->from, &target->bundle, err);
}

/* ---- news ---- */

static bool is_final(enum rollout_state state)
{
	static const bool finals[ROLLOUT_STATE_COUNT] = {
		[ROLLOUT_COMMITTED] = true,
		[ROLLOUT_ABORTED] = true,
		[ROLLOUT_ROLLED_BACK] = true,
		[ROLLOUT_FAILED_SAFE] = true,
		[ROLLOUT_UNREACHED] = true,
		[ROLLOUT_LOST] = true,
	};
	return finals[state];
}

/* The host has accepted the deployment, or refused it. */
static void speak(struct deployment_target *target)
{
	if (target->index == target->deployment->leader)
		target->deployment->leader_spoke = true;
}

enum rollout_state target_state(const struct deployment_target *target)
{
	return rollout_host_state(target->deployment->engine, target->index);
}

bool target_is_over(const struct deployment_target *target)
{
	return is_final(target_state(target));
}

void target_report_end(struct deployment_target *target)
{
	struct deployment *d = target->deployment;
	if (target->reported)
		return;
	deployment_show_news(d);
	target->reported = true;
	target->ended_ms = clock_mono_ms();
	const char *diagnosis = target->status ? target->status->diagnosis : "";
	report_host_end(d->setup->report, target->host->report_index,
		rollout_state_name(target_state(target)),
		target->err.code != ERR_NONE ? &target->err : NULL, d->diagnosed ? "" : diagnosis);
	/* The hosts of a bad release all say the same; one log excerpt is enough to read. */
	d->diagnosed = d->diagnosed || diagnosis[0];
}

void target_tell(struct deployment_target *target, enum rollout_event event)
{
	speak(target);
	rollout_event(target->deployment->engine, target->index, event, target->err.code);
	if (target_is_over(target))
		target_report_end(target);
}

static void take_error(
	struct deployment_target *target, const Fairlead__V1__DeploymentStatus *status)
{
	const Fairlead__V1__ErrorDetail *detail = status->error;
	if (!detail || !detail->code[0])
		return;
	enum err_code code = err_code_from_name(detail->code);
	/* The abort was our doing, and so was the upload that it cut off. */
	if (target->verb == ROLLOUT_ABORT && (code == ERR_CANCELLED || code == ERR_UNREACHABLE))
		return;
	err_set(&target->err, code, "host '%s': %s", target->host->member->host->name,
		detail->message);
	err_hint(&target->err, "%s", detail->hint);
}

void target_keep_status(
	struct deployment_target *target, const Fairlead__V1__DeploymentStatus *status)
{
	if (target->status == status)
		return;
	Fairlead__V1__DeploymentStatus *old = target->status;
	target->status = PB_COPY(Fairlead__V1__DeploymentStatus, status);
	if (old)
		pb_free(&old->base);
}

bool target_state_is_final(Fairlead__V1__State state)
{
	return (size_t)state < ARRAY_LEN(meanings) && meanings[state].final;
}

bool target_state_is_switched(Fairlead__V1__State state)
{
	static const bool switched[] = {
		[S(RESTARTED)] = true,
		[S(SERVING)] = true,
		[S(HELD_AFTER)] = true,
		[S(HEALTHY)] = true,
		[S(COMMITTED)] = true,
	};
	return (size_t)state < ARRAY_LEN(switched) && switched[state];
}

void target_take_status(
	struct deployment_target *target, const Fairlead__V1__DeploymentStatus *status)
{
	target_keep_status(target, status);
	take_error(target, status);
	Fairlead__V1__State state = target->status->state;
	target->host_state = state;
	if (state == S(ABORTED) && target_send_again(target))
		return;
	if (state == S(HELD_BEFORE) || state == S(HELD_AFTER)) {
		target_refused(target); /* it takes a decision, and nothing else */
		return;
	}
	if ((size_t)state < ARRAY_LEN(meanings) && meanings[state].known) {
		target->unanswered = false;
		target_tell(target, meanings[state].event);
	}
}

const Fairlead__V1__DeploymentStatus *target_own_status(const struct deployment_target *target)
{
	const Fairlead__V1__AppStatus *app = target->app;
	if (app && app->running && target_is_own(target, &app->running->deployment_id))
		return app->running;
	if (app && app->last && target_is_own(target, &app->last->deployment_id))
		return app->last;
	return NULL;
}

bool target_is_own(const struct deployment_target *target, const ProtobufCBinaryData *id)
{
	return id->len == sizeof(target->id) && memcmp(id->data, target->id, id->len) == 0;
}

/* ---- events ---- */

/* A call under way has its own answer; without one the event is the answer. */
static void take_answer(struct deployment_target *target, const Fairlead__V1__Event *event)
{
	if (target->call || target->reported)
		return;
	if (event->status) {
		target_take_status(target, event->status);
	} else if (event->state == S(HEALTHY) && target->verb == ROLLOUT_ACTIVATE) {
		target->unanswered = false;
		target_tell(target, ROLLOUT_ON_HEALTHY);
	} else if (event->state == S(PREPARED) && target->host->taken) {
		/* Asked by the coordinator before. */
		target_tell(target, ROLLOUT_ON_PREPARED);
	}
}

static void on_event(void *user, const ProtobufCMessage *message)
{
	struct deployment_target *target = user;
	const Fairlead__V1__Event *event = (const void *)message;
	if (event->number <= target->last_event)
		return;
	target->last_event = event->number;
	if (event->missed) {
		target_news(target, event);
		return;
	}
	if (deployment_id_attempt(target->deployment->id, &event->deployment_id) ==
		DEPLOYMENT_ATTEMPTS_MAX)
		return;
	target_news(target, event);
	/* Of an attempt that is over, or older than the status it was found with. */
	if (!target_is_own(target, &event->deployment_id) ||
		(target->host->taken && event->number <= target->told_by_event))
		return;
	target->host_state = event->state;
	speak(target);
	take_answer(target, event);
}

static void on_watch_ended(void *user, const struct err *err)
{
	struct deployment_target *target = user;
	(void)err; /* if it was the link, that is told by itself */
	target->watch = NULL;
}

static const struct agent_call_ops watch_ops = {.message = on_event, .ended = on_watch_ended};

void target_watch(struct deployment_target *target)
{
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	Fairlead__V1__Watch watch = FAIRLEAD__V1__WATCH__INIT;
	watch.after_event = target->last_event;
	command.action = A(WATCH);
	command.watch = &watch;
	agent_call_cancel(target->watch);
	target->watch =
		agent_client_call(target->host->member->client, &command, 0, &watch_ops, target);
}

/* ---- answers ---- */

static void on_answer(void *user, const ProtobufCMessage *message)
{
	struct deployment_target *target = user;
	target_keep_status(target, (const void *)message);
}

static void on_upload(void *user, uint64_t done, uint64_t total)
{
	struct deployment_target *target = user;
	report_phase(target->deployment->setup->report, target->host->report_index, "sending", done,
		total);
}

void target_refused(struct deployment_target *target)
{
	target->unanswered = false;
	target_tell(target, ROLLOUT_ON_REFUSED);
}

/* A host answers when it is where the command leads, or has ended. Anything else would be waited
 * for in vain. */
static bool is_answer(const struct deployment_target *target, Fairlead__V1__State state)
{
	static const Fairlead__V1__State goals[] = {
		[ROLLOUT_PREPARE] = S(PREPARED),
		[ROLLOUT_ACTIVATE] = S(HEALTHY),
		[ROLLOUT_CONFIRM] = S(COMMITTED),
		[ROLLOUT_ABORT] = S(ABORTED),
	};
	return target_state_is_final(state) || state == goals[target->verb];
}

static void on_answered(void *user, const struct err *err)
{
	struct deployment_target *target = user;
	struct err odd = ERR_INIT;
	target->call = NULL;
	if (err->code == ERR_NONE && is_answer(target, target->status->state)) {
		target_take_status(target, target->status);
		return;
	}
	if (err->code == ERR_NONE) {
		err_set(&odd, ERR_INVALID, "host '%s' answers with the state '%s'",
			target->host->member->host->name, report_state_name(target->status->state));
		err = &odd;
	}
	if (err->code == ERR_UNREACHABLE) {
		target_lost(target, err);
		return;
	}
	target->err = *err;
	if (target->verb != ROLLOUT_PREPARE)
		target_look(target);
	else if (!target_prepare_again(target))
		target_refused(target);
}

static const struct agent_call_ops answer_ops = {
	.message = on_answer,
	.progress = on_upload,
	.ended = on_answered,
};

/* ---- commands ---- */

static struct agent_call *call(
	struct deployment_target *target, Fairlead__V1__Command *command, uint64_t deadline_ms)
{
	return agent_client_call(
		target->host->member->client, command, deadline_ms, &answer_ops, target);
}

/* A healthy host waits for the slowest one, whose activation may take all of its time. */
static uint64_t confirm_ms(const struct deployment_target *target)
{
	const struct app_config *config = target->deployment->setup->config;
	bool alone = target->deployment->count == 1;
	return config->confirm_timeout_ms + (alone ? 0 : config->activate_timeout_ms);
}

static uint64_t prepare_ms(const struct deployment_target *target)
{
	return target->deployment->setup->config->lease_ms + MARGIN_MS;
}

static struct agent_call *ask_deploy(
	struct deployment_target *target, Fairlead__V1__Command *command)
{
	const struct deployment_setup *setup = target->deployment->setup;
	struct prepare prepare;
	prepare_init(&prepare, setup->plan, target->host->plan, target->bundle, setup->actor);
	prepare.message.confirm_timeout_ms = confirm_ms(target);
	prepare.message.retry_bad = setup->bad == DEPLOYMENT_BAD_RETRIED;
	command->action = A(PREPARE);
	command->prepare = &prepare.message;
	struct agent_call *started = agent_client_prepare(target->host->member->client, command,
		target->bundle ? target->bundle->fd : -1,
		target->bundle ? target->bundle->info.bytes : 0, prepare_ms(target), &answer_ops,
		target);
	prepare_release(&prepare);
	return started;
}

static struct agent_call *ask_rollback(
	struct deployment_target *target, Fairlead__V1__Command *command)
{
	const struct deployment_setup *setup = target->deployment->setup;
	Fairlead__V1__Rollback rollback = FAIRLEAD__V1__ROLLBACK__INIT;
	rollback.target_manifest = target->host->rollback->manifest;
	rollback.actor = pb_str(setup->actor);
	rollback.lease_ms = setup->config->lease_ms;
	rollback.activate_timeout_ms = setup->config->activate_timeout_ms;
	rollback.confirm_timeout_ms = confirm_ms(target);
	command->action = A(ROLLBACK);
	command->rollback = &rollback;
	return call(target, command, prepare_ms(target));
}

static struct agent_call *ask_prepare(
	struct deployment_target *target, Fairlead__V1__Command *command)
{
	return target->host->plan ? ask_deploy(target, command) : ask_rollback(target, command);
}

/* Activation and, if it fails, the way back: each within the host's own deadline. */
static uint64_t activation_ms(const struct deployment_target *target)
{
	const struct app_config *config = target->deployment->setup->config;
	return 2 * config->activate_timeout_ms + config->failure_hooks_ms + MARGIN_MS;
}

static struct agent_call *ask_activate(
	struct deployment_target *target, Fairlead__V1__Command *command)
{
	command->action = A(ACTIVATE);
	return call(target, command, activation_ms(target));
}

static uint64_t commit_ms(const struct deployment_target *target)
{
	(void)target;
	return MARGIN_MS;
}

static struct agent_call *ask_confirm(
	struct deployment_target *target, Fairlead__V1__Command *command)
{
	command->action = A(CONFIRM);
	return call(target, command, commit_ms(target));
}

static struct agent_call *ask_abort(
	struct deployment_target *target, Fairlead__V1__Command *command)
{
	Fairlead__V1__Abort abort = FAIRLEAD__V1__ABORT__INIT;
	const struct deployment *d = target->deployment;
	bool asked = d->aborted || d->setup->aim == DEPLOYMENT_UNDO;
	abort.reason = pb_str(asked ? "on request" : "another host failed");
	command->action = A(ABORT);
	command->abort = &abort;
	return call(target, command, activation_ms(target));
}

static const struct {
	struct agent_call *(*ask)(struct deployment_target *target, Fairlead__V1__Command *command);
	uint64_t (*deadline_ms)(const struct deployment_target *target);
	const char *phase;
} asks[] = {
	[ROLLOUT_PREPARE] = {ask_prepare, prepare_ms, "preparing"},
	[ROLLOUT_ACTIVATE] = {ask_activate, activation_ms, "activating"},
	[ROLLOUT_CONFIRM] = {ask_confirm, commit_ms, "confirming"},
	[ROLLOUT_ABORT] = {ask_abort, activation_ms, "aborting"},
};

void target_set_due(struct deployment_target *target, enum rollout_verb verb)
{
	target->asked_ms = clock_mono_ms();
	target->due_ms = target->asked_ms + asks[verb].deadline_ms(target) + LOOK_MS;
}

void target_ask(struct deployment_target *target, enum rollout_verb verb)
{
	target->asked_again = target->asked_again && target->verb == verb;
	target->verb = verb;
	target_set_due(target, verb);
	target_ask_again(target);
}

void target_ask_again(struct deployment_target *target)
{
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	enum rollout_verb verb = target->verb;
	target->unanswered = true;
	if (target->attachment != ATTACHED)
		return; /* asked when the host is back */
	/* Only an abort comes while something else is under way, and replaces it. */
	agent_call_cancel(TAKE(target->call));
	report_phase(target->deployment->setup->report, target->host->report_index,
		asks[verb].phase, 0, 0);
	command.deployment_id = pb_borrow(target->id, sizeof(target->id));
	target->call = asks[verb].ask(target, &command);
}
