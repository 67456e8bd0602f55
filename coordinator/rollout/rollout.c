#include "coordinator/rollout/rollout.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdbool.h>

/* Where the fleet as a whole stands. */
enum phase {
	PHASE_PREPARE,
	PHASE_ACTIVATE,
	PHASE_CONFIRM,
	PHASE_UNDO,
	PHASE_OVER,
};

/* What an event means beside the new state. */
enum effect {
	EFFECT_REFUSED = 0, /* a missing cell: late or repeated news */
	EFFECT_NONE,
	EFFECT_FAILURE,       /* counts against max_failures */
	EFFECT_FAILURE_ABORT, /* counts, and the host still has to be told to go back */
	EFFECT_UNREACHED,     /* what the policy says of unreachable hosts */
};

struct rule {
	enum effect effect;
	enum rollout_state next;
};

#define GO(state)                                                                                  \
	{                                                                                          \
		EFFECT_NONE, ROLLOUT_##state                                                       \
	}
#define FAIL(state)                                                                                \
	{                                                                                          \
		EFFECT_FAILURE, ROLLOUT_##state                                                    \
	}

/* What a host has come to by another coordinator of the same deployment: resumed while the first
 * was still there. */
#define BY_ANOTHER                                                                                 \
	[ROLLOUT_ON_COMMITTED] = GO(COMMITTED), [ROLLOUT_ON_ROLLED_BACK] = FAIL(ROLLED_BACK),      \
	[ROLLOUT_ON_FAILED_SAFE] = FAIL(FAILED_SAFE)

/* The final states have no cells: nothing is news to them. What is final on a host is news in every
 * other state, or a coordinator would wait for it for ever. */
static const struct rule rules[ROLLOUT_STATE_COUNT][ROLLOUT_EVENT_COUNT] = {
	[ROLLOUT_WAITING] =
		{
			[ROLLOUT_ON_UNREACHABLE] = {EFFECT_UNREACHED, ROLLOUT_UNREACHED},
		},
	[ROLLOUT_PREPARING] =
		{
			BY_ANOTHER,
			[ROLLOUT_ON_PREPARED] = GO(PREPARED),
			[ROLLOUT_ON_ABORTED] = FAIL(ABORTED),
			[ROLLOUT_ON_REFUSED] = FAIL(ABORTED),
			[ROLLOUT_ON_UNREACHABLE] = {EFFECT_UNREACHED, ROLLOUT_UNREACHED},
		},
	[ROLLOUT_PREPARED] =
		{
			BY_ANOTHER,
			[ROLLOUT_ON_ABORTED] = FAIL(ABORTED),
			[ROLLOUT_ON_UNREACHABLE] = {EFFECT_UNREACHED, ROLLOUT_UNREACHED},
		},
	[ROLLOUT_ACTIVATING] =
		{
			[ROLLOUT_ON_HEALTHY] = GO(HEALTHY),
			[ROLLOUT_ON_COMMITTED] = GO(COMMITTED),
			[ROLLOUT_ON_ABORTED] = FAIL(ABORTED),
			[ROLLOUT_ON_ROLLED_BACK] = FAIL(ROLLED_BACK),
			[ROLLOUT_ON_FAILED_SAFE] = FAIL(FAILED_SAFE),
			[ROLLOUT_ON_REFUSED] = {EFFECT_FAILURE_ABORT, ROLLOUT_ROLLING_BACK},
			[ROLLOUT_ON_UNREACHABLE] = FAIL(LOST),
		},
	[ROLLOUT_HEALTHY] =
		{
			[ROLLOUT_ON_COMMITTED] = GO(COMMITTED),
			[ROLLOUT_ON_ABORTED] = FAIL(ABORTED),
			[ROLLOUT_ON_ROLLED_BACK] = FAIL(ROLLED_BACK),
			[ROLLOUT_ON_FAILED_SAFE] = FAIL(FAILED_SAFE),
			[ROLLOUT_ON_UNREACHABLE] = FAIL(LOST),
		},
	[ROLLOUT_CONFIRMING] =
		{
			[ROLLOUT_ON_COMMITTED] = GO(COMMITTED),
			[ROLLOUT_ON_ABORTED] = FAIL(ABORTED),
			[ROLLOUT_ON_ROLLED_BACK] = FAIL(ROLLED_BACK),
			[ROLLOUT_ON_FAILED_SAFE] = FAIL(FAILED_SAFE),
			[ROLLOUT_ON_REFUSED] = {EFFECT_FAILURE_ABORT, ROLLOUT_ROLLING_BACK},
			[ROLLOUT_ON_UNREACHABLE] = FAIL(LOST),
		},
	[ROLLOUT_ABORTING] =
		{
			[ROLLOUT_ON_ABORTED] = GO(ABORTED),
			[ROLLOUT_ON_COMMITTED] = GO(COMMITTED),
			[ROLLOUT_ON_ROLLED_BACK] = GO(ROLLED_BACK),
			[ROLLOUT_ON_FAILED_SAFE] = GO(FAILED_SAFE),
			/* Never activated, so its lease keeps the old release whatever it answers.
			 */
			[ROLLOUT_ON_REFUSED] = GO(ABORTED),
			[ROLLOUT_ON_UNREACHABLE] = GO(UNREACHED),
		},
	[ROLLOUT_ROLLING_BACK] =
		{
			[ROLLOUT_ON_COMMITTED] = GO(COMMITTED),
			[ROLLOUT_ON_ABORTED] = GO(ABORTED),
			[ROLLOUT_ON_ROLLED_BACK] = GO(ROLLED_BACK),
			[ROLLOUT_ON_FAILED_SAFE] = GO(FAILED_SAFE),
			[ROLLOUT_ON_REFUSED] = GO(LOST),
			[ROLLOUT_ON_UNREACHABLE] = GO(LOST),
		},
};

