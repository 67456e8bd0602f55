#include "common/base/mem.h"
#include "common/config/config.h"

#include <setjmp.h>

#include <cmocka.h>

enum fruit { APPLE = 1, PEAR = 2 };

static const struct config_choice fruits[] = {
	{"apple", APPLE, CONFIG_CHOICE_NOW},
	{"pear", PEAR, CONFIG_CHOICE_NOW},
	{"quince", 4, CONFIG_CHOICE_LATER},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

struct inner {
	uint64_t timeout_ms;
	unsigned retries;
	char *user;
};

struct outer {
	char *text, *name, *path;
	bool flag;
	uint64_t size;
	enum fruit fruit;
	unsigned basket;
	struct config_status status;
	char **list;
	struct config_map map;
	struct inner inner;
};

static int refuse_upper_case(const char *text, struct err *err)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z') {
			err_set(err, ERR_CONFIG, "capitals are not accepted");
			return err_hint(err, "Write it in small letters.");
		}
	return 0;
}

static const struct config_field inner_fields[] = {
	{.key = "timeout",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct inner, timeout_ms),
		.min = 100,
		.max = 3600000,
		.preset = "5s"},
	{.key = "retries",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct inner, retries),
		.max = 100,
		.preset = "3"},
	{.key = "user",
		.type = CONFIG_NAME,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct inner, user)},
	{0},
};

static const struct config_field fields[] = {
	{.key = "text", .type = CONFIG_TEXT, CONFIG_MEMBER(struct outer, text), .min = 1},
	{.key = "name",
		.type = CONFIG_NAME,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct outer, name)},
	{.key = "path", .type = CONFIG_PATH, CONFIG_MEMBER(struct outer, path), .preset = "/srv"},
	{.key = "flag", .type = CONFIG_BOOL, CONFIG_MEMBER(struct outer, flag), .preset = "true"},
	{.key = "size", .type = CONFIG_SIZE, CONFIG_MEMBER(struct outer, size), .max = 1 << 30},
	{.key = "fruit",
		.type = CONFIG_CHOICE,
		CONFIG_MEMBER(struct outer, fruit),
		.choices = fruits,
		.preset = "pear"},
	{.key = "basket",
		.type = CONFIG_FLAGS,
		CONFIG_MEMBER(struct outer, basket),
		.choices = fruits,
		.min = 1},
	{.key = "status",
		.type = CONFIG_STATUS,
		CONFIG_MEMBER(struct outer, status),
		.preset = "200"},
	{.key = "list",
		.type = CONFIG_LIST,
		CONFIG_MEMBER(struct outer, list),
		.min = 1,
		.check = refuse_upper_case},
	{.key = "map",
		.type = CONFIG_MAP,
		CONFIG_MEMBER(struct outer, map),
		.check_key = refuse_upper_case},
	{.key = "inner",
		.type = CONFIG_SECTION,
		CONFIG_MEMBER(struct outer, inner),
		.fields = inner_fields},
	{.key = "hooks", .type = CONFIG_LATER},
	{0},
};

static int load(const char *text, struct outer *outer, enum config_mode mode, struct err *err)
{
	AUTO_YAML struct yaml *yaml = NULL;
	if (yaml_load_bytes("t.yaml", BYTES_STR(text), &yaml, err) < 0)
		return -1;
	return config_load(yaml_root(yaml), fields, outer, mode, err);
}

static void every_default_is_set(void **state)
{
	(void)state;
	struct outer o = {0};
	struct err err = ERR_INIT;
	assert_int_equal(load("name: n\n", &o, CONFIG_NEW, &err), 0);
	assert_null(o.text);
	assert_string_equal(o.name, "n");
	assert_string_equal(o.path, "/srv");
	assert_true(o.flag);
	assert_int_equal(o.size, 0);
	assert_int_equal(o.fruit, PEAR);
	assert_int_equal(o.status.count, 1);
	assert_int_equal(o.status.ranges[0].min, 200);
	assert_int_equal(o.status.ranges[0].max, 200);
	assert_null(o.list[0]);
	assert_int_equal(o.map.count, 0);
	assert_int_equal(o.inner.timeout_ms, 5000);
	assert_int_equal(o.inner.retries, 3);
	config_release(fields, &o);
	config_release(fields, &o); /* once more is harmless */
}

