#include "agent/core/machine.h"

#include <assert.h>
#include <stddef.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

/* What entering a state means does not depend on the way that led there, but for the deadline. */
#define TO_FETCH                                                                                   \
	{                                                                                          \
		S(ACCEPTED), MACHINE_ACT_FETCH, MACHINE_TIMER_LEASE, MACHINE_BLAME_NONE            \
	}
#define TO_STAGE                                                                                   \
	{                                                                                          \
		S(FETCHED), MACHINE_ACT_STAGE, MACHINE_TIMER_KEEP, MACHINE_BLAME_NONE              \
	}
#define TO_CHECK                                                                                   \
	{                                                                                          \
		S(STAGED), MACHINE_ACT_CHECK, MACHINE_TIMER_KEEP, MACHINE_BLAME_NONE               \
	}
#define TO_PREPARED                                                                                \
	{                                                                                          \
		S(PREPARED), MACHINE_ACT_WAIT, MACHINE_TIMER_LEASE, MACHINE_BLAME_NONE             \
	}
#define TO_BEFORE                                                                                  \
	{                                                                                          \
		S(ACTIVATING), MACHINE_ACT_STEPS, MACHINE_TIMER_ACTIVATE, MACHINE_BLAME_NONE       \
	}
#define TO_SWITCH                                                                                  \
	{                                                                                          \
		S(SWITCHED), MACHINE_ACT_SWITCH, MACHINE_TIMER_KEEP, MACHINE_BLAME_NONE            \
	}
#define TO_WATCH                                                                                   \
	{                                                                                          \
		S(RESTARTED), MACHINE_ACT_WATCH, MACHINE_TIMER_KEEP, MACHINE_BLAME_NONE            \
	}
#define TO_AFTER                                                                                   \
	{                                                                                          \
		S(SERVING), MACHINE_ACT_STEPS, MACHINE_TIMER_KEEP, MACHINE_BLAME_NONE              \
	}
/* Time went by while it was held. */
#define TO_AFTER_ANEW                                                                              \
	{                                                                                          \
		S(SERVING), MACHINE_ACT_STEPS, MACHINE_TIMER_ACTIVATE, MACHINE_BLAME_NONE          \
	}
#define TO_HEALTHY                                                                                 \
	{                                                                                          \
		S(HEALTHY), MACHINE_ACT_WAIT, MACHINE_TIMER_CONFIRM, MACHINE_BLAME_NONE            \
	}
#define TO_COMMITTED                                                                               \
	{                                                                                          \
		S(COMMITTED), MACHINE_ACT_END, MACHINE_TIMER_NONE, MACHINE_BLAME_NONE              \
	}
#define TO_ABORTED                                                                                 \
	{                                                                                          \
		S(ABORTED), MACHINE_ACT_END, MACHINE_TIMER_NONE, MACHINE_BLAME_NONE                \
	}
#define TO_HELD_BEFORE                                                                             \
	{                                                                                          \
		S(HELD_BEFORE), MACHINE_ACT_HOLD, MACHINE_TIMER_NONE, MACHINE_BLAME_NONE           \
	}
#define TO_HELD_AFTER                                                                              \
	{                                                                                          \
		S(HELD_AFTER), MACHINE_ACT_HOLD, MACHINE_TIMER_NONE, MACHINE_BLAME_NONE            \
	}
#define TO_UNDO                                                                                    \
	{                                                                                          \
		S(ROLLING_BACK), MACHINE_ACT_UNDO, MACHINE_TIMER_ACTIVATE, MACHINE_BLAME_NONE      \
	}
#define TO_UNDO_BAD                                                                                \
	{                                                                                          \
		S(ROLLING_BACK), MACHINE_ACT_UNDO, MACHINE_TIMER_ACTIVATE, MACHINE_BLAME_RELEASE   \
	}
#define TO_ROLLED_BACK                                                                             \
	{                                                                                          \
		S(ROLLED_BACK), MACHINE_ACT_END, MACHINE_TIMER_NONE, MACHINE_BLAME_NONE            \
	}
#define TO_FAILED_SAFE                                                                             \
	{                                                                                          \
		S(FAILED_SAFE), MACHINE_ACT_END, MACHINE_TIMER_NONE, MACHINE_BLAME_NONE            \
	}

