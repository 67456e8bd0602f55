#include "common/base/mem.h"
#include "coordinator/cli/help.h"
#include "coordinator/cli/options.h"

#include <setjmp.h>

#include <cmocka.h>

static const struct option_row verb_options[] = {
	{"to", 't', OPTION_STRING, "REV", offsetof(struct options, to), "the revision"},
	{"force", 'f', OPTION_FLAG, NULL, offsetof(struct options, force), "do it"},
	{0},
};
static const struct option_row *const tables[] = {common_options, verb_options, NULL};

enum { WORDS_MAX = 12 };

/* Split at blanks, parse. The words live as long as `line`. */
static int parse(char *line, enum options_mode mode, struct options *ret, struct err *err)
{
	static char *argv[WORDS_MAX];
	int argc = 0;
	for (char *rest = line, *word; (word = strsep(&rest, " "));)
		argv[argc++] = word;
	*ret = (struct options){0};
	return options_parse(tables, argc, argv, mode, ret, err);
}

static void every_spelling_is_read(void **state)
{
	(void)state;
	static const char *const spellings[] = {"-e prod", "-eprod", "--env prod", "--env=prod",
		"-ve prod", "-veprod", "-e old -e prod"};
	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		AUTO_FREE char *line = xstrdup(spellings[i]);
		struct options options;
		assert_int_equal(parse(line, OPTIONS_ANYWHERE, &options, NULL), 0);
		assert_string_equal(options.environment, "prod");
		assert_int_equal(options.verbose, spellings[i][1] == 'v');
		assert_int_equal(options.arg_count, 0);
	}
}

static void options_and_arguments_mix(void **state)
{
	(void)state;
	AUTO_FREE char *line = xstrdup("one -f two --to=x=y - --json -- -v --nope");
	struct options options;
	assert_int_equal(parse(line, OPTIONS_ANYWHERE, &options, NULL), 0);
	static const char *const args[] = {"one", "two", "-", "-v", "--nope"};
	assert_int_equal(options.arg_count, ARRAY_LEN(args));
	for (size_t i = 0; i < ARRAY_LEN(args); i++)
		assert_string_equal(options.args[i], args[i]);
	assert_true(options.force && options.json && !options.verbose);
	assert_string_equal(options.to, "x=y");
}

static void the_verb_ends_the_first_options(void **state)
{
	(void)state;
	AUTO_FREE char *line = xstrdup("-C dir plan -f --nope");
	struct options options;
	assert_int_equal(parse(line, OPTIONS_UNTIL_VERB, &options, NULL), 0);
	assert_string_equal(options.directory, "dir");
	assert_int_equal(options.arg_count, 3);
	assert_string_equal(options.args[0], "plan");
	assert_string_equal(options.args[2], "--nope");
	assert_false(options.force);
}

static void what_is_wrong_is_said(void **state)
{
	(void)state;
	static const struct {
		const char *line, *message, *hint;
	} cases[] = {
		{"--evn prod", "unknown option '--evn'", "Did you mean '--env'?"},
		{"--forse", "unknown option '--forse'", "Did you mean '--force'?"},
		{"--xyzzyxyz", "unknown option '--xyzzyxyz'", "Add --help to see the options."},
		{"--=x", "unknown option '--'", "Add --help to see the options."},
		{"-vZ", "unknown option '-Z'", "Add --help to see the options."},
		{"--json=yes", "option '--json' takes no value", "Write --json alone."},
		{"x --env", "option '--env' without its value", "Write --env ENV."},
		{"-ft", "option '--to' without its value", "Write --to REV."},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *line = xstrdup(cases[i].line);
		struct options options;
		struct err err = ERR_INIT;
		assert_int_equal(parse(line, OPTIONS_ANYWHERE, &options, &err), -1);
		assert_int_equal(err.code, ERR_USAGE);
		assert_string_equal(err.message, cases[i].message);
		assert_string_equal(err.hint, cases[i].hint);
	}
}

static void json_before_a_mistake_is_kept(void **state)
{
	(void)state;
	AUTO_FREE char *line = xstrdup("--json --nope");
	struct options options;
	assert_int_equal(parse(line, OPTIONS_ANYWHERE, &options, NULL), -1);
	assert_true(options.json);
}

