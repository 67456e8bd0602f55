#include "common/base/mem.h"
#include "common/os/clock.h"
#include "common/os/process.h"
#include <setjmp.h>

#include <cmocka.h>

static void stat_lines_parse_whatever_the_name(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		int rc;
		struct process process;
	} cases[] = {
		{"42 (cat) S 7 42 40 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9876 1 2\n", 0,
			{42, 7, 42, 40, 'S', 9876}},
		{"43 (a) R 1 (b c) Z 9 8 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 18446744073709551615", 0,
			{43, 9, 8, 7, 'Z', UINT64_MAX}},
		{"44 (short) S 7 42 40 0 -1", -1, {0}},
		{"no name at all", -1, {0}},
		{"(nopid) S 1 2 3", -1, {0}},
		{"", -1, {0}},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct process got = {0};
		assert_int_equal(process_parse(cases[i].line, &got), cases[i].rc);
		assert_int_equal(got.pid, cases[i].process.pid);
		assert_int_equal(got.parent, cases[i].process.parent);
		assert_int_equal(got.group, cases[i].process.group);
		assert_int_equal(got.session, cases[i].process.session);
		assert_int_equal(got.state, cases[i].process.state);
		assert_true(got.start_ticks == cases[i].process.start_ticks);
	}
}

static void we_are_in_proc(void **state)
{
	(void)state;
	struct process self;
	assert_int_equal(process_read(getpid(), &self, NULL), 0);
	assert_int_equal(self.parent, getppid());
	assert_int_equal(self.session, getsid(0));
	uint64_t started = process_unix_ms(self.start_ticks);
	assert_true(started <= clock_unix_ms() + 1000);
	assert_true(started + 120000 > clock_unix_ms());

	struct process *list;
	size_t count, found = 0;
	assert_int_equal(process_list(&list, &count, NULL), 0);
	for (size_t i = 0; i < count; i++)
		found += list[i].pid == getpid() && list[i].start_ticks == self.start_ticks;
	free(list);
	assert_int_equal(found, 1);

	char boot[PROCESS_BOOT_SIZE];
	assert_int_equal(process_boot(boot, NULL), 0);
	assert_int_equal(strlen(boot), 36);
}

static void nobody_has_that_pid(void **state)
{
	(void)state;
	struct process process;
	struct err err = ERR_INIT;
	assert_int_equal(process_read(0x7ffffff0, &process, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void descendants_are_found_whatever_their_order(void **state)
{
	(void)state;
	struct process list[] = {
		{.pid = 40, .parent = 30},
		{.pid = 7, .parent = 1},
		{.pid = 30, .parent = 20},
		{.pid = 20, .parent = 10},
		{.pid = 10, .parent = 1},
		{.pid = 21, .parent = 10},
		{.pid = 8, .parent = 7},
	};
	size_t count = sizeof(list) / sizeof(list[0]), sum = 0;
	assert_int_equal(process_descendants(list, count, 10), 4);
	for (size_t i = 0; i < 4; i++)
		sum += (size_t)list[i].pid;
	assert_int_equal(sum, 20 + 21 + 30 + 40);
	assert_int_equal(process_descendants(list, count, 99), 0);
	assert_int_equal(process_descendants(NULL, 0, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descendants_are_found_whatever_their_order),
		cmocka_unit_test(stat_lines_parse_whatever_the_name),
		cmocka_unit_test(we_are_in_proc),
		cmocka_unit_test(nobody_has_that_pid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
