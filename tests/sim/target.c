/* One host as a simulated coordinator sees it: as deployment_target.c and deployment_attach.c do.
 */
#include "common/base/mem.h"
#include "fleet.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { RETRY_MS = 500, REATTACH_MS = 20000, QUESTION_MS = 5000, MARGIN_MS = 30000 };

/* ---- news ---- */

static const struct {
	bool known;
	enum rollout_event event;
} meanings[MACHINE_STATE_COUNT] = {
	[S(PREPARED)] = {true, ROLLOUT_ON_PREPARED},
	[S(HEALTHY)] = {true, ROLLOUT_ON_HEALTHY},
	[S(COMMITTED)] = {true, ROLLOUT_ON_COMMITTED},
	[S(ABORTED)] = {true, ROLLOUT_ON_ABORTED},
	[S(ROLLED_BACK)] = {true, ROLLOUT_ON_ROLLED_BACK},
	[S(FAILED_SAFE)] = {true, ROLLOUT_ON_FAILED_SAFE},
};

void target_tell(struct target *target, enum rollout_event event)
{
	struct coordinator *c = target->coordinator;
	if (target->host == c->leader)
		c->leader_spoke = true;
	rollout_event(c->engine, target->host, event, target->error);
}

bool target_take_state(struct target *target, Fairlead__V1__State state)
{
	if (!meanings[state].known)
		return false;
	target->unanswered = false;
	target_tell(target, meanings[state].event);
	return true;
}

/* ---- asking ---- */

static uint64_t time_of(const struct target *target, enum rollout_verb verb)
{
	const struct machine_plan *plan = &target->coordinator->fleet->scenario.plan;
	if (verb == ROLLOUT_PREPARE)
		return plan->lease_ms + MARGIN_MS;
	return verb == ROLLOUT_CONFIRM ? MARGIN_MS : 2 * plan->activate_timeout_ms + MARGIN_MS;
}

/* A call that nobody answered in its time. */
static void on_late(void *user, uint64_t call)
{
	struct target *target = user;
	struct coordinator *c = target->coordinator;
	if (c->life != COORDINATOR_RUNS || target->call != call || target->link != LINK_UP)
		return;
	target->call = 0;
	target->unanswered = false;
	target->error = ERR_DEADLINE;
	world_say(&c->fleet->world, "coordinator %zu: host %zu does not answer", c->index,
		target->host);
	target_tell(target, ROLLOUT_ON_REFUSED);
	coordinator_drain(c);
}

static void fill(struct target *target, struct command *command)
{
	struct world *world = &target->coordinator->fleet->world;
	command->deployment = target->coordinator->deployment;
	command->call = target->call = ++target->coordinator->calls;
	command->not_before_unix_ms = world->now_ms;
	command->expires_unix_ms = world->now_ms + ENVELOPE_LIFETIME_MS;
}

void target_ask(struct target *target, enum rollout_verb verb)
{
	static const Fairlead__V1__Action actions[] = {
		[ROLLOUT_PREPARE] = FAIRLEAD__V1__ACTION__ACTION_PREPARE,
		[ROLLOUT_ACTIVATE] = FAIRLEAD__V1__ACTION__ACTION_ACTIVATE,
		[ROLLOUT_CONFIRM] = FAIRLEAD__V1__ACTION__ACTION_CONFIRM,
		[ROLLOUT_ABORT] = FAIRLEAD__V1__ACTION__ACTION_ABORT,
	};
	struct coordinator *c = target->coordinator;
	struct fleet *fleet = c->fleet;
	struct command command = {0};
	target->verb = verb;
	target->unanswered = true;
	if (target->link != LINK_UP)
		return; /* asked when the host is back */
	if (verb == ROLLOUT_PREPARE) {
		command = check_deployment(&fleet->check, c->deployment)->plan;
		command.from = target->described.current;
	}
	command.action = actions[verb];
	command.sequence = ++target->sequence;
	fill(target, &command);
	world_say(&fleet->world, "coordinator %zu: host %zu, %s", c->index, target->host,
		(const char *[]){"prepare", "activate", "confirm", "abort"}[verb]);
	net_command(&fleet->net, c->index, target->host, &command);
	world_after(&fleet->world, time_of(target, verb), on_late, target, target->call);
}

/* ---- links that break and come back ---- */

static void on_retry(void *user, uint64_t argument);

static void retry_later(struct target *target)
{
	world_after(&target->coordinator->fleet->world, RETRY_MS, on_retry, target, 0);
}

static void give_up(struct target *target)
{
	target->link = LINK_GONE;
	target->unanswered = false;
	target->error = ERR_UNREACHABLE;
	target_tell(target, ROLLOUT_ON_UNREACHABLE);
}

static void on_retry(void *user, uint64_t argument)
{
	struct target *target = user;
	struct coordinator *c = target->coordinator;
	struct fleet *fleet = c->fleet;
	(void)argument;
	if (c->life != COORDINATOR_RUNS || target->link != LINK_LOST)
		return;
	if (fleet->world.now_ms >= target->give_up_ms) {
		give_up(target);
		coordinator_drain(c);
		return;
	}
	net_dial(&fleet->net, c->index, target->host);
	retry_later(target);
}

void target_lost(struct target *target)
{
	if (target->link == LINK_GONE)
		return;
	bool news = target->link == LINK_UP;
	target->link = LINK_LOST;
	target->call = 0;
	if (!news) { /* its question went unanswered */
		retry_later(target);
		return;
	}
	target->give_up_ms = target->coordinator->fleet->world.now_ms + REATTACH_MS;
	/* An upload that broke off cannot be taken up: the host has aborted it. */
	if (target->verb == ROLLOUT_PREPARE && target->unanswered)
		give_up(target);
	else
		retry_later(target);
}

static void on_question_late(void *user, uint64_t call)
{
	struct target *target = user;
	struct coordinator *c = target->coordinator;
	if (target->link != LINK_ASKING || target->call != call)
		return;
	net_cut(&c->fleet->net, c->index, target->host);
}

void target_question(struct target *target)
{
	struct coordinator *c = target->coordinator;
	struct command command = {.action = ACTION_ASK};
	target->link = LINK_ASKING;
	fill(target, &command);
	net_command(&c->fleet->net, c->index, target->host, &command);
	world_after(&c->fleet->world, QUESTION_MS, on_question_late, target, target->call);
}

void target_taken_up(struct target *target, const struct answer *answer)
{
	uint64_t deployment = target->coordinator->deployment;
	bool running = answer->running == deployment, ended = answer->last == deployment;
	target->link = LINK_UP;
	target->call = 0;
	target->sequence = answer->last_sequence;
	if (!running && !ended) {
		give_up(target);
		return;
	}
	Fairlead__V1__State state = running ? answer->running_state : answer->last_state;
	world_say(&target->coordinator->fleet->world, "coordinator %zu: host %zu is back, %s",
		target->coordinator->index, target->host, machine_state_name(state));
	bool again = target->unanswered &&
		     (target->verb != ROLLOUT_ACTIVATE || state != S(ROLLING_BACK));
	if (!machine_is_final(state) && again)
		target_ask(target, target->verb);
	else if (machine_is_final(state) || target->unanswered)
		target_take_state(target, state);
	/* What the host tells from here on is heard; this was told a moment ago. */
	if (!target->call && machine_is_final(target->missed))
		target_take_state(target, target->missed);
	target->missed = 0;
}
