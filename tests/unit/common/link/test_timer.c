#include "common/base/mem.h"
#include "common/link/timer.h"

#include <setjmp.h>

#include <cmocka.h>

enum { TIMERS = 200 };

/* Whatever is set, moved and stopped, they come in order. */
static void timers_come_in_order(void **state)
{
	(void)state;
	struct timers timers = {0};
	static struct timer all[TIMERS];
	uint32_t seed = 1;
	assert_null(timers_first(&timers));
	for (size_t step = 0; step < 5000; step++) {
		seed = seed * 1664525 + 1013904223;
		struct timer *timer = &all[(seed >> 8) % TIMERS];
		if (seed >> 30)
			timers_set(&timers, timer, (seed >> 12) % 1000);
		else
			timers_stop(&timers, timer);
	}
	size_t set = 0, left = timers.count;
	for (size_t i = 0; i < TIMERS; i++)
		set += all[i].place > 0;
	assert_int_equal(set, left);
	uint64_t last = 0;
	for (struct timer *timer; (timer = timers_first(&timers)); left--) {
		assert_true(timer->due_ms >= last);
		last = timer->due_ms;
		timers_stop(&timers, timer);
		assert_int_equal(timer->place, 0);
	}
	assert_int_equal(left, 0);
	timers_release(&timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_come_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
