#include "agent/core/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { NOW = 1000000, LEASE = 10, ACTIVATION = 200, CONFIRMATION = 3000 };

static struct machine machine_with(unsigned before, unsigned after)
{
	const struct machine_plan plan = {
		.lease_ms = LEASE,
		.activate_timeout_ms = ACTIVATION,
		.confirm_timeout_ms = CONFIRMATION,
		.before = before,
		.after = after,
	};
	struct machine machine;
	machine_init(&machine, &plan);
	return machine;
}

static struct machine machine_in(Fairlead__V1__State state)
{
	struct machine machine = machine_with(1, 1);
	machine.state = state;
	return machine;
}

static struct machine_move move(struct machine *machine, enum machine_event event)
{
	struct machine_move ret;
	assert_int_equal(machine_step(machine, event, NOW, &ret), MACHINE_MOVED);
	assert_int_equal(ret.to, machine->state);
	return ret;
}

static Fairlead__V1__State walk(
	struct machine machine, const enum machine_event *events, size_t count)
{
	for (size_t i = 0; i < count; i++)
		move(&machine, events[i]);
	return machine.state;
}

#define WALK(machine, ...)                                                                         \
	walk(machine, (const enum machine_event[]){__VA_ARGS__},                                   \
		sizeof((const enum machine_event[]){__VA_ARGS__}) / sizeof(enum machine_event))

static void the_main_road_commits(void **state)
{
	(void)state;
	assert_int_equal(WALK(machine_with(0, 0), MACHINE_ACCEPT, MACHINE_FETCHED, MACHINE_STAGED,
				 MACHINE_CHECKED, MACHINE_ACTIVATE, MACHINE_RESTARTED,
				 MACHINE_HEALTHY, MACHINE_CONFIRM),
		S(COMMITTED));
	assert_int_equal(WALK(machine_with(0, 0), MACHINE_ACCEPT, MACHINE_FETCHED, MACHINE_STAGED,
				 MACHINE_CHECKED, MACHINE_ACTIVATE, MACHINE_RESTARTED,
				 MACHINE_DEADLINE, MACHINE_UNDONE),
		S(ROLLED_BACK));
	assert_int_equal(
		WALK(machine_with(2, 1), MACHINE_ACCEPT, MACHINE_FETCHED, MACHINE_STAGED,
			MACHINE_CHECKED, MACHINE_ACTIVATE, MACHINE_STEPPED, MACHINE_RESTARTED,
			MACHINE_HEALTHY, MACHINE_STEPPED, MACHINE_CONFIRM),
		S(COMMITTED));
}

static void a_state_without_steps_is_passed_over(void **state)
{
	(void)state;
	struct machine machine = machine_with(0, 0);
	machine.state = S(PREPARED);
	struct machine_move moved = move(&machine, MACHINE_ACTIVATE);
	assert_int_equal(moved.from, S(PREPARED));
	assert_int_equal(moved.to, S(SWITCHED));
	assert_int_equal(moved.act, MACHINE_ACT_SWITCH);
	/* The time of the activation began with the state that was passed over. */
	assert_int_equal(machine.deadline_unix_ms, NOW + ACTIVATION);
	machine.state = S(RESTARTED);
	assert_int_equal(move(&machine, MACHINE_HEALTHY).to, S(HEALTHY));
	machine = machine_with(1, 0);
	machine.state = S(PREPARED);
	assert_int_equal(move(&machine, MACHINE_ACTIVATE).act, MACHINE_ACT_STEPS);
	assert_int_equal(machine.state, S(ACTIVATING));
}

/* Where the lawful ways of the promise lead; a cell that is not here must be empty. */
static const char *const lawful[MACHINE_STATE_COUNT] = {
	[S(UNSPECIFIED)] = "accept>accepted",
	[S(ACCEPTED)] = "fetched>fetched abort>aborted fail>aborted deadline>aborted",
	[S(FETCHED)] = "staged>staged abort>aborted fail>aborted deadline>aborted",
	[S(STAGED)] = "checked>prepared abort>aborted fail>aborted deadline>aborted",
	[S(PREPARED)] = "activate>activating abort>aborted fail>aborted deadline>aborted",
	[S(ACTIVATING)] = "stepped>switched abort>aborted fail>aborted deadline>aborted "
			  "stuck>failed_safe hold>held_before",
	[S(HELD_BEFORE)] = "resolve done>activating resolve redo>activating resolve undo>aborted",
	[S(SWITCHED)] = "restarted>restarted abort>rolling_back fail>rolling_back "
			"deadline>rolling_back untouched>aborted stuck>failed_safe",
	[S(RESTARTED)] = "healthy>serving abort>rolling_back fail>rolling_back "
			 "deadline>rolling_back stuck>failed_safe",
	[S(SERVING)] = "stepped>healthy abort>rolling_back fail>rolling_back "
		       "deadline>rolling_back stuck>failed_safe hold>held_after",
	[S(HELD_AFTER)] = "resolve done>serving resolve redo>serving resolve undo>rolling_back",
	[S(HEALTHY)] = "confirm>committed abort>rolling_back fail>rolling_back "
		       "deadline>rolling_back",
	[S(ROLLING_BACK)] = "fail>failed_safe deadline>failed_safe undone>rolled_back "
			    "stuck>failed_safe",
};