static const struct machine_rule rules[MACHINE_STATE_COUNT][MACHINE_EVENT_COUNT] = {
	[S(UNSPECIFIED)] =
		{
			[MACHINE_ACCEPT] = TO_FETCH,
		},
	[S(ACCEPTED)] =
		{
			[MACHINE_FETCHED] = TO_STAGE,
			[MACHINE_ABORT] = TO_ABORTED,
			[MACHINE_FAIL] = TO_ABORTED,
			[MACHINE_DEADLINE] = TO_ABORTED,
		},
	[S(FETCHED)] =
		{
			[MACHINE_STAGED] = TO_CHECK,
			[MACHINE_ABORT] = TO_ABORTED,
			[MACHINE_FAIL] = TO_ABORTED,
			[MACHINE_DEADLINE] = TO_ABORTED,
		},
	[S(STAGED)] =
		{
			[MACHINE_CHECKED] = TO_PREPARED,
			[MACHINE_ABORT] = TO_ABORTED,
			[MACHINE_FAIL] = TO_ABORTED,
			[MACHINE_DEADLINE] = TO_ABORTED,
		},
	[S(PREPARED)] =
		{
			[MACHINE_ACTIVATE] = TO_BEFORE,
			[MACHINE_ABORT] = TO_ABORTED,
			[MACHINE_FAIL] = TO_ABORTED,
			[MACHINE_DEADLINE] = TO_ABORTED,
		},
	[S(ACTIVATING)] =
		{
			[MACHINE_STEPPED] = TO_SWITCH,
			[MACHINE_ABORT] = TO_ABORTED,
			[MACHINE_FAIL] = TO_ABORTED,
			[MACHINE_DEADLINE] = TO_ABORTED,
			[MACHINE_HOLD] = TO_HELD_BEFORE,
			[MACHINE_STUCK] = TO_FAILED_SAFE,
		},
	[S(HELD_BEFORE)] =
		{
			[MACHINE_RESOLVE_DONE] = TO_BEFORE,
			[MACHINE_RESOLVE_REDO] = TO_BEFORE,
			[MACHINE_RESOLVE_UNDO] = TO_ABORTED,
		},
	[S(SWITCHED)] =
		{
			[MACHINE_RESTARTED] = TO_WATCH,
			[MACHINE_ABORT] = TO_UNDO,
			[MACHINE_FAIL] = TO_UNDO_BAD,
			[MACHINE_DEADLINE] = TO_UNDO_BAD,
			[MACHINE_UNTOUCHED] = TO_ABORTED,
			[MACHINE_STUCK] = TO_FAILED_SAFE,
		},
	[S(RESTARTED)] =
		{
			[MACHINE_HEALTHY] = TO_AFTER,
			[MACHINE_ABORT] = TO_UNDO,
			[MACHINE_FAIL] = TO_UNDO_BAD,
			[MACHINE_DEADLINE] = TO_UNDO_BAD,
			[MACHINE_STUCK] = TO_FAILED_SAFE,
		},
	[S(SERVING)] =
		{
			[MACHINE_STEPPED] = TO_HEALTHY,
			[MACHINE_ABORT] = TO_UNDO,
			[MACHINE_FAIL] = TO_UNDO_BAD,
			[MACHINE_DEADLINE] = TO_UNDO_BAD,
			[MACHINE_HOLD] = TO_HELD_AFTER,
			[MACHINE_STUCK] = TO_FAILED_SAFE,
		},
	[S(HELD_AFTER)] =
		{
			[MACHINE_RESOLVE_DONE] = TO_AFTER_ANEW,
			[MACHINE_RESOLVE_REDO] = TO_AFTER_ANEW,
			[MACHINE_RESOLVE_UNDO] = TO_UNDO,
		},
	[S(HEALTHY)] =
		{
			[MACHINE_CONFIRM] = TO_COMMITTED,
			[MACHINE_ABORT] = TO_UNDO,
			[MACHINE_FAIL] = TO_UNDO,
			[MACHINE_DEADLINE] = TO_UNDO,
		},
	[S(ROLLING_BACK)] =
		{
			[MACHINE_UNDONE] = TO_ROLLED_BACK,
			[MACHINE_FAIL] = TO_FAILED_SAFE,
			[MACHINE_DEADLINE] = TO_FAILED_SAFE,
			[MACHINE_STUCK] = TO_FAILED_SAFE,
		},
};

