#include "coordinator.h"

#include "common/base/mem.h"
#include "fleet.h"

/* ---- the engine's wishes ---- */

static void finish(struct coordinator *c)
{
	enum rollout_outcome outcome = rollout_outcome(c->engine);
	c->life = COORDINATOR_DONE;
	world_say(&c->fleet->world, "coordinator %zu: finished, %s (exit status %d)", c->index,
		rollout_outcome_name(outcome), rollout_outcome_exit_status(outcome));
}

static void act(struct coordinator *c, size_t index, enum rollout_verb verb)
{
	struct target *target = &c->targets[index];
	check_asked(&c->fleet->check, c, index, verb);
	if (verb == ROLLOUT_PREPARE && index != c->leader && !c->leader_spoke) {
		target->held = true;
	} else if (target->held) {
		target->held = false;
		target_tell(target, ROLLOUT_ON_ABORTED);
	} else {
		target_ask(target, verb);
	}
}

static void release_held(struct coordinator *c)
{
	for (size_t i = 0; i < c->count; i++) {
		struct target *target = &c->targets[i];
		if (!target->held)
			continue;
		target->held = false;
		target_ask(target, ROLLOUT_PREPARE);
	}
}

void coordinator_drain(struct coordinator *c)
{
	struct rollout_action action;
	while (c->life == COORDINATOR_RUNS && rollout_next(c->engine, &action)) {
		if (action.verb == ROLLOUT_FINISH)
			finish(c);
		else
			act(c, action.host, action.verb);
	}
	if (c->life == COORDINATOR_RUNS && c->leader_spoke)
		release_held(c);
}

/* ---- begin ---- */

static bool is_at_work(const struct coordinator *c)
{
	return c->life == COORDINATOR_CONNECTS || c->life == COORDINATOR_RUNS;
}

static size_t find_leader(const struct coordinator *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->targets[i].link == LINK_UP)
			return i;
	return c->count;
}

static void begin(struct coordinator *c)
{
	c->life = COORDINATOR_RUNS;
	c->engine = rollout_new(&c->fleet->scenario.policy, c->count);
	for (size_t i = 0; i < c->count; i++) {
		struct target *target = &c->targets[i];
		if (target->link == LINK_UP)
			continue;
		target->link = LINK_GONE;
		target->error = ERR_UNREACHABLE;
		if (c->how == BEGINS)
			target_tell(target, ROLLOUT_ON_UNREACHABLE);
	}
	if (c->how == RESUMES)
		coordinator_adopt(c);
	c->leader = find_leader(c);
	/* Those that are at it have said their word long ago. */
	c->leader_spoke |= c->how == RESUMES;
	rollout_start(c->engine);
	coordinator_drain(c);
}

/* Every dial has ended. */
static void count_answer(struct coordinator *c)
{
	if (++c->answered == c->count)
		begin(c);
}

static unsigned random_steps(struct fleet *fleet, unsigned count)
{
	unsigned once = 0;
	for (unsigned i = 0; i < count; i++)
		if (world_chance(&fleet->world, fleet->scenario.once_permille))
			once |= 1U << i;
	return once;
}

static void dial(struct coordinator *c)
{
	for (size_t i = 0; i < c->count; i++) {
		c->targets[i] = (struct target){.coordinator = c, .host = i};
		net_dial(&c->fleet->net, c->index, i);
	}
}

void coordinator_start(struct coordinator *c, struct fleet *fleet, size_t index)
{
	*c = (struct coordinator){
		.fleet = fleet,
		.index = index,
		.life = COORDINATOR_CONNECTS,
		.count = fleet->scenario.hosts,
		.deployment = check_new_deployment(&fleet->check),
	};
	struct command *signed_plan = &check_deployment(&fleet->check, c->deployment)->plan;
	*signed_plan = (struct command){
		.action = FAIRLEAD__V1__ACTION__ACTION_PREPARE,
		.deployment = c->deployment,
		.to = ++fleet->releases,
		.plan = fleet->scenario.plan,
		.once_before = random_steps(fleet, fleet->scenario.plan.before),
		.once_after = random_steps(fleet, fleet->scenario.plan.after),
	};
	world_count(&fleet->world, TALLY_DEPLOYMENTS);
	world_say(&fleet->world, "coordinator %zu: deploys release %u (deployment %llu)", index,
		signed_plan->to, (unsigned long long)c->deployment);
	dial(c);
}

static void look_around(struct coordinator *c)
{
	for (size_t i = 0; i < c->fleet->coordinator_count; i++) {
		struct coordinator *other = &c->fleet->coordinators[i];
		if (other != c && other->deployment == c->deployment && is_at_work(other))
			c->accompanied = other->accompanied = true;
	}
}