static const char *const state_names[] = {
	[ROLLOUT_WAITING] = "waiting",
	[ROLLOUT_PREPARING] = "preparing",
	[ROLLOUT_PREPARED] = "prepared",
	[ROLLOUT_ACTIVATING] = "activating",
	[ROLLOUT_HEALTHY] = "healthy",
	[ROLLOUT_CONFIRMING] = "confirming",
	[ROLLOUT_COMMITTED] = "committed",
	[ROLLOUT_ABORTING] = "aborting",
	[ROLLOUT_ROLLING_BACK] = "rolling_back",
	[ROLLOUT_ABORTED] = "aborted",
	[ROLLOUT_ROLLED_BACK] = "rolled_back",
	[ROLLOUT_FAILED_SAFE] = "failed_safe",
	[ROLLOUT_UNREACHED] = "unreachable",
	[ROLLOUT_LOST] = "lost",
};
static_assert(ARRAY_LEN(state_names) == ROLLOUT_STATE_COUNT, "a state without a name");

static const struct {
	const char *name;
	int exit_status;
} outcomes[] = {
	[ROLLOUT_RUNNING] = {"running", 1},
	[ROLLOUT_DONE] = {"committed", 0},
	[ROLLOUT_DONE_SKIPPED] = {"committed_some_skipped", 11},
	[ROLLOUT_LOCKED] = {"locked", 3},
	[ROLLOUT_DENIED] = {"denied", 8},
	[ROLLOUT_UNCHANGED] = {"not_changed", 4},
	[ROLLOUT_REVERTED] = {"rolled_back", 5},
	[ROLLOUT_MIXED] = {"mixed", 6},
	[ROLLOUT_REVERT_FAILED] = {"rollback_failed", 7},
	[ROLLOUT_INTERRUPTED] = {"aborted", 10},
};
static_assert(ARRAY_LEN(outcomes) == ROLLOUT_OUTCOME_COUNT, "an outcome without a row");

struct rollout {
	struct rollout_policy policy;
	enum phase phase;
	enum rollout_state *hosts;
	size_t count;
	unsigned failures;
	enum err_code cause;   /* of the first failure */
	enum err_code skipped; /* of the first host that was left out */
	bool stop_unreached;   /* a host could not be reached, and the policy is to fail */
	bool started, interrupted;
	bool called_back; /* by another coordinator, before this one */
	enum rollout_outcome outcome;
	/* Actions to hand out. A host gets at most a prepare, an activate, a confirm and an
	 * abort, the fleet one finish: so the room is known. */
	struct rollout_action *queue;
	size_t queued, taken;
};

