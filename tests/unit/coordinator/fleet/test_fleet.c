#include "coordinator/fleet/fleet.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
	const char *name, *labels;
} rows[] = {
	{"web1", "env: production, role: web"},
	{"web2", "env: staging, role: web"},
	{"db1", "env: production, role: db"},
	{"any", "role: web"},
};

static char directory[] = "/tmp/fairlead-fleet.XXXXXX";
static char *path;

static int write_inventory(void **state)
{
	(void)state;
	AUTO(buf) struct buf text = {0};
	if (sodium_init() < 0 || !mkdtemp(directory))
		return -1;
	buf_append_str(&text, "hosts:\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char key_text[KEY_TEXT_SIZE];
		AUTO_SIGNING_KEY struct signing_key *key = signing_key_new();
		public_key_text(signing_key_public(key), key_text);
		buf_printf(&text,
			"  %s: { address: \"127.0.0.1:%zu\", key: \"%s\", labels: { %s } }\n",
			rows[i].name, i + 1, key_text, rows[i].labels);
	}
	path = xasprintf("%s/fleet.yaml", directory);
	AUTO_CLOSE int fd = open_dir(directory, NULL);
	return file_write_atomic(fd, "fleet.yaml", buf_bytes(&text), 0644, NULL);
}

static int remove_inventory(void **state)
{
	(void)state;
	free(path);
	return tree_remove(AT_FDCWD, directory, NULL);
}

static void hosts_are_chosen_by_environment_and_limit(void **state)
{
	(void)state;
	static const struct {
		const char *environment, *limit, *hosts;
	} cases[] = {
		{NULL, NULL, "web1 web2 db1 any "},
		{"production", NULL, "web1 db1 any "},
		{"staging", NULL, "web2 any "},
		{"elsewhere", NULL, "any "},
		{"production", "role=web", "web1 any "},
		{"production", "db1", "db1 "},
		{"production", "!role=db", "web1 any "},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(fleet) struct fleet fleet = {0};
		AUTO(buf) struct buf names = {0};
		struct err err = ERR_INIT;
		assert_int_equal(
			fleet_open(path, cases[i].environment, cases[i].limit, &fleet, &err), 0);
		for (size_t h = 0; h < fleet.count; h++)
			buf_printf(&names, "%s ", fleet.hosts[h]->name);
		assert_string_equal(buf_str(&names), cases[i].hosts);
	}
}

static void a_choice_without_hosts_is_an_error_that_names_it(void **state)
{
	(void)state;
	static const struct {
		const char *environment, *limit;
		enum err_code code;
		const char *says;
	} cases[] = {
		{"production", "web2", ERR_NOT_FOUND, "'web2'"},
		{"staging", "role=db", ERR_NOT_FOUND, "'staging'"},
		{"production", "role=", ERR_USAGE, "role="},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(fleet) struct fleet fleet = {0};
		struct err err = ERR_INIT;
		assert_int_equal(
			fleet_open(path, cases[i].environment, cases[i].limit, &fleet, &err), -1);
		assert_int_equal(err.code, cases[i].code);
		assert_non_null(strstr(err.message, cases[i].says));
		assert_string_not_equal(err.hint, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_chosen_by_environment_and_limit),
		cmocka_unit_test(a_choice_without_hosts_is_an_error_that_names_it),
	};
	return cmocka_run_group_tests(tests, write_inventory, remove_inventory);
}
