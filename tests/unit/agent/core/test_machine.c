#include "agent/core/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

static Fairlead__V1__State walk(const enum machine_event *events, size_t count)
{
	Fairlead__V1__State state = S(ACCEPTED);
	for (size_t i = 0; i < count; i++)
		state = machine_next(state, events[i]);
	return state;
}

#define WALK(...)                                                                                  \
	walk((const enum machine_event[]){__VA_ARGS__},                                            \
		sizeof((const enum machine_event[]){__VA_ARGS__}) / sizeof(enum machine_event))

static void the_main_road_commits(void **state)
{
	(void)state;
	assert_int_equal(WALK(MACHINE_FETCHED, MACHINE_STAGED, MACHINE_CHECKED, MACHINE_ACTIVATE,
				 MACHINE_RESTARTED, MACHINE_HEALTHY, MACHINE_CONFIRM),
		S(COMMITTED));
	assert_int_equal(WALK(MACHINE_FETCHED, MACHINE_STAGED, MACHINE_CHECKED, MACHINE_ACTIVATE,
				 MACHINE_RESTARTED, MACHINE_DEADLINE, MACHINE_UNDONE),
		S(ROLLED_BACK));
}

/* Every cell: before the switch a failure aborts, after it it rolls back, and nothing but a
 * confirmed, healthy deployment commits. */
static void every_cell_keeps_the_promise(void **state)
{
	(void)state;
	for (int s = 0; s < MACHINE_STATE_COUNT; s++) {
		for (int e = 0; e < MACHINE_EVENT_COUNT; e++) {
			Fairlead__V1__State next =
				machine_next((Fairlead__V1__State)s, (enum machine_event)e);
			if (machine_is_final((Fairlead__V1__State)s))
				assert_int_equal(next, S(UNSPECIFIED));
			if (next == S(COMMITTED)) {
				assert_int_equal(s, S(HEALTHY));
				assert_int_equal(e, MACHINE_CONFIRM);
			}
			if (next == S(ABORTED))
				assert_true(s < (int)S(SWITCHED) || e == MACHINE_UNTOUCHED);
			if (e == MACHINE_STUCK && next != S(UNSPECIFIED))
				assert_int_equal(next, S(FAILED_SAFE));
			if (next == S(ROLLED_BACK))
				assert_int_equal(s, S(ROLLING_BACK));
			if (s >= (int)S(SWITCHED) && s <= (int)S(HEALTHY) && e == MACHINE_FAIL)
				assert_int_equal(next, S(ROLLING_BACK));
		}
	}
}

static void foreign_numbers_are_refused(void **state)
{
	(void)state;
	assert_int_equal(machine_next((Fairlead__V1__State)99, MACHINE_FAIL), S(UNSPECIFIED));
	assert_int_equal(machine_next(S(HEALTHY), MACHINE_EVENT_COUNT), S(UNSPECIFIED));
	assert_string_equal(machine_state_name((Fairlead__V1__State)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_main_road_commits),
		cmocka_unit_test(every_cell_keeps_the_promise),
		cmocka_unit_test(foreign_numbers_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