static const char *const event_names[] = {
	[MACHINE_ACCEPT] = "accept",
	[MACHINE_FETCHED] = "fetched",
	[MACHINE_STAGED] = "staged",
	[MACHINE_CHECKED] = "checked",
	[MACHINE_ACTIVATE] = "activate",
	[MACHINE_STEPPED] = "stepped",
	[MACHINE_RESTARTED] = "restarted",
	[MACHINE_HEALTHY] = "healthy",
	[MACHINE_CONFIRM] = "confirm",
	[MACHINE_ABORT] = "abort",
	[MACHINE_FAIL] = "fail",
	[MACHINE_DEADLINE] = "deadline",
	[MACHINE_UNDONE] = "undone",
	[MACHINE_UNTOUCHED] = "untouched",
	[MACHINE_STUCK] = "stuck",
	[MACHINE_HOLD] = "hold",
	[MACHINE_RESOLVE_DONE] = "resolve done",
	[MACHINE_RESOLVE_REDO] = "resolve redo",
	[MACHINE_RESOLVE_UNDO] = "resolve undo",
};
static_assert(sizeof(event_names) / sizeof(event_names[0]) == MACHINE_EVENT_COUNT,
	"an event without a name");

static const char *const act_names[] = {
	[MACHINE_ACT_WAIT] = "wait",
	[MACHINE_ACT_FETCH] = "wait for the bundle",
	[MACHINE_ACT_STAGE] = "stage",
	[MACHINE_ACT_CHECK] = "check",
	[MACHINE_ACT_STEPS] = "run the steps",
	[MACHINE_ACT_SWITCH] = "switch and restart",
	[MACHINE_ACT_WATCH] = "watch health",
	[MACHINE_ACT_HOLD] = "hold",
	[MACHINE_ACT_UNDO] = "go back",
	[MACHINE_ACT_END] = "record the end",
};
static_assert(
	sizeof(act_names) / sizeof(act_names[0]) == MACHINE_ACT_COUNT, "an act without a name");

static const char *const timer_names[] = {
	[MACHINE_TIMER_KEEP] = "goes on",
	[MACHINE_TIMER_NONE] = "none",
	[MACHINE_TIMER_LEASE] = "lease",
	[MACHINE_TIMER_ACTIVATE] = "activation",
	[MACHINE_TIMER_CONFIRM] = "confirm",
};
static_assert(sizeof(timer_names) / sizeof(timer_names[0]) == MACHINE_TIMER_COUNT,
	"a timer without a name");

enum kind { PASSING, HELD, FINAL };

/* How each state is taken up after a crash, and with which act. */
static const struct {
	const char *name;
	enum kind kind;
	enum machine_recovery recovery;
	enum machine_act act;
} states[] = {
	[S(UNSPECIFIED)] = {"unspecified", PASSING, MACHINE_RECOVERY_NONE, MACHINE_ACT_WAIT},
	[S(ACCEPTED)] = {"accepted", PASSING, MACHINE_RECOVERY_ABORT, MACHINE_ACT_WAIT},
	[S(FETCHED)] = {"fetched", PASSING, MACHINE_RECOVERY_ABORT, MACHINE_ACT_WAIT},
	[S(STAGED)] = {"staged", PASSING, MACHINE_RECOVERY_ABORT, MACHINE_ACT_WAIT},
	[S(BUILT)] = {"built", PASSING, MACHINE_RECOVERY_NONE, MACHINE_ACT_WAIT},
	[S(BACKED_UP)] = {"backed_up", PASSING, MACHINE_RECOVERY_NONE, MACHINE_ACT_WAIT},
	[S(PREPARED)] = {"prepared", PASSING, MACHINE_RECOVERY_WAIT, MACHINE_ACT_WAIT},
	[S(MIGRATED)] = {"migrated", PASSING, MACHINE_RECOVERY_NONE, MACHINE_ACT_WAIT},
	[S(ACTIVATING)] = {"activating", PASSING, MACHINE_RECOVERY_STEPS, MACHINE_ACT_STEPS},
	[S(HELD_BEFORE)] = {"held_before", HELD, MACHINE_RECOVERY_WAIT, MACHINE_ACT_WAIT},
	[S(SWITCHED)] = {"switched", PASSING, MACHINE_RECOVERY_LOOK, MACHINE_ACT_SWITCH},
	[S(RESTARTED)] = {"restarted", PASSING, MACHINE_RECOVERY_AGAIN, MACHINE_ACT_WATCH},
	[S(SERVING)] = {"serving", PASSING, MACHINE_RECOVERY_STEPS, MACHINE_ACT_STEPS},
	[S(HELD_AFTER)] = {"held_after", HELD, MACHINE_RECOVERY_WAIT, MACHINE_ACT_WAIT},
	[S(HEALTHY)] = {"healthy", PASSING, MACHINE_RECOVERY_WAIT, MACHINE_ACT_WAIT},
	[S(COMMITTED)] = {"committed", FINAL, MACHINE_RECOVERY_CONCLUDE, MACHINE_ACT_END},
	[S(ABORTED)] = {"aborted", FINAL, MACHINE_RECOVERY_CONCLUDE, MACHINE_ACT_END},
	[S(ROLLING_BACK)] = {"rolling_back", PASSING, MACHINE_RECOVERY_AGAIN, MACHINE_ACT_UNDO},
	[S(ROLLED_BACK)] = {"rolled_back", FINAL, MACHINE_RECOVERY_CONCLUDE, MACHINE_ACT_END},
	[S(FAILED_SAFE)] = {"failed_safe", FINAL, MACHINE_RECOVERY_CONCLUDE, MACHINE_ACT_END},
};
static_assert(sizeof(states) / sizeof(states[0]) == MACHINE_STATE_COUNT, "a state without a row");

