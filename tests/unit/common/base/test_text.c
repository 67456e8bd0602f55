#include "common/base/mem.h"
#include "common/base/text.h"

#include <setjmp.h>

#include <cmocka.h>

static void escapes_what_deceives(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain ü €", "plain ü €"},
		{"\x1b[31mred", "\\x1b[31mred"},
		{"two\nlines", "two\\nlines"},
		{"back\\slash", "back\\\\slash"},
		{"bidi \xe2\x80\xae evil", "bidi \\u{202e} evil"},
		{"c1 \xc2\x9b", "c1 \\u{009b}"},
		{"bad \xff\xc0\x80", "bad \\xff\\xc0\\x80"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *out = text_escaped(cases[i].in);
		assert_string_equal(out, cases[i].out);
	}
}

static void units_read_well(void **state)
{
	(void)state;
	char out[TEXT_UNIT_SIZE], when[TEXT_TIME_SIZE];
	assert_string_equal(text_bytes(999, out), "999 B");
	assert_string_equal(text_bytes(1234567, out), "1.2 MB");
	assert_string_equal(text_duration(340, out), "340ms");
	assert_string_equal(text_duration(1340, out), "1.3s");
	assert_string_equal(text_duration(65000, out), "1m05s");
	assert_string_equal(text_time(1736346615000, when), "2025-01-08T14:30:15+00:00");
}

static void names_are_safe_path_components(void **state)
{
	(void)state;
	assert_true(text_is_name("web-1.a_b"));
	assert_false(text_is_name(""));
	assert_false(text_is_name(".."));
	assert_false(text_is_name("a/b"));
	assert_false(text_is_name("-x"));
	assert_false(
		text_is_name("a234567890123456789012345678901234567890123456789012345678901234"));
}

static void nearest_word_is_suggested(void **state)
{
	(void)state;
	static const char *const words[] = {"interval", "timeout", "retries", NULL};
	assert_string_equal(text_nearest("intervall", words), "interval");
	assert_string_equal(text_nearest("retrys", words), "retries");
	assert_null(text_nearest("zzz", words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes_what_deceives),
		cmocka_unit_test(units_read_well),
		cmocka_unit_test(names_are_safe_path_components),
		cmocka_unit_test(nearest_word_is_suggested),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
