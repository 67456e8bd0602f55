#include "common/base/mem.h"
#include "coordinator/cli/help.h"

#include <setjmp.h>

#include <cmocka.h>

/* What `print` writes, with one line per element width checked by the caller. */
static char *printed(void (*print)(FILE *out))
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	print(out);
	fclose(out);
	return text;
}

static char *printed_command(const struct command *command)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	help_command(out, command);
	fclose(out);
	return text;
}

static void assert_option(const char *text, const char *prefix, const struct option_row *row)
{
	AUTO_FREE char *option = xasprintf("%s%s", prefix, row->name);
	assert_non_null(strstr(text, option));
}

/* In characters, not bytes: continuation bytes of UTF-8 do not count. */
static void assert_lines_fit(const char *text)
{
	size_t width = 0;
	for (; *text; text++) {
		if (*text == '\n') {
			assert_true(width <= 80);
			width = 0;
		} else if (((unsigned char)*text & 0xc0) != 0x80) {
			width++;
		}
	}
	assert_int_equal(width, 0); /* the last line is ended */
}

static void the_overview_names_all(void **state)
{
	(void)state;
	AUTO_FREE char *text = printed(help_overview);
	for (size_t i = 0; commands[i]; i++) {
		AUTO_FREE char *verb = xasprintf("\n  %s ", commands[i]->name);
		assert_non_null(strstr(text, verb));
	}
	for (const struct option_row *row = common_options; row->name; row++)
		assert_option(text, "--", row);
	for (const struct option_row *row = main_options; row->name; row++)
		assert_option(text, "--", row);
	assert_non_null(strstr(text, "Exit status:"));
	assert_lines_fit(text);
}

static void each_verb_explains_itself(void **state)
{
	(void)state;
	for (size_t i = 0; commands[i]; i++) {
		AUTO_FREE char *text = printed_command(commands[i]);
		AUTO_FREE char *usage = xasprintf("usage: fairlead %s ", commands[i]->name);
		assert_int_equal(strncmp(text, usage, strlen(usage)), 0);
		assert_non_null(strstr(text, commands[i]->args));
		for (const struct option_row *row = commands[i]->options; row && row->name; row++)
			assert_option(text, "--", row);
		assert_lines_fit(text);
	}
}

static void the_manual_has_every_verb_and_option(void **state)
{
	(void)state;
	AUTO_FREE char *text = printed(help_man);
	for (size_t i = 0; commands[i]; i++) {
		AUTO_FREE char *verb = xasprintf("\n.Ss %s", commands[i]->name);
		assert_non_null(strstr(text, verb));
		for (const struct option_row *row = commands[i]->options; row && row->name; row++)
			assert_option(text, "Fl Fl ", row);
	}
	for (const struct option_row *row = common_options; row->name; row++)
		assert_option(text, "Fl Fl ", row);
	static const char *const sections[] = {
		"NAME", "SYNOPSIS", "DESCRIPTION", "VERBS", "OPTIONS", "EXIT STATUS"};
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		AUTO_FREE char *section = xasprintf("\n.Sh %s\n", sections[i]);
		assert_non_null(strstr(text, section));
	}
}

static void an_unknown_verb_gets_a_suggestion(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	assert_null(command_find("versoin", &err));
	assert_int_equal(err.code, ERR_USAGE);
	assert_string_equal(err.hint, "Did you mean `fairlead version`?");
	assert_null(command_find("xyzzyxyzzy", &err));
	assert_string_equal(err.hint, "`fairlead --help` lists the verbs.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_overview_names_all),
		cmocka_unit_test(each_verb_explains_itself),
		cmocka_unit_test(the_manual_has_every_verb_and_option),
		cmocka_unit_test(an_unknown_verb_gets_a_suggestion),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