static void every_cell_is_as_promised(void **state)
{
	(void)state;
	for (int s = 0; s < MACHINE_STATE_COUNT; s++) {
		char found[512] = "";
		for (int e = 0; e < MACHINE_EVENT_COUNT; e++) {
			const struct machine_rule *rule =
				machine_rule((Fairlead__V1__State)s, (enum machine_event)e);
			if (!rule)
				continue;
			size_t len = strlen(found);
			snprintf(found + len, sizeof(found) - len, "%s%s>%s", len ? " " : "",
				machine_event_name((enum machine_event)e),
				machine_state_name(rule->next));
		}
		assert_string_equal(found, lawful[s] ? lawful[s] : "");
	}
}

/* What a state does and how long it may last, whichever way leads there. */
static const struct {
	enum machine_act act;
	unsigned timers; /* bits of enum machine_timer */
} entries[MACHINE_STATE_COUNT] = {
	[S(ACCEPTED)] = {MACHINE_ACT_FETCH, 1 << MACHINE_TIMER_LEASE},
	[S(FETCHED)] = {MACHINE_ACT_STAGE, 1 << MACHINE_TIMER_KEEP},
	[S(STAGED)] = {MACHINE_ACT_CHECK, 1 << MACHINE_TIMER_KEEP},
	[S(PREPARED)] = {MACHINE_ACT_WAIT, 1 << MACHINE_TIMER_LEASE},
	[S(ACTIVATING)] = {MACHINE_ACT_STEPS, 1 << MACHINE_TIMER_ACTIVATE},
	[S(HELD_BEFORE)] = {MACHINE_ACT_HOLD, 1 << MACHINE_TIMER_NONE},
	[S(SWITCHED)] = {MACHINE_ACT_SWITCH, 1 << MACHINE_TIMER_KEEP},
	[S(RESTARTED)] = {MACHINE_ACT_WATCH, 1 << MACHINE_TIMER_KEEP},
	[S(SERVING)] = {MACHINE_ACT_STEPS, 1 << MACHINE_TIMER_KEEP | 1 << MACHINE_TIMER_ACTIVATE},
	[S(HELD_AFTER)] = {MACHINE_ACT_HOLD, 1 << MACHINE_TIMER_NONE},
	[S(HEALTHY)] = {MACHINE_ACT_WAIT, 1 << MACHINE_TIMER_CONFIRM},
	[S(ROLLING_BACK)] = {MACHINE_ACT_UNDO, 1 << MACHINE_TIMER_ACTIVATE},
	[S(COMMITTED)] = {MACHINE_ACT_END, 1 << MACHINE_TIMER_NONE},
	[S(ABORTED)] = {MACHINE_ACT_END, 1 << MACHINE_TIMER_NONE},
	[S(ROLLED_BACK)] = {MACHINE_ACT_END, 1 << MACHINE_TIMER_NONE},
	[S(FAILED_SAFE)] = {MACHINE_ACT_END, 1 << MACHINE_TIMER_NONE},
};

static uint64_t expected_deadline(enum machine_timer timer, uint64_t before)
{
	const uint64_t times[MACHINE_TIMER_COUNT] = {
		[MACHINE_TIMER_KEEP] = before,
		[MACHINE_TIMER_NONE] = 0,
		[MACHINE_TIMER_LEASE] = NOW + LEASE,
		[MACHINE_TIMER_ACTIVATE] = NOW + ACTIVATION,
		[MACHINE_TIMER_CONFIRM] = NOW + CONFIRMATION,
	};
	return times[timer];
}