static void numbers_are_whole_and_bounded(void **state)
{
	(void)state;
	unsigned n = 0;
	assert_int_equal(options_number("count", NULL, 1, 10, 7, &n, NULL), 0);
	assert_int_equal(n, 7);
	assert_int_equal(options_number("count", "10", 1, 10, 7, &n, NULL), 0);
	assert_int_equal(n, 10);
	static const char *const refused[] = {
		"", "0", "11", "-1", " 3", "3x", "0x3", "99999999999999999999999"};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct err err = ERR_INIT;
		assert_int_equal(options_number("count", refused[i], 1, 10, 7, &n, &err), -1);
		assert_int_equal(err.code, ERR_USAGE);
	}
	assert_int_equal(n, 10);
}

static void the_key_has_a_default(void **state)
{
	(void)state;
	static const struct {
		const char *option, *key, *config_home, *home, *expected;
	} cases[] = {
		{"a", "b", "/c", "/d", "a"},
		{NULL, "b", "/c", "/d", "b"},
		{NULL, "", "/c", "/d", "/c/fairlead/key"},
		{NULL, NULL, "relative", "/d", "/d/.config/fairlead/key"},
		{NULL, NULL, NULL, "/d", "/d/.config/fairlead/key"},
		{NULL, NULL, NULL, NULL, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct {
			const char *name, *value;
		} environment[] = {{"FAIRLEAD_KEY", cases[i].key},
			{"XDG_CONFIG_HOME", cases[i].config_home}, {"HOME", cases[i].home}};
		for (size_t j = 0; j < ARRAY_LEN(environment); j++) {
			if (environment[j].value)
				setenv(environment[j].name, environment[j].value, 1);
			else
				unsetenv(environment[j].name);
		}
		struct options options = {.key = cases[i].option};
		struct err err = ERR_INIT;
		AUTO_FREE char *path = options_key_path(&options, &err);
		assert_int_equal(path != NULL, cases[i].expected != NULL);
		if (path)
			assert_string_equal(path, cases[i].expected);
		else
			assert_int_equal(err.code, ERR_USAGE);
	}
}

/* -- the tables ------------------------------------------------------------------------------ */

static void row_is_complete(const struct option_row *row)
{
	assert_true(row->help && row->help[0]);
	size_t flags = offsetof(struct options, json), end = offsetof(struct options, args);
	if (row->kind == OPTION_FLAG) {
		assert_null(row->value);
		assert_true(row->offset >= flags && row->offset < end);
	} else {
		assert_true(row->value && row->value[0]);
		assert_true(row->offset < flags && row->offset % sizeof(char *) == 0);
	}
}

static void rows_are_apart(const struct option_row *const *all)
{
	for (size_t a = 0; all[a]; a++) {
		for (const struct option_row *row = all[a]; row->name; row++) {
			size_t names = 0, letters = 0;
			for (size_t b = 0; all[b]; b++) {
				for (const struct option_row *r = all[b]; r->name; r++) {
					names += strcmp(r->name, row->name) == 0;
					letters += row->letter && r->letter == row->letter;
				}
			}
			assert_int_equal(names, 1);
			assert_true(letters <= 1);
			row_is_complete(row);
		}
	}
}

static void the_tables_are_sound(void **state)
{
	(void)state;
	rows_are_apart((const struct option_row *const[]){common_options, main_options, NULL});
	for (size_t i = 0; commands[i]; i++) {
		const struct command *command = commands[i];
		assert_true(command->name && command->args && command->run);
		assert_true(command->summary && command->summary[0]);
		assert_true(command->args_min <= command->args_max);
		assert_int_equal(command->args[0] != '\0', command->args_max > 0);
		assert_ptr_equal(command_find(command->name, NULL), command);
		rows_are_apart(
			(const struct option_row *const[]){common_options, command->options, NULL});
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_spelling_is_read),
		cmocka_unit_test(options_and_arguments_mix),
		cmocka_unit_test(the_verb_ends_the_first_options),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(json_before_a_mistake_is_kept),
		cmocka_unit_test(numbers_are_whole_and_bounded),
		cmocka_unit_test(the_key_has_a_default),
		cmocka_unit_test(the_tables_are_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