static void everything_is_read_and_overlaid(void **state)
{
	(void)state;
	struct outer o = {0};
	struct err err = ERR_INIT;
	assert_int_equal(load("text: a: b\n", &o, CONFIG_NEW, &err), -1);
	config_release(fields, &o);
	assert_int_equal(load("text: 'a: b'\nname: web\npath: /a/b/\nflag: false\nsize: 10M\n"
			      "fruit: apple\nbasket: [apple, pear]\nstatus: 200-299\n"
			      "list: [x, 'y z']\nmap: { A1: x }\ninner: { timeout: 1m, user: u }\n",
				 &o, CONFIG_NEW, &err),
		-1);
	assert_string_equal(err.message,
		"t.yaml:10: map.A1: capitals are not accepted; write it in small letters");
	config_release(fields, &o);
	o = (struct outer){0};
	assert_int_equal(load("text: 'a: b'\nname: web\npath: /a/b/\nflag: false\nsize: 10M\n"
			      "fruit: apple\nbasket: [apple, pear]\nstatus: 200-299,304\n"
			      "list: [x, 'y z']\nmap: { a: x, b: 8080 }\n"
			      "inner: { timeout: 1m, user: u }\n",
				 &o, CONFIG_NEW, &err),
		0);
	assert_string_equal(o.text, "a: b");
	assert_string_equal(o.path, "/a/b");
	assert_false(o.flag);
	assert_int_equal(o.size, 10 << 20);
	assert_int_equal(o.fruit, APPLE);
	assert_int_equal(o.basket, APPLE | PEAR);
	assert_int_equal(o.status.count, 2);
	assert_int_equal(o.status.ranges[0].max, 299);
	assert_int_equal(o.status.ranges[1].min, 304);
	assert_int_equal(o.status.ranges[1].max, 304);
	assert_string_equal(o.list[1], "y z");
	assert_null(o.list[2]);
	assert_string_equal(config_map_get(&o.map, "b"), "8080");
	assert_int_equal(o.inner.timeout_ms, 60000);

	assert_int_equal(load("list: one\nstatus: [200, '201,400-404']\nmap: { b: '', c: y }\n"
			      "inner: { retries: 9 }\n",
				 &o, CONFIG_OVER, &err),
		0);
	assert_int_equal(o.status.count, 3);
	assert_int_equal(o.status.ranges[2].max, 404);
	assert_string_equal(o.list[0], "one");
	assert_null(o.list[1]);
	assert_int_equal(o.map.count, 3);
	assert_string_equal(config_map_get(&o.map, "a"), "x");
	assert_string_equal(config_map_get(&o.map, "b"), "");
	assert_string_equal(config_map_get(&o.map, "c"), "y");
	assert_null(config_map_get(&o.map, "d"));
	assert_int_equal(o.inner.timeout_ms, 60000);
	assert_int_equal(o.inner.retries, 9);
	assert_string_equal(o.name, "web");
	config_release(fields, &o);
}