static void check_move(int s, int e)
{
	struct machine machine = machine_in((Fairlead__V1__State)s);
	const struct machine before = machine;
	struct machine_move moved;
	const struct machine_rule *rule =
		machine_rule((Fairlead__V1__State)s, (enum machine_event)e);
	machine.deadline_unix_ms = 77;
	enum machine_outcome outcome = machine_step(&machine, (enum machine_event)e, NOW, &moved);
	assert_int_equal(outcome, rule ? MACHINE_MOVED : MACHINE_REFUSED);
	if (!rule) {
		machine.deadline_unix_ms = 0;
		assert_memory_equal(&machine, &before, sizeof(machine));
		return;
	}
	assert_int_equal(moved.to, rule->next);
	assert_int_equal(moved.act, entries[rule->next].act);
	assert_int_equal(moved.act, rule->act);
	assert_true(entries[rule->next].timers & 1u << rule->timer);
	assert_int_equal(machine.deadline_unix_ms, expected_deadline(rule->timer, 77));
	/* The release is to blame for what it did itself, once it was switched to. */
	bool own = s == (int)S(SWITCHED) || s == (int)S(RESTARTED) || s == (int)S(SERVING);
	bool failed = e == MACHINE_FAIL || e == MACHINE_DEADLINE;
	assert_int_equal(moved.blame, own && failed ? MACHINE_BLAME_RELEASE : MACHINE_BLAME_NONE);
}

static void every_cell_moves_as_it_says(void **state)
{
	(void)state;
	for (int s = 0; s < MACHINE_STATE_COUNT; s++)
		for (int e = 0; e < MACHINE_EVENT_COUNT; e++)
			check_move(s, e);
}

static void only_a_confirmed_healthy_release_commits(void **state)
{
	(void)state;
	for (int s = 0; s < MACHINE_STATE_COUNT; s++) {
		for (int e = 0; e < MACHINE_EVENT_COUNT; e++) {
			const struct machine_rule *rule =
				machine_rule((Fairlead__V1__State)s, (enum machine_event)e);
			if (machine_is_final((Fairlead__V1__State)s))
				assert_null(rule);
			if (rule && rule->next == S(COMMITTED)) {
				assert_int_equal(s, S(HEALTHY));
				assert_int_equal(e, MACHINE_CONFIRM);
			}
			/* Nothing but a decision leads out of a hold, and no time runs. */
			if (rule && machine_is_held((Fairlead__V1__State)s))
				assert_true(e >= MACHINE_RESOLVE_DONE && e <= MACHINE_RESOLVE_UNDO);
		}
	}
}

static void foreign_numbers_are_refused(void **state)
{
	(void)state;
	struct machine machine = machine_in((Fairlead__V1__State)99);
	struct machine_move moved;
	assert_int_equal(machine_step(&machine, MACHINE_FAIL, NOW, &moved), MACHINE_REFUSED);
	machine = machine_in(S(HEALTHY));
	assert_int_equal(machine_step(&machine, MACHINE_EVENT_COUNT, NOW, &moved), MACHINE_REFUSED);
	assert_string_equal(machine_state_name((Fairlead__V1__State)99), "unknown");
	machine.state = (Fairlead__V1__State)99;
	const struct machine_evidence none = {0};
	assert_int_equal(machine_recover(&machine, &none).kind, MACHINE_DECIDE_REFUSE);
}

static void a_deadline_is_due_from_its_time_on(void **state)
{
	(void)state;
	struct machine machine = machine_with(0, 0);
	move(&machine, MACHINE_ACCEPT);
	assert_false(machine_is_due(&machine, NOW + LEASE - 1));
	assert_true(machine_is_due(&machine, NOW + LEASE));
	machine.deadline_unix_ms = 0;
	assert_false(machine_is_due(&machine, UINT64_MAX));
}

/* ---- steps ---- */

static void the_steps_of_a_state_are_counted(void **state)
{
	(void)state;
	struct machine machine = machine_with(2, 0);
	assert_int_equal(machine_steps(&machine), 0);
	machine.state = S(ACTIVATING);
	assert_int_equal(machine_steps(&machine), 2);
	machine_step_begin(&machine);
	assert_int_equal(machine.mark, MACHINE_MARK_BEGUN);
	assert_int_equal(machine.step, 0);
	machine.recoveries = 2;
	machine_step_end(&machine);
	assert_int_equal(machine.mark, MACHINE_MARK_NONE);
	assert_int_equal(machine.step, 1);
	assert_int_equal(machine.recoveries, 0); /* each step has its own */
	move(&machine, MACHINE_STEPPED);
	assert_int_equal(machine.step, 0);
}