struct rollout *rollout_new(const struct rollout_policy *policy, size_t host_count)
{
	struct rollout *r = xcalloc(1, sizeof(*r));
	r->policy = *policy;
	r->count = host_count;
	r->hosts = xcalloc(host_count ? host_count : 1, sizeof(*r->hosts));
	r->queue = xcalloc(4 * host_count + 1, sizeof(*r->queue));
	return r;
}

void rollout_free(struct rollout *rollout)
{
	if (!rollout)
		return;
	free(rollout->hosts);
	free(rollout->queue);
	free(rollout);
}

static void emit(struct rollout *r, enum rollout_verb verb, size_t host)
{
	assert(r->queued < 4 * r->count + 1);
	r->queue[r->queued++] = (struct rollout_action){.verb = verb, .host = host};
}

static size_t count_in(const struct rollout *r, enum rollout_state state)
{
	size_t n = 0;
	for (size_t i = 0; i < r->count; i++)
		n += r->hosts[i] == state;
	return n;
}

/* Every host in `from` goes to `to` and gets its action. */
static void move_all(
	struct rollout *r, enum rollout_state from, enum rollout_state to, enum rollout_verb verb)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->hosts[i] != from)
			continue;
		r->hosts[i] = to;
		emit(r, verb, i);
	}
}

/* Nothing live was changed anywhere: the first cause says which kind of no it was. */
static enum rollout_outcome outcome_unchanged(enum err_code cause)
{
	if (cause == ERR_LOCKED)
		return ROLLOUT_LOCKED;
	if (cause == ERR_AUTH || cause == ERR_DENIED)
		return ROLLOUT_DENIED;
	return ROLLOUT_UNCHANGED;
}

static enum rollout_outcome judge(const struct rollout *r)
{
	size_t committed = count_in(r, ROLLOUT_COMMITTED);
	size_t reverted = count_in(r, ROLLOUT_ROLLED_BACK);
	if (count_in(r, ROLLOUT_FAILED_SAFE))
		return ROLLOUT_REVERT_FAILED;
	if (count_in(r, ROLLOUT_LOST))
		return ROLLOUT_MIXED;
	if (committed && reverted + count_in(r, ROLLOUT_ABORTED))
		return ROLLOUT_MIXED;
	if (committed)
		return count_in(r, ROLLOUT_UNREACHED) ? ROLLOUT_DONE_SKIPPED : ROLLOUT_DONE;
	if (r->interrupted || r->cause == ERR_CANCELLED)
		return ROLLOUT_INTERRUPTED;
	if (reverted)
		return ROLLOUT_REVERTED;
	if (r->count == 0)
		return ROLLOUT_DONE;
	return outcome_unchanged(r->cause ? r->cause : r->skipped);
}

static enum phase finish(struct rollout *r)
{
	r->outcome = judge(r);
	emit(r, ROLLOUT_FINISH, 0);
	return PHASE_OVER;
}

static bool must_undo(const struct rollout *r)
{
	if (r->interrupted || r->called_back)
		return true;
	bool too_many = r->failures > r->policy.max_failures;
	if (r->phase == PHASE_PREPARE)
		return too_many || r->stop_unreached;
	return too_many && r->policy.on_failure == APP_ON_FAILURE_ROLLBACK_ALL;
}

static enum phase undo(struct rollout *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->hosts[i] == ROLLOUT_WAITING)
			r->hosts[i] = ROLLOUT_ABORTED;
	move_all(r, ROLLOUT_PREPARING, ROLLOUT_ABORTING, ROLLOUT_ABORT);
	move_all(r, ROLLOUT_PREPARED, ROLLOUT_ABORTING, ROLLOUT_ABORT);
	move_all(r, ROLLOUT_ACTIVATING, ROLLOUT_ROLLING_BACK, ROLLOUT_ABORT);
	move_all(r, ROLLOUT_HEALTHY, ROLLOUT_ROLLING_BACK, ROLLOUT_ABORT);
	return PHASE_UNDO;
}

