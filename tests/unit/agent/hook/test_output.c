#include "agent/hook/output.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct told {
	unsigned count;
	char last[8192];
};

static void on_line(void *user, const char *text)
{
	struct told *told = user;
	told->count++;
	snprintf(told->last, sizeof(told->last), "%s", text);
}

static void add(struct output *output, struct told *told, const char *text)
{
	output_add(output, BYTES_STR(text), on_line, told);
}

static void lines_are_told_when_they_end_and_escaped(void **state)
{
	(void)state;
	struct output output = {0};
	struct told told = {0};
	add(&output, &told, "one\ntw");
	assert_int_equal(told.count, 1);
	assert_string_equal(told.last, "one");
	add(&output, &told, "o \x1b[31m\nthr");
	assert_string_equal(told.last, "two \\x1b[31m");
	output_end(&output, on_line, &told);
	assert_int_equal(told.count, 3);
	assert_string_equal(told.last, "thr");
	output_end(&output, on_line, &told);
	assert_int_equal(told.count, 3);
	output_release(&output);
}

static void a_line_and_their_number_are_bounded(void **state)
{
	(void)state;
	struct output output = {0};
	struct told told = {0};
	char piece[101] = "";
	memset(piece, 'x', sizeof(piece) - 1);
	for (int i = 0; i < 50; i++)
		add(&output, &told, piece);
	add(&output, &told, "\n");
	assert_int_equal(told.count, 1);
	assert_int_equal(strlen(told.last), OUTPUT_LINE_BYTES + strlen(" ..."));
	for (int i = 0; i < 10 * OUTPUT_LINES_MAX; i++)
		add(&output, &told, "again\n");
	assert_int_equal(told.count, OUTPUT_LINES_MAX + 1);
	assert_string_equal(told.last, "(more output is not shown)");
	output_release(&output);
}

static void the_tail_is_the_end_of_it_all(void **state)
{
	(void)state;
	struct output output = {0};
	struct told told = {0};
	AUTO(buf) struct buf tail = {0};
	for (int i = 0; i < 5000; i++)
		add(&output, &told, "some line\n");
	add(&output, &told, "the \x07 last");
	output_tail(&output, &tail);
	assert_true(tail.len <= OUTPUT_TAIL_BYTES + 16);
	assert_non_null(strstr(buf_str(&tail), "some line\nthe \\x07 last\n"));
	output_release(&output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_told_when_they_end_and_escaped),
		cmocka_unit_test(a_line_and_their_number_are_bounded),
		cmocka_unit_test(the_tail_is_the_end_of_it_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