static bool known(Fairlead__V1__State state)
{
	return (unsigned)state < MACHINE_STATE_COUNT;
}

const struct machine_rule *machine_rule(Fairlead__V1__State state, enum machine_event event)
{
	if (!known(state) || (unsigned)event >= MACHINE_EVENT_COUNT ||
		rules[state][event].next == S(UNSPECIFIED))
		return NULL;
	return &rules[state][event];
}

/* ---- one move ---- */

void machine_init(struct machine *machine, const struct machine_plan *plan)
{
	*machine = (struct machine){.plan = *plan, .state = S(UNSPECIFIED)};
}

unsigned machine_steps(const struct machine *machine)
{
	if (machine->state == S(ACTIVATING) || machine->state == S(HELD_BEFORE))
		return machine->plan.before;
	if (machine->state == S(SERVING) || machine->state == S(HELD_AFTER))
		return machine->plan.after;
	return 0;
}

static void arm(struct machine *machine, enum machine_timer timer, uint64_t now_unix_ms)
{
	const uint64_t times_ms[MACHINE_TIMER_COUNT] = {
		[MACHINE_TIMER_LEASE] = machine->plan.lease_ms,
		[MACHINE_TIMER_ACTIVATE] = machine->plan.activate_timeout_ms,
		[MACHINE_TIMER_CONFIRM] = machine->plan.confirm_timeout_ms,
	};
	if (timer != MACHINE_TIMER_KEEP)
		machine->deadline_unix_ms = times_ms[timer] ? now_unix_ms + times_ms[timer] : 0;
}

/* The step that is held stays the step; every other way begins with the first. */
static void place_step(struct machine *machine, enum machine_event event)
{
	if (event == MACHINE_HOLD)
		return;
	if (event == MACHINE_RESOLVE_DONE)
		machine->step++;
	else if (event != MACHINE_RESOLVE_REDO)
		machine->step = 0;
	machine->mark = MACHINE_MARK_NONE;
}

static void enter(struct machine *machine, const struct machine_rule *rule,
	enum machine_event event, uint64_t now_unix_ms)
{
	place_step(machine, event);
	machine->state = rule->next;
	machine->recoveries = 0;
	arm(machine, rule->timer, now_unix_ms);
}

enum machine_outcome machine_step(struct machine *machine, enum machine_event event,
	uint64_t now_unix_ms, struct machine_move *ret)
{
	const struct machine_rule *rule = machine_rule(machine->state, event);
	if (!rule)
		return MACHINE_REFUSED;
	ret->from = machine->state;
	enter(machine, rule, event, now_unix_ms);
	/* A state whose steps the plan does not have is passed over. */
	while (rule->act == MACHINE_ACT_STEPS && machine_steps(machine) == 0) {
		rule = &rules[machine->state][MACHINE_STEPPED];
		enter(machine, rule, MACHINE_STEPPED, now_unix_ms);
	}
	ret->to = machine->state;
	ret->act = rule->act;
	ret->blame = rule->blame;
	return MACHINE_MOVED;
}