static enum phase step_prepare(struct rollout *r)
{
	if (must_undo(r))
		return undo(r);
	if (count_in(r, ROLLOUT_WAITING) + count_in(r, ROLLOUT_PREPARING))
		return PHASE_PREPARE;
	if (count_in(r, ROLLOUT_PREPARED) == 0)
		return finish(r);
	return PHASE_ACTIVATE;
}

/* Those still to be activated, and those that are at it. More than none only on the way in, and
 * where hosts were adopted. */
static size_t activate_prepared(struct rollout *r)
{
	move_all(r, ROLLOUT_PREPARED, ROLLOUT_ACTIVATING, ROLLOUT_ACTIVATE);
	return count_in(r, ROLLOUT_PREPARING) + count_in(r, ROLLOUT_ACTIVATING);
}

static enum phase step_activate(struct rollout *r)
{
	if (must_undo(r))
		return undo(r);
	if (activate_prepared(r) + count_in(r, ROLLOUT_ROLLING_BACK))
		return PHASE_ACTIVATE;
	return count_in(r, ROLLOUT_HEALTHY) ? PHASE_CONFIRM : finish(r);
}

/* A host is, or will be, on the new release for good: no way but forward leads to one release. */
static enum phase step_confirm(struct rollout *r)
{
	size_t activating = activate_prepared(r);
	move_all(r, ROLLOUT_HEALTHY, ROLLOUT_CONFIRMING, ROLLOUT_CONFIRM);
	if (activating + count_in(r, ROLLOUT_CONFIRMING) + count_in(r, ROLLOUT_ROLLING_BACK))
		return PHASE_CONFIRM;
	return finish(r);
}

static enum phase step_undo(struct rollout *r)
{
	if (count_in(r, ROLLOUT_ABORTING) + count_in(r, ROLLOUT_ROLLING_BACK))
		return PHASE_UNDO;
	return finish(r);
}

static enum phase step_over(struct rollout *r)
{
	return r->phase;
}

/* Move the fleet on until it is stable. */
static void settle(struct rollout *r)
{
	static enum phase (*const steps[])(struct rollout *) = {
		[PHASE_PREPARE] = step_prepare,
		[PHASE_ACTIVATE] = step_activate,
		[PHASE_CONFIRM] = step_confirm,
		[PHASE_UNDO] = step_undo,
		[PHASE_OVER] = step_over,
	};
	for (;;) {
		enum phase next = steps[r->phase](r);
		if (next == r->phase)
			return;
		r->phase = next;
	}
}

/* ---- beginning, anew or where another coordinator left it ---- */

/* The first cause, but being told to go back is only the cause when there is no other. */
static void count_failure(struct rollout *r, enum err_code cause)
{
	r->failures++;
	if (r->cause == ERR_NONE || (r->cause == ERR_CANCELLED && cause != ERR_NONE))
		r->cause = cause;
}

static bool any_in(const struct rollout *r, const enum rollout_state *states, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (count_in(r, states[i]))
			return true;
	return false;
}

static enum phase phase_of_adopted(const struct rollout *r)
{
	static const enum rollout_state live[] = {ROLLOUT_ACTIVATING, ROLLOUT_HEALTHY,
		ROLLOUT_ROLLING_BACK, ROLLOUT_ROLLED_BACK, ROLLOUT_FAILED_SAFE, ROLLOUT_LOST};
	if (count_in(r, ROLLOUT_COMMITTED))
		return PHASE_CONFIRM;
	return any_in(r, live, ARRAY_LEN(live)) ? PHASE_ACTIVATE : PHASE_PREPARE;
}

/* Nobody was activated before all had prepared: this one was left out, and stays so. */
static void leave_out_waiting(struct rollout *r)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->hosts[i] != ROLLOUT_WAITING)
			continue;
		r->hosts[i] = ROLLOUT_ABORTED;
		count_failure(r, ERR_PREFLIGHT);
	}
}

