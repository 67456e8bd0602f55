#include "agent/service/service.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <setjmp.h>
#include <sys/mman.h>

#include <cmocka.h>

static void assert_tail(const char *log, size_t len, unsigned lines, const char *tail)
{
	AUTO_CLOSE int fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(fd_write_all(fd, log, len, NULL), 0);
	AUTO(buf) struct buf got = {0};
	assert_int_equal(service_log_tail(fd, lines, &got, NULL), 0);
	assert_string_equal(buf_str(&got), tail);
}

static void the_last_lines_are_shown_escaped(void **state)
{
	(void)state;
	static const struct {
		const char *log;
		unsigned lines;
		const char *tail;
	} cases[] = {
		{"", 5, ""},
		{"one\ntwo\nthree\n", 2, "two\nthree\n"},
		{"one\ntwo\nthree", 2, "two\nthree\n"},
		{"one\ntwo\n", 5, "one\ntwo\n"},
		{"one\n\n\n", 2, "\n\n"},
		{"one\ntwo\n", 0, ""},
		{"\x1b[31mred\n", 1, "\\x1b[31mred\n"},
		{"\n", 1, "\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_tail(cases[i].log, strlen(cases[i].log), cases[i].lines, cases[i].tail);
}

static void a_tail_is_bounded(void **state)
{
	(void)state;
	/* 200 KB of control characters, which are four times as long when escaped. */
	AUTO(buf) struct buf log = {0};
	for (int i = 0; i < 2000; i++) {
		uint8_t line[100];
		memset(line, 1, sizeof(line));
		line[sizeof(line) - 1] = '\n';
		buf_append(&log, line, sizeof(line));
	}
	AUTO_CLOSE int fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(fd_write_all(fd, log.data, log.len, NULL), 0);
	AUTO(buf) struct buf got = {0};
	assert_int_equal(service_log_tail(fd, 1000000, &got, NULL), 0);
	assert_true(got.len <= 64 * 1024);
	assert_true(got.len > 60 * 1024);
	assert_memory_equal(got.data, "\\x01\\x01", 8); /* begins with a line */
	assert_int_equal(got.len % (4 * 99 + 1), 0);
}

static void drivers_are_found_by_name(void **state)
{
	(void)state;
	assert_string_equal(service_ops_find("process")->name, "process");
	assert_null(service_ops_find("kubernetes"));
	assert_null(service_ops_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_lines_are_shown_escaped),
		cmocka_unit_test(a_tail_is_bounded),
		cmocka_unit_test(drivers_are_found_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