bool machine_is_due(const struct machine *machine, uint64_t now_unix_ms)
{
	return machine->deadline_unix_ms && now_unix_ms >= machine->deadline_unix_ms;
}

void machine_step_begin(struct machine *machine)
{
	machine->mark = MACHINE_MARK_BEGUN;
}

void machine_step_end(struct machine *machine)
{
	machine->mark = MACHINE_MARK_NONE;
	machine->step++;
	machine->recoveries = 0;
}

/* ---- recovery ---- */

enum machine_recovery machine_recovery_of(Fairlead__V1__State state)
{
	return known(state) ? states[state].recovery : MACHINE_RECOVERY_NONE;
}

static struct machine_decision raise_event(enum machine_event event)
{
	return (struct machine_decision){.kind = MACHINE_DECIDE_EVENT, .event = event};
}

static struct machine_decision again(struct machine *machine)
{
	if (machine->recoveries >= MACHINE_RECOVERIES_MAX)
		return raise_event(MACHINE_STUCK);
	machine->recoveries++;
	return (struct machine_decision){
		.kind = MACHINE_DECIDE_AGAIN,
		.act = states[machine->state].act,
	};
}

/* The outcome stands whatever becomes of its steps (`on_failure`): what cannot or must not be run
 * again is passed over. */
static struct machine_decision conclude(
	struct machine *machine, const struct machine_evidence *evidence)
{
	if (machine->mark == MACHINE_MARK_BEGUN) {
		if (evidence->class_ == MACHINE_STEP_ONCE ||
			machine->recoveries >= MACHINE_RECOVERIES_MAX)
			machine_step_end(machine);
		else
			machine->recoveries++;
	}
	return (struct machine_decision){.kind = MACHINE_DECIDE_CONCLUDE, .act = MACHINE_ACT_END};
}

struct machine_decision machine_recover(
	struct machine *machine, const struct machine_evidence *evidence)
{
	switch (machine_recovery_of(machine->state)) {
	case MACHINE_RECOVERY_ABORT:
		return raise_event(MACHINE_FAIL);
	case MACHINE_RECOVERY_WAIT:
		return (struct machine_decision){.kind = MACHINE_DECIDE_WAIT};
	case MACHINE_RECOVERY_LOOK:
		/* Services are touched only after the switch was durable. */
		return evidence->current == MACHINE_ON_NEW ? again(machine)
							   : raise_event(MACHINE_UNTOUCHED);
	case MACHINE_RECOVERY_STEPS:
		if (machine->mark == MACHINE_MARK_BEGUN && evidence->class_ == MACHINE_STEP_ONCE)
			return raise_event(MACHINE_HOLD);
		return again(machine);
	case MACHINE_RECOVERY_AGAIN:
		return again(machine);
	case MACHINE_RECOVERY_CONCLUDE:
		return conclude(machine, evidence);
	case MACHINE_RECOVERY_NONE:
		break;
	}
	return (struct machine_decision){.kind = MACHINE_DECIDE_REFUSE};
}

/* ---- looking ---- */

bool machine_is_final(Fairlead__V1__State state)
{
	return known(state) && states[state].kind == FINAL;
}

bool machine_is_held(Fairlead__V1__State state)
{
	return known(state) && states[state].kind == HELD;
}

bool machine_is_on_its_way(Fairlead__V1__State state, enum machine_event command)
{
	if (command == MACHINE_ABORT)
		return state == S(ROLLING_BACK);
	return command == MACHINE_ACTIVATE &&
	       (state == S(ACTIVATING) || state == S(SWITCHED) || state == S(RESTARTED) ||
		       state == S(SERVING) || state == S(HEALTHY));
}

const char *machine_event_name(enum machine_event event)
{
	return (unsigned)event < MACHINE_EVENT_COUNT ? event_names[event] : "unknown";
}

const char *machine_state_name(Fairlead__V1__State state)
{
	return known(state) ? states[state].name : "unknown";
}

const char *machine_act_name(enum machine_act act)
{
	return (unsigned)act < MACHINE_ACT_COUNT ? act_names[act] : "unknown";
}

const char *machine_timer_name(enum machine_timer timer)
{
	return (unsigned)timer < MACHINE_TIMER_COUNT ? timer_names[timer] : "unknown";
}
