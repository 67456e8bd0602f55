#include "common/base/mem.h"
#include "common/release/manifest.h"

#include <setjmp.h>

#include <cmocka.h>

/* A literal with its size, so that NUL bytes count. */
#define P(s) s, sizeof(s) - 1

static void ordinary_and_odd_paths_pass(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		size_t len;
	} cases[] = {
		{P("a")},
		{P("src/main.py")},
		{P(".github/workflows/ci.yml")},
		{P(".gitignore")},
		{P(".gitmodules")},
		{P(".gitt")},
		{P("git~2")},
		{P("git~10")},
		{P("git")},
		{P("x.git/config")},
		{P("...")},
		{P("..a/b..")},
		{P("new\nline")},
		{P("quote\"'`")},
		{P("back\\slash")},
		{P("caf\xc3\xa9/na\xefve/\xff\xfe")},
		{P("\xe2\x80\x8c")},
		{P(" ")},
		{P("-rf")},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;
		if (manifest_path_check(cases[i].path, cases[i].len, &err) < 0)
			fail_msg("%s: %s", cases[i].path, err.message);
	}
}

static void hostile_paths_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		size_t len;
		const char *says;
	} cases[] = {
		{P(""), "empty"},
		{P("/etc/passwd"), "absolute"},
		{P("a\0b"), "NUL"},
		{P("a//b"), "empty component"},
		{P("a/"), "empty component"},
		{P("."), "'.'"},
		{P("./a"), "'.'"},
		{P("a/./b"), "'.'"},
		{P(".."), "'..'"},
		{P("../a"), "'..'"},
		{P("a/../../b"), "'..'"},
		{P("a/.."), "'..'"},
		{P(".git"), ".git"},
		{P(".git/config"), ".git"},
		{P("sub/.git/hooks/post-checkout"), ".git"},
		{P(".GIT/config"), ".git"},
		{P(".gIt"), ".git"},
		{P(".g\xe2\x80\x8cit"), ".git"},             /* U+200C within */
		{P("\xe2\x80\x8d.git"), ".git"},             /* U+200D before */
		{P(".git\xef\xbb\xbf"), ".git"},             /* U+FEFF behind */
		{P(".\xe2\x80\xaagi\xe2\x81\xaft"), ".git"}, /* U+202A, U+206F */
		{P("git~1"), ".git"},
		{P("GIT~1/config"), ".git"},
		{P("a/Git~1 . "), ".git"},
		{P(".git."), ".git"},
		{P(".git ..  "), ".git"},
		{P(".git::$INDEX_ALLOCATION/config"), ".git"},
		{P(".git:x"), ".git"},
		{P(".git\\config"), ".git"},
		{P("a\\.git\\config"), ".git"},
		{P("a\\git~1"), ".git"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;
		assert_int_equal(manifest_path_check(cases[i].path, cases[i].len, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		if (!strstr(err.message, cases[i].says))
			fail_msg("case %zu: %s", i, err.message);
		assert_true(err.hint[0] != '\0');
	}
}

static void limits_hold_at_their_edge(void **state)
{
	(void)state;
	char path[MANIFEST_PATH_MAX + 2];
	struct err err;
	memset(path, 'a', sizeof(path));
	assert_int_equal(manifest_path_check(path, MANIFEST_NAME_MAX, &err), 0);
	assert_int_equal(manifest_path_check(path, MANIFEST_NAME_MAX + 1, &err), -1);
	for (size_t i = 100; i < sizeof(path); i += 101)
		path[i] = '/';
	assert_int_equal(manifest_path_check(path, MANIFEST_PATH_MAX, &err), 0);
	assert_int_equal(manifest_path_check(path, MANIFEST_PATH_MAX + 1, &err), -1);
	memset(path, 'a', sizeof(path));
	for (size_t i = 1; i < sizeof(path); i += 2)
		path[i] = '/';
	assert_int_equal(manifest_path_check(path, 2 * MANIFEST_DEPTH_MAX - 1, &err), 0);
	assert_int_equal(manifest_path_check(path, 2 * MANIFEST_DEPTH_MAX + 1, &err), -1);
}

static void links_stay_inside(void **state)
{
	(void)state;
	static const struct {
		const char *path, *target;
		int rc;
	} cases[] = {
		{"a", "b", 0},
		{"a", "b/c/d", 0},
		{"a", ".", 0},
		{"a", "./b//c/", 0},
		{"d/a", "..", 0},
		{"d/a", "../b", 0},
		{"d/e/a", "../../b", 0},
		{"d/a", "./../b", 0},
		{"a", "..b/...", 0},
		{"a", "", -1},
		{"a", "/etc/passwd", -1},
		{"a", "/", -1},
		{"a", "..", -1},
		{"a", "../b", -1},
		{"a", "./../b", -1},
		{"d/a", "../../b", -1},
		{"d/e/a", "../../../b", -1},
		{"a", "b/..", -1}, /* with b -> . it would leave */
		{"d/a", "x/../../b", -1},
		{"d/a", "../x/..", -1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;
		int rc = manifest_link_check(
			cases[i].path, cases[i].target, strlen(cases[i].target), &err);
		if (rc != cases[i].rc)
			fail_msg("%s -> %s: %d", cases[i].path, cases[i].target, rc);
		assert_int_equal(err.code, rc ? ERR_INVALID : ERR_NONE);
	}
	struct err err;
	assert_int_equal(manifest_link_check("a", P("b\0c"), &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_and_odd_paths_pass),
		cmocka_unit_test(hostile_paths_are_refused),
		cmocka_unit_test(limits_hold_at_their_edge),
		cmocka_unit_test(links_stay_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