void coordinator_resume(
	struct coordinator *c, struct fleet *fleet, size_t index, uint64_t deployment)
{
	*c = (struct coordinator){
		.fleet = fleet,
		.index = index,
		.life = COORDINATOR_CONNECTS,
		.how = RESUMES,
		.count = fleet->scenario.hosts,
		.deployment = deployment,
	};
	world_count(&fleet->world, TALLY_RESUMES);
	world_say(&fleet->world, "coordinator %zu: resumes deployment %llu", index,
		(unsigned long long)deployment);
	look_around(c);
	dial(c);
}

void coordinator_release(struct coordinator *c)
{
	rollout_free(TAKE(c->engine));
}

void coordinator_interrupt(struct coordinator *c)
{
	if (c->life != COORDINATOR_RUNS)
		return;
	world_count(&c->fleet->world, TALLY_INTERRUPTS);
	world_say(&c->fleet->world, "coordinator %zu: interrupted", c->index);
	rollout_interrupt(c->engine);
	coordinator_drain(c);
}

void coordinator_kill(struct coordinator *c)
{
	if (!is_at_work(c))
		return;
	world_count(&c->fleet->world, TALLY_COORDINATOR_CRASHES);
	world_say(&c->fleet->world, "coordinator %zu: DIES", c->index);
	c->life = COORDINATOR_DEAD;
	net_coordinator_died(&c->fleet->net, c->index);
}

/* ---- what the network says ---- */

void coordinator_linked(struct coordinator *c, size_t host, uint64_t link)
{
	struct target *target = &c->targets[host];
	if (c->life == COORDINATOR_CONNECTS && !link) {
		target->link = LINK_GONE;
		count_answer(c);
	} else if (c->life == COORDINATOR_CONNECTS ||
		   (c->life == COORDINATOR_RUNS && link && target->link == LINK_LOST)) {
		target_question(target);
	}
}

void coordinator_lost(struct coordinator *c, size_t host)
{
	struct target *target = &c->targets[host];
	if (c->life == COORDINATOR_CONNECTS && target->link != LINK_GONE) {
		bool asked = target->link != LINK_UP;
		target->link = LINK_GONE;
		if (asked)
			count_answer(c);
	} else if (c->life == COORDINATOR_RUNS) {
		target_lost(target);
		coordinator_drain(c);
	}
}

static void on_described(struct target *target, const struct answer *answer)
{
	if (target->link == LINK_UP && answer->call == 0)
		target->described = *answer; /* what happens while others are dialled */
	if (target->link != LINK_ASKING || answer->call != target->call)
		return;
	target->call = 0;
	target->link = LINK_UP;
	target->described = *answer;
	target->sequence = answer->last_sequence;
	count_answer(target->coordinator);
}

static void on_answer(struct target *target, const struct answer *answer)
{
	target->call = 0;
	if (answer->error == ERR_NONE) {
		target_take_state(target, answer->state);
		return;
	}
	target->error = answer->error;
	if (target->verb == ROLLOUT_PREPARE && answer->error == ERR_AUTH && !target->caught_up) {
		/* Two coordinators at once: signed anew, above the other's sequence. */
		target->caught_up = true;
		target->error = ERR_NONE;
		target->sequence = answer->last_sequence;
		target_ask(target, ROLLOUT_PREPARE);
		return;
	}
	target->unanswered = false;
	target_tell(target, ROLLOUT_ON_REFUSED);
}

/* Without a call under way an event is the answer. */
static void on_event(struct target *target, const struct answer *answer)
{
	struct coordinator *c = target->coordinator;
	if (answer->deployment != c->deployment)
		return;
	if (target->host == c->leader)
		c->leader_spoke = true;
	Fairlead__V1__State goal = target->verb == ROLLOUT_ACTIVATE
					   ? FAIRLEAD__V1__STATE__STATE_HEALTHY
					   : FAIRLEAD__V1__STATE__STATE_PREPARED;
	if (target->link == LINK_ASKING)
		target->missed = answer->state;
	else if (!target->call && (machine_is_final(answer->state) || answer->state == goal))
		target_take_state(target, answer->state);
}

void coordinator_answered(struct coordinator *c, size_t host, const struct answer *answer)
{
	struct target *target = &c->targets[host];
	if (c->life == COORDINATOR_CONNECTS) {
		on_described(target, answer);
		return;
	}
	if (c->life != COORDINATOR_RUNS)
		return;
	if (answer->call == 0)
		on_event(target, answer);
	else if (answer->call != target->call)
		return; /* of a call that was given up */
	else if (target->link == LINK_ASKING)
		target_taken_up(target, answer);
	else
		on_answer(target, answer);
	coordinator_drain(c);
}