static void a_held_step_waits_for_a_decision(void **state)
{
	(void)state;
	const struct machine_evidence once = {.class_ = MACHINE_STEP_ONCE};
	struct machine machine = machine_with(3, 0);
	machine.state = S(ACTIVATING);
	machine.step = 1;
	machine.mark = MACHINE_MARK_BEGUN;
	struct machine_decision decision = machine_recover(&machine, &once);
	assert_int_equal(decision.kind, MACHINE_DECIDE_EVENT);
	assert_int_equal(decision.event, MACHINE_HOLD);
	move(&machine, MACHINE_HOLD);
	assert_int_equal(machine.state, S(HELD_BEFORE));
	assert_int_equal(machine.step, 1);
	assert_int_equal(machine.deadline_unix_ms, 0);
	assert_int_equal(machine_recover(&machine, &once).kind, MACHINE_DECIDE_WAIT);
	struct machine done = machine, redo = machine, undo = machine;
	move(&done, MACHINE_RESOLVE_DONE);
	assert_int_equal(done.step, 2);
	assert_int_equal(done.mark, MACHINE_MARK_NONE);
	assert_int_equal(done.deadline_unix_ms, NOW + ACTIVATION);
	move(&redo, MACHINE_RESOLVE_REDO);
	assert_int_equal(redo.step, 1);
	assert_int_equal(redo.mark, MACHINE_MARK_NONE);
	assert_int_equal(move(&undo, MACHINE_RESOLVE_UNDO).to, S(ABORTED));
}

/* ---- recovery ---- */

static const struct {
	Fairlead__V1__State state;
	int kind;
	enum machine_event event;
	enum machine_act act;
} recoveries[] = {
	{S(ACCEPTED), MACHINE_DECIDE_EVENT, MACHINE_FAIL, MACHINE_ACT_WAIT},
	{S(FETCHED), MACHINE_DECIDE_EVENT, MACHINE_FAIL, MACHINE_ACT_WAIT},
	{S(STAGED), MACHINE_DECIDE_EVENT, MACHINE_FAIL, MACHINE_ACT_WAIT},
	{S(PREPARED), MACHINE_DECIDE_WAIT, MACHINE_ACCEPT, MACHINE_ACT_WAIT},
	{S(ACTIVATING), MACHINE_DECIDE_AGAIN, MACHINE_ACCEPT, MACHINE_ACT_STEPS},
	{S(HELD_BEFORE), MACHINE_DECIDE_WAIT, MACHINE_ACCEPT, MACHINE_ACT_WAIT},
	{S(SWITCHED), MACHINE_DECIDE_AGAIN, MACHINE_ACCEPT, MACHINE_ACT_SWITCH},
	{S(RESTARTED), MACHINE_DECIDE_AGAIN, MACHINE_ACCEPT, MACHINE_ACT_WATCH},
	{S(SERVING), MACHINE_DECIDE_AGAIN, MACHINE_ACCEPT, MACHINE_ACT_STEPS},
	{S(HELD_AFTER), MACHINE_DECIDE_WAIT, MACHINE_ACCEPT, MACHINE_ACT_WAIT},
	{S(HEALTHY), MACHINE_DECIDE_WAIT, MACHINE_ACCEPT, MACHINE_ACT_WAIT},
	{S(ROLLING_BACK), MACHINE_DECIDE_AGAIN, MACHINE_ACCEPT, MACHINE_ACT_UNDO},
	{S(COMMITTED), MACHINE_DECIDE_CONCLUDE, MACHINE_ACCEPT, MACHINE_ACT_END},
	{S(ABORTED), MACHINE_DECIDE_CONCLUDE, MACHINE_ACCEPT, MACHINE_ACT_END},
	{S(ROLLED_BACK), MACHINE_DECIDE_CONCLUDE, MACHINE_ACCEPT, MACHINE_ACT_END},
	{S(FAILED_SAFE), MACHINE_DECIDE_CONCLUDE, MACHINE_ACCEPT, MACHINE_ACT_END},
	{S(UNSPECIFIED), MACHINE_DECIDE_REFUSE, MACHINE_ACCEPT, MACHINE_ACT_WAIT},
	{S(BUILT), MACHINE_DECIDE_REFUSE, MACHINE_ACCEPT, MACHINE_ACT_WAIT},
	{S(BACKED_UP), MACHINE_DECIDE_REFUSE, MACHINE_ACCEPT, MACHINE_ACT_WAIT},
	{S(MIGRATED), MACHINE_DECIDE_REFUSE, MACHINE_ACCEPT, MACHINE_ACT_WAIT},
};

