#include "common/base/mem.h"
#include "coordinator/plan/pattern.h"

#include <setjmp.h>

#include <cmocka.h>

static bool matches(const char *text, const char *path)
{
	struct pattern *pattern = NULL;
	struct err err = ERR_INIT;
	if (pattern_new(text, &pattern, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	bool result = pattern_matches(pattern, path);
	pattern_free(pattern);
	return result;
}

static void table_of_matches(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *path;
		bool matches;
	} cases[] = {
		/* Without '/': the last component, at any depth. */
		{"*.md", "README.md", true},
		{"*.md", "a/b/c.md", true},
		{"*.md", "a.md/b", false},
		{"*.md", ".md", true},
		{"Dockerfile*", "Dockerfile", true},
		{"Dockerfile*", "deploy/Dockerfile.prod", true},
		{"Dockerfile*", "dockerfile", false},
		{"compose*.y*ml", "compose.yml", true},
		{"compose*.y*ml", "x/compose.prod.yaml", true},
		{"compose*.y*ml", "compose.toml", false},
		{"**", "a/b/c", true},
		{"?", "a", true},
		{"?", "ab", false},
		{"?", "b/a", true},
		{"a", "b/a", true},
		{"a", "a/b", false},
		/* A directory, at any depth. */
		{"docs/", "docs/x", true},
		{"docs/", "a/docs/b/x", true},
		{"docs/", "docs", false},
		{"docs/", "mydocs/x", false},
		{"doc*/", "a/docs/b", true},
		/* With '/': from the root. */
		{"api/**", "api/a/b", true},
		{"api/**", "x/api/a", false},
		{"api/**", "api", false},
		{"api/*", "api/a", true},
		{"api/*", "api/a/b", false},
		{"/a", "a", true},
		{"/a", "b/a", false},
		{"/docs/", "docs/a", true},
		{"/docs/", "b/docs/a", false},
		{"a/b/", "a/b/c/d", true},
		{"a/b/", "x/a/b/c", false},
		/* Directories in between. */
		{"**/x", "x", true},
		{"**/x", "a/b/x", true},
		{"**/x", "a/bx", false},
		{"a/**/b", "a/b", true},
		{"a/**/b", "a/x/y/b", true},
		{"a/**/b", "a/xb", false},
		{"/**/b", "a/b", true},
		{"a/**/*.c", "a/b/c/d.c", true},
		{"a**/b", "ax/b", true},
		{"a**/b", "ax/y/b", false},
		/* Sets. */
		{"[a-c]x", "bx", true},
		{"[a-c]x", "dx", false},
		{"[!a-c]x", "dx", true},
		{"[^a-c]x", "ax", false},
		{"[]]", "]", true},
		{"[]-]x", "-x", true},
		{"[a\\]]", "]", true},
		{"a[!b]c/x", "a/c/x", false},
		{"/a[/]b", "a/b", false},
		{"[\xc0-\xff]", "\xe9", true},
		/* Alternatives. */
		{"*.{yml,yaml}", "a/b.yaml", true},
		{"*.{yml,yaml}", "b.yl", false},
		{"{a,b{c,d}}x", "bdx", true},
		{"{a,b{c,d}}x", "bx", false},
		{"{a,b{c,d}}x", "ax", true},
		{"x{,y}", "x", true},
		{"x{,y}", "xy", true},
		{"x{y}", "xy", true},
		{"{src,lib}/**", "lib/a", true},
		{"{src/,lib/a}", "lib/a", true},
		{"a,b", "a,b", true},
		{"a}", "a}", true},
		/* Escapes. */
		{"\\*", "*", true},
		{"\\*", "a", false},
		{"\\{a,b\\}", "{a,b}", true},
		{"\\!x", "!x", true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (matches(cases[i].pattern, cases[i].path) != cases[i].matches)
			fail_msg("\"%s\" on \"%s\"", cases[i].pattern, cases[i].path);
	}
}

static void wrong_patterns_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", "/", "!a", "./a", "a/../b", "a//b", "[a", "[", "[]",
		"[b-a]", "[[:alpha:]]", "{a", "{a,b", "a\\", "[a\\", "{{{{{{{{{a}}}}}}}}}"};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct pattern *pattern = NULL;
		struct err err = ERR_INIT;
		if (pattern_new(wrong[i], &pattern, &err) == 0)
			fail_msg("\"%s\" was accepted", wrong[i]);
		assert_int_equal(err.code, ERR_INVALID);
		assert_true(err.message[0] && err.hint[0]);
	}
	char text[PATTERN_MAX + 2];
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	struct pattern *pattern = NULL;
	assert_int_equal(pattern_new(text, &pattern, NULL), -1);
	text[PATTERN_MAX] = '\0';
	assert_int_equal(pattern_new(text, &pattern, NULL), 0);
	assert_true(pattern_matches(pattern, text));
	pattern_free(pattern);
}

/* A backtracking matcher would need longer than the universe has for these. */
static void hostile_patterns_end_soon(void **state)
{
	(void)state;
	char path[4096], stars[PATTERN_MAX + 1], deep[PATTERN_MAX + 1], braces[PATTERN_MAX + 1];
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	for (size_t i = 0; i < PATTERN_MAX; i++)
		stars[i] = "*a"[i % 2];
	stars[PATTERN_MAX - 1] = 'b';
	stars[PATTERN_MAX] = '\0';
	for (size_t i = 0; i < PATTERN_MAX; i++)
		deep[i] = "**/"[i % 3];
	deep[PATTERN_MAX - 1] = 'b';
	deep[PATTERN_MAX] = '\0';
	for (size_t i = 0; i < PATTERN_MAX; i++)
		braces[i] = "{a,aa}"[i % 6];
	braces[PATTERN_MAX - PATTERN_MAX % 6] = '\0';

	/* What tries all ways never ends: the test's time limit says so. */
	assert_false(matches(stars, path));
	for (size_t i = 1; i < sizeof(path) - 1; i += 2)
		path[i] = '/';
	assert_false(matches(deep, path));
	memset(path, 'a', sizeof(path) - 1);
	assert_false(matches(braces, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_of_matches),
		cmocka_unit_test(wrong_patterns_are_refused),
		cmocka_unit_test(hostile_patterns_end_soon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