static void errors_say_where_what_and_how(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"- a\n", "1: expected a mapping, found a list; write keys and values"},
		{"flag: true\n",
			"1: name: is missing; write letters, digits, '.', '_' or '-', beginning "
			"with a letter or digit"},
		{"name: a/b\n",
			"1: name: \"a/b\" is not a name; write letters, digits, '.', '_' or '-', "
			"beginning with a letter or digit"},
		{"nmae: x\n", "1: nmae: unknown key; did you mean \"name\"?"},
		{"zzzzzzzz: x\n",
			"1: zzzzzzzz: unknown key; write one of text, name, path, flag, size, "
			"fruit, basket, status, list, map, inner"},
		{"text: ''\n", "1: text: is empty; write it in quotes"},
		{"text:\n", "1: text: has no value; write it in quotes, or leave the key out"},
		{"text: [a]\n", "1: text: expected text, found a list; write it in quotes"},
		{"path: srv\n", "1: path: \"srv\" is not an absolute path; write for example "
				"/srv/fairlead"},
		{"\n\nflag: yes\n", "3: flag: \"yes\" is not true or false; write true or false"},
		{"size: 10X\n",
			"1: size: \"10X\" is not a size; write for example 512M, 10G or 1024"},
		{"size: 2G\n", "1: size: \"2G\" is out of range; write a size from 0 to 1G"},
		{"fruit: aple\n", "1: fruit: \"aple\" is not known here; write apple or pear"},
		{"fruit: quince\n",
			"1: fruit: fruit 'quince' is not available in this version; use apple or "
			"pear"},
		{"basket: []\n", "1: basket: the list is empty; write a list of apple or pear"},
		{"basket: [apple, plum]\n",
			"1: basket[1]: \"plum\" is not known here; write apple or pear"},
		{"status: 2xx\n",
			"1: status: \"2xx\" is not a status; write for example 200, 200-299 or "
			"[200-299, 304]"},
		{"status: 299-200\n",
			"1: status: \"299-200\" is out of range; write codes from 100 to 599, the "
			"lower one first, at most 8 ranges"},
		{"status: [200, 600]\n",
			"1: status[1]: \"600\" is out of range; write codes from 100 to 599, the "
			"lower one first, at most 8 ranges"},
		{"status: 1,\n", "1: status: \"1,\" is out of range; write codes from 100 to 599, "
				 "the lower one first, at most 8 ranges"},
		{"status: 200,\n", "1: status: \"200,\" is not a status; write for example 200, "
				   "200-299 or [200-299, 304]"},
		{"status: '200,201,202,203,204,205,206,207,208'\n",
			"1: status: \"200,201,202,203,204,205,206,207,208\" is out of range; write "
			"codes from 100 to 599, the lower one first, at most 8 ranges"},
		{"status: []\n", "1: status: expected a status, found a list; write for example "
				 "200, 200-299 or [200-299, 304]"},
		{"list: []\n", "1: list: the list is empty; write for example [a, b]"},
		{"list:\n  - a\n  - [b]\n",
			"3: list[1]: expected text, found a list; write it in quotes"},
		{"list:\n  - a\n  - B\n",
			"3: list[1]: capitals are not accepted; write it in small letters"},
		{"list: { a: b }\n",
			"1: list: expected a list, found a mapping; write for example [a, b]"},
		{"map: x\n", "1: map: expected a mapping, found a value; write for example { name: "
			     "value }"},
		{"map:\n  a:\n",
			"2: map.a: has no value; write \"\" if it shall be empty, or leave it "
			"out"},
		{"inner: x\n",
			"1: inner: expected a mapping, found a value; write its keys below it, "
			"indented"},
		{"inner:\n  timeout: 10x\n",
			"2: inner.timeout: \"10x\" is not a duration; write for example 10s, 2m or "
			"1h"},
		{"inner:\n  timeout: 2h\n",
			"2: inner.timeout: \"2h\" is out of range; write a duration from 100ms to "
			"1h"},
		{"inner: { retries: 101 }\n",
			"1: inner.retries: \"101\" is out of range; write a whole number from 0 to "
			"100"},
		{"inner: { retries: three }\n",
			"1: inner.retries: \"three\" is not a whole number; write for example 3"},
		{"inner: { timeuot: 3s }\n",
			"1: inner.timeuot: unknown key; did you mean \"timeout\"?"},
		{"name: x\ninner:\n  retries: 1\n",
			"2: inner.user: is missing; write letters, digits, '.', '_' or '-', "
			"beginning with a letter or digit"},
		{"hooks: { before: [x] }\n",
			"1: hooks: the key is not available in this version; leave it out"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct outer o = {0};
		struct err err = ERR_INIT;
		assert_int_equal(load(cases[i].text, &o, CONFIG_NEW, &err), -1);
		config_release(fields, &o);
		AUTO_FREE char *expected = xasprintf("t.yaml:%s", cases[i].message);
		assert_string_equal(err.message, expected);
		assert_int_equal(err.code, ERR_CONFIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_set),
		cmocka_unit_test(everything_is_read_and_overlaid),
		cmocka_unit_test(errors_say_where_what_and_how),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
