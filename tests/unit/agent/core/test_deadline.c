#include "agent/core/deadline.h"
#include "common/base/mem.h"
#include "common/base/pb.h"

#include <setjmp.h>

#include <cmocka.h>

#define HOUR (3600 * 1000ULL)
#define NOON (1736337600000ULL)

/* A record of noon, one hour before its deadline, 10 hours after the boot "one". */
static Fairlead__V1__JournalRecord written(void)
{
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	const struct deadline_now now = {NOON, 10 * HOUR, "one"};
	struct deadline deadline = {0};
	deadline_set(&deadline, NOON + HOUR, &now);
	record.unix_ms = NOON;
	deadline_write(&deadline, &now, &record);
	return record;
}

static void what_is_left_is_what_no_clock_can_change(void **state)
{
	(void)state;
	static const struct {
		const char *what, *boot;
		uint64_t unix_ms, boot_ms, left_ms;
	} cases[] = {
		{"half an hour later", "one", NOON + HOUR / 2, 10 * HOUR + HOUR / 2, HOUR / 2},
		{"too late", "one", NOON + 2 * HOUR, 12 * HOUR, 0},
		{"the clock was set back a day", "one", NOON - 24 * HOUR, 10 * HOUR + HOUR / 2,
			HOUR / 2},
		{"the clock was set forward a year", "one", NOON + 9000 * HOUR, 10 * HOUR + 1,
			HOUR - 1},
		{"set back, and too late", "one", NOON - 24 * HOUR, 11 * HOUR, 0},
		{"a quick reboot", "two", NOON + HOUR / 4, 1000, HOUR * 3 / 4},
		{"a reboot, too late", "two", NOON + 2 * HOUR, 1000, 0},
		{"a reboot into the past", "two", 0, 1000, HOUR - 1000},
		{"a reboot into the past, long ago", "two", 0, HOUR, 0},
		{"a reboot into the future", "two", NOON + 9000 * HOUR, 1000, 0},
		{"up for longer than it had", "two", NOON + HOUR / 2, 2 * HOUR, 0},
	};
	Fairlead__V1__JournalRecord record = written();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct deadline_now now = {cases[i].unix_ms, cases[i].boot_ms, cases[i].boot};
		struct deadline read = deadline_read(&record, &now);
		if (deadline_left_ms(&read, &now) != cases[i].left_ms)
			fail_msg("%s: %llu", cases[i].what,
				(unsigned long long)deadline_left_ms(&read, &now));
		assert_int_equal(read.unix_ms, cases[i].unix_ms + cases[i].left_ms);
		assert_int_equal(
			deadline_other_boot(&record, &now), strcmp(cases[i].boot, "two") == 0);
	}
}

static void the_record_of_an_older_agent_has_only_one_clock(void **state)
{
	(void)state;
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	const struct deadline_now now = {NOON, 10 * HOUR, "one"};
	record.deadline_unix_ms = NOON + HOUR;
	struct deadline read = deadline_read(&record, &now);
	assert_int_equal(deadline_left_ms(&read, &now), HOUR);
	assert_false(deadline_other_boot(&record, &now));
	record.deadline_unix_ms = 0;
	read = deadline_read(&record, &now);
	assert_int_equal(read.unix_ms, 0);
}

static void setting_the_same_again_changes_nothing(void **state)
{
	(void)state;
	struct deadline deadline = {0};
	struct deadline_now now = {NOON, 10 * HOUR, "one"};
	deadline_set(&deadline, NOON + HOUR, &now);
	now.unix_ms += 5 * HOUR; /* the clock was set, and no time went by */
	deadline_set(&deadline, NOON + HOUR, &now);
	assert_int_equal(deadline_left_ms(&deadline, &now), HOUR);
	deadline_set(&deadline, 0, &now);
	assert_int_equal(deadline.unix_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_is_what_no_clock_can_change),
		cmocka_unit_test(the_record_of_an_older_agent_has_only_one_clock),
		cmocka_unit_test(setting_the_same_again_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