void rollout_start(struct rollout *rollout)
{
	rollout->started = true;
	rollout->phase = phase_of_adopted(rollout);
	if (rollout->phase != PHASE_PREPARE)
		leave_out_waiting(rollout);
	else if (!must_undo(rollout))
		move_all(rollout, ROLLOUT_WAITING, ROLLOUT_PREPARING, ROLLOUT_PREPARE);
	/* Asked again, so that their answer comes to this coordinator too. */
	move_all(rollout, ROLLOUT_ROLLING_BACK, ROLLOUT_ROLLING_BACK, ROLLOUT_ABORT);
	if (rollout->phase == PHASE_CONFIRM || !must_undo(rollout))
		move_all(rollout, ROLLOUT_ACTIVATING, ROLLOUT_ACTIVATING, ROLLOUT_ACTIVATE);
	settle(rollout);
}

static void count_unreached(struct rollout *r, enum err_code cause)
{
	bool skip = r->policy.unreachable == APP_UNREACHABLE_SKIP;
	enum err_code *first = skip ? &r->skipped : &r->cause;
	if (*first == ERR_NONE)
		*first = cause;
	r->stop_unreached = r->stop_unreached || !skip;
}

void rollout_adopt(
	struct rollout *rollout, size_t host, enum rollout_state state, enum err_code cause)
{
	static const bool failed[ROLLOUT_STATE_COUNT] = {
		[ROLLOUT_ROLLING_BACK] = true,
		[ROLLOUT_ABORTED] = true,
		[ROLLOUT_ROLLED_BACK] = true,
		[ROLLOUT_FAILED_SAFE] = true,
		[ROLLOUT_LOST] = true,
	};
	assert(host < rollout->count && rollout->hosts[host] == ROLLOUT_WAITING);
	rollout->hosts[host] = state;
	/* Somebody was taking the fleet back; what was left behind must not be taken forward. */
	if (failed[state] && cause == ERR_CANCELLED)
		rollout->called_back = true;
	if (failed[state])
		count_failure(rollout, cause);
	if (state == ROLLOUT_UNREACHED)
		count_unreached(rollout, cause);
}

void rollout_correct(struct rollout *rollout, size_t host, enum rollout_state state)
{
	assert(host < rollout->count && rollout->phase == PHASE_OVER);
	rollout->hosts[host] = state;
	rollout->outcome = judge(rollout);
}

enum rollout_result rollout_event(
	struct rollout *rollout, size_t host, enum rollout_event event, enum err_code cause)
{
	assert(host < rollout->count && event < ROLLOUT_EVENT_COUNT);
	enum rollout_state was = rollout->hosts[host];
	const struct rule *rule = &rules[was][event];
	if (rule->effect == EFFECT_REFUSED)
		return ROLLOUT_IGNORED;
	rollout->hosts[host] = rule->next;
	if (rule->effect == EFFECT_FAILURE || rule->effect == EFFECT_FAILURE_ABORT)
		count_failure(rollout, cause);
	if (rule->effect == EFFECT_FAILURE_ABORT)
		emit(rollout, ROLLOUT_ABORT, host);
	if (rule->effect == EFFECT_UNREACHED)
		count_unreached(rollout, cause);
	if (was != ROLLOUT_WAITING)
		settle(rollout);
	return ROLLOUT_TAKEN;
}

enum rollout_result rollout_interrupt(struct rollout *rollout)
{
	if (rollout->phase == PHASE_CONFIRM || rollout->phase == PHASE_OVER)
		return ROLLOUT_IGNORED;
	rollout->interrupted = true;
	if (rollout->started)
		settle(rollout);
	return ROLLOUT_TAKEN;
}

int rollout_next(struct rollout *rollout, struct rollout_action *ret)
{
	if (rollout->taken == rollout->queued)
		return 0;
	*ret = rollout->queue[rollout->taken++];
	return 1;
}

enum rollout_state rollout_host_state(const struct rollout *rollout, size_t host)
{
	assert(host < rollout->count);
	return rollout->hosts[host];
}

enum rollout_outcome rollout_outcome(const struct rollout *rollout)
{
	return rollout->outcome;
}

const char *rollout_state_name(enum rollout_state state)
{
	return state_names[state];
}

const char *rollout_outcome_name(enum rollout_outcome outcome)
{
	return outcomes[outcome].name;
}

int rollout_outcome_exit_status(enum rollout_outcome outcome)
{
	return outcomes[outcome].exit_status;
}
