/* How far the hosts are in a deployment that another coordinator began: as takeover_survey.c does.
 */
#include "common/base/mem.h"
#include "fleet.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

static const enum rollout_state meanings[MACHINE_STATE_COUNT] = {
	[S(UNSPECIFIED)] = ROLLOUT_WAITING,
	[S(ACCEPTED)] = ROLLOUT_PREPARING,
	[S(FETCHED)] = ROLLOUT_PREPARING,
	[S(STAGED)] = ROLLOUT_PREPARING,
	[S(PREPARED)] = ROLLOUT_PREPARED,
	[S(ACTIVATING)] = ROLLOUT_ACTIVATING,
	[S(HELD_BEFORE)] = ROLLOUT_ACTIVATING,
	[S(SWITCHED)] = ROLLOUT_ACTIVATING,
	[S(RESTARTED)] = ROLLOUT_ACTIVATING,
	[S(SERVING)] = ROLLOUT_ACTIVATING,
	[S(HELD_AFTER)] = ROLLOUT_ACTIVATING,
	[S(HEALTHY)] = ROLLOUT_HEALTHY,
	[S(COMMITTED)] = ROLLOUT_COMMITTED,
	[S(ABORTED)] = ROLLOUT_ABORTED,
	[S(ROLLING_BACK)] = ROLLOUT_ROLLING_BACK,
	[S(ROLLED_BACK)] = ROLLOUT_ROLLED_BACK,
	[S(FAILED_SAFE)] = ROLLOUT_FAILED_SAFE,
};

/* What the host says of it, or STATE_UNSPECIFIED. */
static Fairlead__V1__State state_of(const struct coordinator *c, size_t host)
{
	const struct answer *said = &c->targets[host].described;
	if (said->running == c->deployment)
		return said->running_state;
	return said->last == c->deployment ? said->last_state : S(UNSPECIFIED);
}

static enum err_code cause_of(const struct coordinator *c, size_t host)
{
	const struct answer *said = &c->targets[host].described;
	bool cancelled =
		said->running == c->deployment ? said->running_cancelled : said->last_cancelled;
	if (c->targets[host].link != LINK_UP)
		return ERR_UNREACHABLE;
	return cancelled ? ERR_CANCELLED : ERR_FAILED;
}

static bool any(const struct coordinator *c, bool (*is)(Fairlead__V1__State))
{
	for (size_t i = 0; i < c->count; i++)
		if (c->targets[i].link == LINK_UP && is(state_of(c, i)))
			return true;
	return false;
}

static bool is_at_it(Fairlead__V1__State state)
{
	return state != S(UNSPECIFIED) && !machine_is_final(state);
}

/* A host that says nothing of it: it has had another since, or was not asked yet. */
static enum rollout_state judge_silent(const struct coordinator *c, size_t host)
{
	const struct answer *said = &c->targets[host].described;
	if (said->last > c->deployment || said->running > c->deployment)
		return ROLLOUT_LOST;
	if (said->running)
		return ROLLOUT_ABORTED; /* the lock is another's */
	return any(c, is_at_it) ? ROLLOUT_WAITING : ROLLOUT_ABORTED;
}

void coordinator_adopt(struct coordinator *c)
{
	for (size_t i = 0; i < c->count; i++) {
		struct target *target = &c->targets[i];
		Fairlead__V1__State said = state_of(c, i);
		enum rollout_state state = ROLLOUT_LOST; /* not reached, and perhaps live */
		if (target->link == LINK_UP)
			state = said ? meanings[said] : judge_silent(c, i);
		world_say(&c->fleet->world, "coordinator %zu: host %zu is %s", c->index, i,
			rollout_state_name(state));
		target->verb = state == ROLLOUT_PREPARING ? ROLLOUT_PREPARE : ROLLOUT_ACTIVATE;
		target->unanswered = state == ROLLOUT_PREPARING;
		c->called_back |= cause_of(c, i) == ERR_CANCELLED && said != S(UNSPECIFIED);
		if (state != ROLLOUT_WAITING)
			rollout_adopt(c->engine, i, state, cause_of(c, i));
	}
}
