#include "common/base/mem.h"
#include "common/config/yaml.h"

#include <setjmp.h>

#include <cmocka.h>

static void the_tree_knows_its_lines(void **state)
{
	(void)state;
	AUTO_YAML struct yaml *yaml = NULL;
	struct err err = ERR_INIT;
	assert_int_equal(yaml_load_bytes("t.yaml",
				 BYTES_STR("# comment\na: 1\nb:\n  - { c: \"x y\" }\n  - |\n"
					   "    text\nd: ~\ne: \"\"\n"),
				 &yaml, &err),
		0);
	const struct yaml_node *root = yaml_root(yaml);
	assert_int_equal(root->kind, YAML_MAPPING);
	assert_int_equal(root->count, 4);
	assert_int_equal(yaml_get(root, "a")->line, 2);
	const struct yaml_node *b = yaml_get(root, "b");
	assert_int_equal(b->line, 3);
	assert_int_equal(b->first->line, 4);
	assert_string_equal(yaml_get(b->first, "c")->text, "x y");
	assert_string_equal(b->last->text, "text\n");
	assert_int_equal(b->last->index, 1);
	assert_int_equal(yaml_get(root, "d")->kind, YAML_EMPTY);
	assert_int_equal(yaml_get(root, "e")->kind, YAML_SCALAR);
	assert_null(yaml_get(root, "f"));
	yaml_error(yaml_get(b->first, "c"), &err, "wrong");
	assert_string_equal(err.message, "t.yaml:4: b[0].c: wrong");
	yaml_error_missing(b->first, "g", &err, "is missing");
	assert_string_equal(err.message, "t.yaml:4: b[0].g: is missing");
}

static void what_is_not_plain_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "t:1: the file is empty; write at least version: 1"},
		{"# nothing\n", "t:1: the file is empty; write at least version: 1"},
		{"a: 1\nb: 2\na: 3\n", "t:3: a: the same key as in line 1; leave one of them out"},
		{"x:\n  - { b: 1, \"b\": 2 }\n",
			"t:2: x[0].b: the same key as in line 2; leave one of them out"},
		{"a: &x 1\n", "t:1: anchors are not accepted; write the value out where it is "
			      "needed"},
		{"a: 1\nb: *x\n", "t:2: aliases are not accepted; write the value out where it is "
				  "needed"},
		{"a: !!str 1\n", "t:1: tags are not accepted; write the value without it"},
		{"a: !x { b: 1 }\n", "t:1: tags are not accepted; write the value without it"},
		{"a: 1\n---\nb: 2\n", "t:2: a second document begins here; keep one document in "
				      "the file"},
		{"? [a]\n: 1\n", "t:1: a key that is a list or mapping; write a plain word as key"},
		{"a: \"x\\0y\"\n", "t:1: a NUL character inside a value; leave it out"},
		{"a: 1\nb: \xff\n", "t:2: the byte 0xff is not UTF-8; save the file as UTF-8"},
		{"a: \xed\xa0\x80\n", "t:1: the byte 0xed is not UTF-8; save the file as UTF-8"},
		{"a: \x1b[31m\n", "t:1: the control character 0x1b is in the file; remove it"},
		{"a: 1\n b: 2\n", "t:1: not valid YAML: invalid multiline plain key; check the "
				  "indentation and the brackets around column 4"},
		{"a: [1, 2\nb: 3\n",
			"t:3: not valid YAML: flow sequence without a closing bracket; check the "
			"indentation and the brackets around column 1"},
		{"a: \"b\n", "t:1: not valid YAML: double-quoted scalar without closing quote; "
			     "check the indentation and the brackets around column 5"},
		{"\ta: 1\n", "t:1: not valid YAML: invalid tab as indendation in a mapping; check "
			     "the indentation and the brackets around column 1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct yaml *yaml = NULL;
		struct err err = ERR_INIT;
		assert_int_equal(yaml_load_bytes("t", BYTES_STR(cases[i].text), &yaml, &err), -1);
		assert_null(yaml);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_string_equal(err.message, cases[i].message);
	}
}

static void directives_are_harmless(void **state)
{
	(void)state;
	AUTO_YAML struct yaml *yaml = NULL;
	struct err err = ERR_INIT;
	assert_int_equal(yaml_load_bytes("t", BYTES_STR("%FOO bar\n---\na: 1\n"), &yaml, &err), 0);
	assert_string_equal(yaml_get(yaml_root(yaml), "a")->text, "1");
}

static void limits_hold(void **state)
{
	(void)state;
	struct yaml *yaml = NULL;
	struct err err = ERR_INIT;
	AUTO(buf) struct buf deep = {0};
	for (unsigned i = 0; i < 5000; i++)
		buf_append_str(&deep, "[");
	assert_int_equal(yaml_load_bytes("t", buf_bytes(&deep), &yaml, &err), -1);
	assert_string_equal(err.message, "t:1: more than 32 levels of nesting; write it flatter");

	AUTO(buf) struct buf wide = {0};
	buf_append_str(&wide, "[");
	for (unsigned i = 0; i <= YAML_NODES_MAX; i++)
		buf_append_str(&wide, "a,\n");
	assert_int_equal(yaml_load_bytes("t", buf_bytes(&wide), &yaml, &err), -1);
	assert_string_equal(err.message,
		"t:100000: more than 100000 values; split the file or make "
		"it smaller");

	AUTO(buf) struct buf large = {0};
	while (large.len <= YAML_BYTES_MAX)
		buf_append_str(&large, "# a long comment\n");
	assert_int_equal(yaml_load_bytes("t", buf_bytes(&large), &yaml, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_int_equal(
		yaml_load_bytes_max("t", buf_bytes(&wide), YAML_BYTES_MAX, SIZE_MAX, &yaml, &err),
		-1);
	assert_non_null(strstr(err.message, "not valid YAML"));
	assert_null(yaml);
}

static void foreign_text_is_shown_safely(void **state)
{
	(void)state;
	AUTO_YAML struct yaml *yaml = NULL;
	assert_int_equal(yaml_load_bytes("t",
				 BYTES_STR("a: \"\\e[31m\\n"
					   "0123456789012345678901234567890123456789"
					   "01234567890123456789\"\n"),
				 &yaml, NULL),
		0);
	AUTO_FREE char *shown = yaml_shown(yaml_root(yaml)->first);
	assert_string_equal(shown, "\\x1b[31m\\n"
				   "012345678901234567890123456789012345678901234567890123...");
}

static void a_borrowed_error_gets_its_place(void **state)
{
	(void)state;
	AUTO_YAML struct yaml *yaml = NULL;
	assert_int_equal(yaml_load_bytes("t", BYTES_STR("a: { b: 1 }\n"), &yaml, NULL), 0);
	struct err err = ERR_INIT;
	err_set(&err, ERR_USAGE, "\"1\" is wrong");
	err_hint(&err, "Write 2.");
	yaml_error_wrap(yaml_root(yaml)->first->first, &err);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_string_equal(err.message, "t:1: a.b: \"1\" is wrong; write 2");
	assert_string_equal(
		err.hint, "Correct line 1 of t; docs/configuration.md explains every key.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_knows_its_lines),
		cmocka_unit_test(what_is_not_plain_is_refused),
		cmocka_unit_test(directives_are_harmless),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(foreign_text_is_shown_safely),
		cmocka_unit_test(a_borrowed_error_gets_its_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
