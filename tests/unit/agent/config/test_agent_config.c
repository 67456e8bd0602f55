#include "agent/config/agent_config.h"

#include "tests/unit/config_reference.h"

static char dir[64], path[96];

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/fairlead-agent-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/agent.yaml", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return tree_remove(AT_FDCWD, dir, NULL);
}

static int load(const char *text, struct agent_config *ret, struct err *err)
{
	AUTO_CLOSE int dirfd = open_dir(dir, NULL);
	*err = ERR_INIT;
	assert_int_equal(file_write_atomic(dirfd, "agent.yaml", BYTES_STR(text), 0644, NULL), 0);
	return agent_config_load(path, ret, err);
}

static void every_default_is_set(void **state)
{
	(void)state;
	AUTO(agent_config) struct agent_config c = {0};
	struct err err;
	assert_int_equal(load("version: 1\nroot: /srv/fairlead/\n", &c, &err), 0);
	assert_string_equal(c.listen, "0.0.0.0:7443");
	assert_string_equal(c.root, "/srv/fairlead");
	assert_string_equal(c.state, "/var/lib/fairlead");
	assert_string_equal(c.trust, "/etc/fairlead/trust");
	assert_string_equal(c.users.gateway, "fairlead-gateway");
	assert_string_equal(c.users.probe, "fairlead-probe");
	assert_int_equal(c.limits.connections, 1024);
	assert_int_equal(c.limits.connections_per_address, 64);
	assert_int_equal(c.variables.count, 0);
	/* Beside this program, which lies in no bin directory. */
	AUTO_FREE char *self = realpath("/proc/self/exe", NULL);
	*strrchr(self, '/') = '\0';
	assert_string_equal(c.libexec, self);
}

static void everything_is_read(void **state)
{
	(void)state;
	AUTO(agent_config) struct agent_config c = {0};
	struct err err;
	assert_int_equal(load("version: 1\nlisten: \"[::1]:0\"\nroot: /a\nstate: /b\ntrust: /c\n"
			      "libexec: /d\nusers: { gateway: gw, probe: pr }\n"
			      "limits: { connections: 10, connections_per_address: 2 }\n"
			      "variables: { PORT: 8080, EMPTY: '' }\n",
				 &c, &err),
		0);
	assert_string_equal(c.listen, "[::1]:0");
	assert_string_equal(c.root, "/a");
	assert_string_equal(c.state, "/b");
	assert_string_equal(c.trust, "/c");
	assert_string_equal(c.libexec, "/d");
	assert_string_equal(c.users.gateway, "gw");
	assert_string_equal(c.users.probe, "pr");
	assert_int_equal(c.limits.connections, 10);
	assert_int_equal(c.limits.connections_per_address, 2);
	assert_string_equal(config_map_get(&c.variables, "PORT"), "8080");
	assert_string_equal(config_map_get(&c.variables, "EMPTY"), "");
}

static void bad_files_are_refused_with_line_and_key(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "1: the file is empty; write at least version: 1"},
		{"root: /a\n", "1: version: is missing; write version: 1"},
		{"version: 1\n", "1: root: is missing; write for example /srv/fairlead"},
		{"version: 1\nlsten: x\n", "2: lsten: unknown key; did you mean \"listen\"?"},
		{"version: 1\nroot: srv\n", "2: root: \"srv\" is not an absolute path; write for "
					    "example /srv/fairlead"},
		{"version: 1\nlisten: 7443\n",
			"2: listen: \"7443\" is not an address and port; write for example "
			"0.0.0.0:7443"},
		{"version: 1\nlisten: \"a:99999\"\n",
			"2: listen: \"a:99999\" is not an address and port; write for example "
			"0.0.0.0:7443"},
		{"version: 1\nlisten: \"a:-1\"\n",
			"2: listen: \"a:-1\" is not an address and port; write for example "
			"0.0.0.0:7443"},
		{"version: 1\nlisten: \":7443\"\n",
			"2: listen: \":7443\" is not an address and port; write for example "
			"0.0.0.0:7443"},
		{"version: 1\nusers:\n  gateway: a b\n", "3: users.gateway: \"a b\" is not a name; "
							 "write letters, digits, '.', '_' or "
							 "'-', beginning with a letter or digit"},
		{"version: 1\nlimits: { connections: 0 }\n",
			"2: limits.connections: \"0\" is out of range; write a whole number from 1 "
			"to "
			"100000"},
		{"version: 1\nvariables: { a-b: x }\n",
			"2: variables.a-b: \"a-b\" is not a variable's name; write letters, digits "
			"and '_'"},
		{"version: 1\nvariables:\n  A: [x]\n",
			"3: variables.A: expected text, found a list; write one value"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct agent_config c = {0};
		struct err err;
		assert_int_equal(load(cases[i].text, &c, &err), -1);
		AUTO_FREE char *expected = xasprintf("%s:%s", path, cases[i].message);
		assert_string_equal(err.message, expected);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_null(c.listen);
	}
}

static void a_missing_file_is_said(void **state)
{
	(void)state;
	struct agent_config c = {0};
	struct err err = ERR_INIT;
	assert_int_equal(agent_config_load("/nonexistent/agent.yaml", &c, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.message, "agent.yaml"));
	assert_non_null(strstr(err.hint, "--config"));
}

static void the_example_is_valid(void **state)
{
	(void)state;
	AUTO(agent_config) struct agent_config c = {0};
	struct err err = ERR_INIT;
	assert_int_equal(
		agent_config_load(FIXTURES "/../../deploy/examples/agent.yaml", &c, &err), 0);
}

static void every_key_is_documented(void **state)
{
	(void)state;
	assert_documented(agent_config_fields);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_set),
		cmocka_unit_test(everything_is_read),
		cmocka_unit_test(bad_files_are_refused_with_line_and_key),
		cmocka_unit_test(a_missing_file_is_said),
		cmocka_unit_test(the_example_is_valid),
		cmocka_unit_test(every_key_is_documented),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
