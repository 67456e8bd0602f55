#include "coordinator/rollout/deployment_impl.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { RETRY_MS = 500, QUESTION_DEADLINE_MS = 5000 };

static void give_up(struct deployment_target *target)
{
	target->attachment = ATTACH_GONE;
	target->unanswered = false;
	target_tell(target, ROLLOUT_ON_UNREACHABLE);
}

/* ---- whoever does not get there ---- */

static bool is_on_its_way(const struct deployment_target *target)
{
	static const bool on_the_way[ROLLOUT_STATE_COUNT] = {
		[ROLLOUT_PREPARING] = true,
		[ROLLOUT_ACTIVATING] = true,
		[ROLLOUT_CONFIRMING] = true,
		[ROLLOUT_ABORTING] = true,
		[ROLLOUT_ROLLING_BACK] = true,
	};
	return on_the_way[target_state(target)] && !target->held;
}

/* Its own deadlines have passed, and it still says that it is at it; or breaks off whenever it is
 * asked. */
static void overdue(struct deployment_target *target, uint64_t now_ms)
{
	const char *name = target->host->member->host->name;
	const char *doing = rollout_state_name(target_state(target));
	agent_call_cancel(TAKE(target->call));
	agent_call_cancel(TAKE(target->question));
	err_set(&target->err, ERR_DEADLINE,
		"host '%s' is still %s after %llu s of %s, longer than its own deadlines allow",
		name, target->host_state ? report_state_name(target->host_state) : doing,
		(unsigned long long)(now_ms - target->asked_ms) / 1000, doing);
	err_hint(&target->err,
		"Look at the agent's log on '%s' and restart the agent there: it ends the "
		"deployment from its journal. Then run `fairlead resume`.",
		name);
	give_up(target);
}

void target_lost(struct deployment_target *target, const struct err *err)
{
	if (target->attachment == ATTACH_GONE || target->reported)
		return;
	uint64_t now = clock_mono_ms();
	bool news = target->attachment == ATTACHED;
	target->attachment = ATTACH_LOST;
	target->next_try_ms = now + (news ? 0 : RETRY_MS);
	target->err = *err;
	if (!news)
		return;
	target->give_up_ms = now + DEPLOYMENT_REATTACH_MS;
	/* An upload that broke off cannot be taken up: the host has aborted it. */
	if (target->verb == ROLLOUT_PREPARE && target->unanswered) {
		give_up(target);
		return;
	}
	report_say(target->deployment->setup->report, "%s; trying to reach it again", err->message);
}

/* ---- how far is it? ---- */

/* The command was lost with the link, or its answer will be: a host that is at it answers the same
 * command again. So there is always a call under way, and with it a deadline. What goes back has
 * its own, and no ear for anything but an abort. */
static bool wants_again(const struct deployment_target *target, Fairlead__V1__State state)
{
	if (!target->unanswered)
		return false;
	return target->verb != ROLLOUT_ACTIVATE || state != S(ROLLING_BACK);
}

static void take_up(struct deployment_target *target)
{
	const Fairlead__V1__DeploymentStatus *status = target_own_status(target);
	target->attachment = ATTACHED;
	agent_client_set_last_sequence(target->host->member->client, target->app->last_sequence);
	if (!status) {
		err_set(&target->err, ERR_NOT_FOUND,
			"host '%s' does not know the deployment any more",
			target->host->member->host->name);
		give_up(target);
		return;
	}
	Fairlead__V1__State state = target->host_state = status->state;
	report_say(target->deployment->setup->report, "%s is back, %s",
		target->host->member->host->name, report_state_name(state));
	target_watch(target);
	if (!target_state_is_final(state) && wants_again(target, state))
		target_ask_again(target);
	else if (target_state_is_final(state) || target->unanswered)
		target_take_status(target, status);
}

static void on_app(void *user, const ProtobufCMessage *message)
{
	struct deployment_target *target = user;
	if (target->app)
		pb_free(&target->app->base);
	target->app = (Fairlead__V1__AppStatus *)(void *)pb_copy(message);
}

static void on_asked(void *user, const struct err *err)
{
	struct deployment_target *target = user;
	target->question = NULL;
	if (err->code == ERR_NONE)
		take_up(target);
	else
		target_lost(target, err);
}

static const struct agent_call_ops question_ops = {.message = on_app, .ended = on_asked};

void target_back(struct deployment_target *target)
{
	if (target->attachment != ATTACH_LOST)
		return;
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	command.action = FAIRLEAD__V1__ACTION__ACTION_STATUS;
	target->attachment = ATTACH_ASKING;
	target->question = agent_client_call(target->host->member->client, &command,
		QUESTION_DEADLINE_MS, &question_ops, target);
}

void target_tick(struct deployment_target *target, uint64_t now_ms)
{
	if (now_ms >= target->due_ms && is_on_its_way(target))
		overdue(target, now_ms);
	if (now_ms < target->next_try_ms)
		return;
	if (target->attachment == ATTACHED && !target->watch && !target->reported) {
		target->next_try_ms = now_ms + RETRY_MS;
		target_watch(target);
	}
	if (target->attachment != ATTACH_LOST)
		return;
	struct agent_client *client = target->host->member->client;
	if (now_ms >= target->give_up_ms) {
		give_up(target);
		return;
	}
	target->next_try_ms = now_ms + RETRY_MS;
	if (agent_client_link(client) == AGENT_LINK_CLOSED)
		agent_client_redial(client);
	else if (agent_client_link(client) == AGENT_LINK_OPEN)
		target_back(target);
}
