/* Asking a host how it stands, where what it answered, or did not, leaves room for a guess. */
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "coordinator/rollout/deployment_impl.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { QUESTION_DEADLINE_MS = 5000, READ_BACK_MS = 10000 };

static void on_app(void *user, const ProtobufCMessage *message)
{
	struct deployment_target *target = user;
	if (target->app)
		pb_free(&target->app->base);
	target->app = (Fairlead__V1__AppStatus *)(void *)pb_copy(message);
	agent_client_set_last_sequence(target->host->member->client, target->app->last_sequence);
}

static void question(struct deployment_target *target, const struct agent_call_ops *ops)
{
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	command.action = FAIRLEAD__V1__ACTION__ACTION_STATUS;
	target->question = agent_client_call(
		target->host->member->client, &command, QUESTION_DEADLINE_MS, ops, target);
}

/* ---- a command that was refused ---- */

/* The states in which the command is right, so that it was refused for another reason: its sequence
 * came behind that of another coordinator, or its answer took too long. */
static bool suits(enum rollout_verb verb, Fairlead__V1__State state)
{
	switch (verb) {
	case ROLLOUT_ACTIVATE:
		return state == S(PREPARED) || state == S(ACTIVATING) || state == S(SWITCHED) ||
		       state == S(RESTARTED) || state == S(SERVING);
	case ROLLOUT_CONFIRM:
		return state == S(HEALTHY);
	case ROLLOUT_ABORT:
		return !target_state_is_final(state);
	case ROLLOUT_PREPARE:
	case ROLLOUT_FINISH:
		break;
	}
	return false;
}

static void judge(struct deployment_target *target)
{
	const Fairlead__V1__DeploymentStatus *status = target_own_status(target);
	Fairlead__V1__State state = status ? status->state : S(UNSPECIFIED);
	bool done = target->verb == ROLLOUT_ACTIVATE && state == S(HEALTHY);
	if (target_state_is_final(state) || done) {
		err_clear(&target->err);
		target_take_status(target, status);
	} else if (suits(target->verb, state) && !target->asked_again) {
		err_clear(&target->err);
		target->asked_again = true;
		target_ask_again(target);
	} else if (state != S(ROLLING_BACK)) {
		target_refused(target);
	} else {
		/* An event tells how that ends; if none does, it is due one day. */
		target->host_state = state;
		target->unanswered = false;
	}
}

static void on_looked(void *user, const struct err *err)
{
	struct deployment_target *target = user;
	target->question = NULL;
	if (err->code == ERR_UNREACHABLE)
		target_lost(target, err);
	else if (err->code != ERR_NONE)
		target_refused(target);
	else
		judge(target);
}

void target_look(struct deployment_target *target)
{
	static const struct agent_call_ops ops = {.message = on_app, .ended = on_looked};
	agent_call_cancel(target->question);
	question(target, &ops);
}

/* ---- how it ended ---- */

static enum rollout_state final_state(Fairlead__V1__State state)
{
	static const enum rollout_state finals[] = {
		[S(COMMITTED)] = ROLLOUT_COMMITTED,
		[S(ABORTED)] = ROLLOUT_ABORTED,
		[S(ROLLED_BACK)] = ROLLOUT_ROLLED_BACK,
		[S(FAILED_SAFE)] = ROLLOUT_FAILED_SAFE,
	};
	return (size_t)state < ARRAY_LEN(finals) && finals[state] ? finals[state] : ROLLOUT_LOST;
}

/* A host that never took the deployment knows nothing of it, and that is as it should be. */
static bool was_never_asked(const struct deployment_target *target)
{
	return target_state(target) == ROLLOUT_ABORTED && !target->status;
}

/* It was read from the journal already, and the host speaks of another one by now. */
static bool is_proven(const struct deployment_target *target)
{
	return target->host->taken && target->host->taken->proven;
}

static void read_back(struct deployment_target *target)
{
	struct deployment *d = target->deployment;
	const Fairlead__V1__DeploymentStatus *status = target_own_status(target);
	enum rollout_state believed = target_state(target);
	if (!status && (was_never_asked(target) || is_proven(target)))
		return;
	if (status)
		target_keep_status(target, status);
	enum rollout_state said = status ? final_state(status->state) : ROLLOUT_LOST;
	/* Not activated, and its lease ends: the old release stays. But who came to abort it has
	 * not. */
	bool will_end = believed == ROLLOUT_ABORTED && d->setup->aim == DEPLOYMENT_FINISH;
	if (said == believed || (said == ROLLOUT_LOST && will_end))
		return;
	report_say(d->setup->report, "%s: taken for %s, but the host says %s",
		target->host->member->host->name, rollout_state_name(believed),
		status ? report_state_name(status->state) : "that it does not know it");
	rollout_correct(d->engine, target->index, said);
}

static void on_read(void *user, const struct err *err)
{
	struct deployment_target *target = user;
	target->question = NULL;
	/* What it said itself, as its answer or in an event, still stands. */
	if (err->code == ERR_NONE)
		read_back(target);
	else
		report_say(target->deployment->setup->report,
			"%s: how it ended could not be read once more (%s)",
			target->host->member->host->name, err->message);
}

static bool is_awaited(const struct deployment_target *target)
{
	if (target->question)
		return true;
	return target->watch && target->app && target->last_event < target->app->last_event;
}

void deployment_read_back(struct deployment *d)
{
	static const struct agent_call_ops ops = {.message = on_app, .ended = on_read};
	uint64_t deadline_ms = clock_mono_ms() + READ_BACK_MS;
	for (size_t i = 0; i < d->count; i++) {
		struct deployment_target *target = &d->targets[i];
		agent_call_cancel(TAKE(target->question));
		if (target->app)
			pb_free(&TAKE(target->app)->base);
		if (agent_client_link(target->host->member->client) == AGENT_LINK_OPEN)
			question(target, &ops);
	}
	for (size_t i = 0; i < d->count;) {
		if (d->left != LEFT_NOT || clock_mono_ms() >= deadline_ms)
			break;
		if (is_awaited(&d->targets[i]))
			deployment_turn(d);
		else
			i++;
	}
	for (size_t i = 0; i < d->count; i++)
		target_report_end(&d->targets[i]);
}