static void every_state_is_taken_up_as_promised(void **state)
{
	(void)state;
	const struct machine_evidence evidence = {.current = MACHINE_ON_NEW};
	assert_int_equal(sizeof(recoveries) / sizeof(recoveries[0]), MACHINE_STATE_COUNT);
	for (size_t i = 0; i < sizeof(recoveries) / sizeof(recoveries[0]); i++) {
		struct machine machine = machine_in(recoveries[i].state);
		struct machine_decision decision = machine_recover(&machine, &evidence);
		assert_int_equal(decision.kind, recoveries[i].kind);
		assert_int_equal(decision.event, recoveries[i].event);
		assert_int_equal(decision.act, recoveries[i].act);
		assert_int_equal(machine.state, recoveries[i].state);
		/* An event that recovery raises is always one that the state takes. */
		if (decision.kind == MACHINE_DECIDE_EVENT)
			assert_non_null(machine_rule(machine.state, decision.event));
	}
}

static void the_switch_decides_what_was_switched(void **state)
{
	(void)state;
	const struct machine_evidence old = {.current = MACHINE_ON_OLD};
	struct machine machine = machine_in(S(SWITCHED));
	struct machine_decision decision = machine_recover(&machine, &old);
	assert_int_equal(decision.kind, MACHINE_DECIDE_EVENT);
	assert_int_equal(decision.event, MACHINE_UNTOUCHED);
	assert_int_equal(move(&machine, MACHINE_UNTOUCHED).to, S(ABORTED));
}

static void an_act_is_taken_up_three_times(void **state)
{
	(void)state;
	static const Fairlead__V1__State again[] = {
		S(ACTIVATING), S(SWITCHED), S(RESTARTED), S(SERVING), S(ROLLING_BACK)};
	const struct machine_evidence evidence = {.current = MACHINE_ON_NEW};
	for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
		struct machine machine = machine_in(again[i]);
		for (int n = 0; n < MACHINE_RECOVERIES_MAX; n++)
			assert_int_equal(
				machine_recover(&machine, &evidence).kind, MACHINE_DECIDE_AGAIN);
		struct machine_decision decision = machine_recover(&machine, &evidence);
		assert_int_equal(decision.event, MACHINE_STUCK);
		assert_int_equal(move(&machine, MACHINE_STUCK).to, S(FAILED_SAFE));
	}
}

static void what_runs_after_the_end_cannot_change_it(void **state)
{
	(void)state;
	const struct machine_evidence again = {0}, once = {.class_ = MACHINE_STEP_ONCE};
	struct machine machine = machine_in(S(ROLLED_BACK));
	machine.mark = MACHINE_MARK_BEGUN;
	assert_int_equal(machine_recover(&machine, &again).kind, MACHINE_DECIDE_CONCLUDE);
	assert_int_equal(machine.step, 0);
	machine.recoveries = MACHINE_RECOVERIES_MAX;
	assert_int_equal(machine_recover(&machine, &again).kind, MACHINE_DECIDE_CONCLUDE);
	assert_int_equal(machine.step, 1);
	machine.mark = MACHINE_MARK_BEGUN;
	assert_int_equal(machine_recover(&machine, &once).kind, MACHINE_DECIDE_CONCLUDE);
	assert_int_equal(machine.step, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_main_road_commits),
		cmocka_unit_test(a_state_without_steps_is_passed_over),
		cmocka_unit_test(every_cell_is_as_promised),
		cmocka_unit_test(every_cell_moves_as_it_says),
		cmocka_unit_test(only_a_confirmed_healthy_release_commits),
		cmocka_unit_test(foreign_numbers_are_refused),
		cmocka_unit_test(a_deadline_is_due_from_its_time_on),
		cmocka_unit_test(the_steps_of_a_state_are_counted),
		cmocka_unit_test(a_held_step_waits_for_a_decision),
		cmocka_unit_test(every_state_is_taken_up_as_promised),
		cmocka_unit_test(the_switch_decides_what_was_switched),
		cmocka_unit_test(an_act_is_taken_up_three_times),
		cmocka_unit_test(what_runs_after_the_end_cannot_change_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
