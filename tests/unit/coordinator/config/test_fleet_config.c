#include "common/base/mem.h"
#include "coordinator/config/fleet_config.h"
#include "coordinator/config/fleet_fields.h"
#include "tests/unit/config_reference.h"

#define KEY1 "ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define KEY2 "ed25519:AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static char dir[64], path[96];

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/fairlead-fleet-XXXXXX");
	if (sodium_init() < 0 || !mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/fleet.yaml", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return tree_remove(AT_FDCWD, dir, NULL);
}

static int load(struct bytes text, struct fleet_config *ret, struct err *err)
{
	AUTO_CLOSE int dirfd = open_dir(dir, NULL);
	assert_int_equal(file_write_atomic(dirfd, "fleet.yaml", text, 0644, NULL), 0);
	return fleet_config_load(path, ret, err);
}

static void a_good_inventory_is_read(void **state)
{
	(void)state;
	AUTO(fleet_config) struct fleet_config fleet = {0};
	struct err err = ERR_INIT;
	assert_int_equal(
		load(BYTES_STR("hosts:\n"
			       "  web1: { address: \"10.0.0.11:7443\", key: \"" KEY1 "\",\n"
			       "          labels: { env: production, role: web, zone: a } }\n"
			       "  db1:\n"
			       "    address: \"[2001:db8::1]:7443\"\n"
			       "    key: " KEY2 "\n"),
			&fleet, &err),
		0);
	assert_string_equal(fleet.path, path);
	assert_int_equal(fleet.count, 2);
	assert_string_equal(fleet.hosts[0].name, "web1");
	assert_string_equal(fleet.hosts[0].address, "10.0.0.11:7443");
	assert_int_equal(fleet.hosts[0].key.bytes[0], 1);
	assert_int_equal(fleet.hosts[0].label_count, 3);
	assert_string_equal(fleet.hosts[0].labels[2].name, "zone");
	assert_string_equal(fleet.hosts[0].labels[2].value, "a");
	assert_int_equal(fleet.hosts[0].line, 2);
	assert_string_equal(fleet.hosts[1].name, "db1");
	assert_int_equal(fleet.hosts[1].label_count, 0);
	assert_int_equal(fleet.hosts[1].line, 4);
}

#define WEB1 "hosts:\n  web1: { address: \"1.2.3.4:7443\", key: \"" KEY1 "\" }\n"

static void bad_inventories_are_refused_with_line_and_key(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "1: the file is empty; write at least version: 1"},
		{"version: 1\n", "1: hosts: is missing; write for example web1: { address: "
				 "\"10.0.0.11:7443\", key: \"...\" }"},
		{"version: 2\nhosts: {}\n",
			"1: version: \"2\" is not available in this version; write 1"},
		{"hosts: []\n",
			"1: hosts: expected a mapping, found a list; write a name and below it "
			"address and key"},
		{"hosts:\n  web 1: { address: x }\n",
			"2: hosts.web 1: not a name; write letters, digits, '.', '_' or '-', "
			"beginning with a letter or digit"},
		{"hosts:\n  web1: { key: \"" KEY1 "\" }\n",
			"2: hosts.web1.address: is missing; write for example 10.0.0.11:7443"},
		{"hosts:\n  web1:\n    address: 1.2.3.4:7443\n",
			"2: hosts.web1.key: is missing; write the public key that `fairlead-agent "
			"key` prints on the host"},
		{"hosts:\n  web1:\n    adress: 1.2.3.4:7443\n",
			"3: hosts.web1.adress: unknown key; did you mean \"address\"?"},
		{"hosts:\n  web1:\n    address: 1.2.3.4\n",
			"3: hosts.web1.address: \"1.2.3.4\" is not an address with a port; write "
			"for example 10.0.0.11:7443 or [2001:db8::11]:7443"},
		{"hosts:\n  web1:\n    address: \"::1:7443\"\n",
			"3: hosts.web1.address: \"::1:7443\" is not an address with a port; write "
			"for example 10.0.0.11:7443 or [2001:db8::11]:7443"},
		{"hosts:\n  web1:\n    address: host:0\n",
			"3: hosts.web1.address: \"host:0\" is not an address with a port; write "
			"for example 10.0.0.11:7443 or [2001:db8::11]:7443"},
		{"hosts:\n  web1:\n    labels: { role: web server }\n",
			"3: hosts.web1.labels.role: labels and their values are words; write "
			"letters, digits, '.', '_' or '-', beginning with a letter or digit"},
		{"hosts:\n  web1:\n    labels: [web]\n",
			"3: hosts.web1.labels: expected a mapping, found a list; write for example "
			"{ role: web }"},
		{WEB1 "  web1: {}\n",
			"3: hosts.web1: the same key as in line 2; leave one of them out"},
		{WEB1 "  web2: { address: \"1.2.3.5:7443\",\n    key: \"" KEY1 "\" }\n",
			"4: hosts.web2.key: the same as of host \"web1\"; list each host once"},
		{WEB1 "  web2: { address: \"1.2.3.4:7443\", key: \"" KEY2 "\" }\n",
			"3: hosts.web2.address: the same as of host \"web1\"; list each host once"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fleet_config fleet = {0};
		struct err err = ERR_INIT;
		assert_int_equal(load(BYTES_STR(cases[i].text), &fleet, &err), -1);
		AUTO_FREE char *expected = xasprintf("%s:%s", path, cases[i].message);
		assert_string_equal(err.message, expected);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_true(err.hint[0] != '\0');
	}
}

static void a_bad_key_is_shown_with_its_place(void **state)
{
	(void)state;
	struct fleet_config fleet = {0};
	struct err err = ERR_INIT;
	assert_int_equal(load(BYTES_STR("hosts:\n  web1:\n    key: rsa:AAAA\n"), &fleet, &err), -1);
	AUTO_FREE char *prefix = xasprintf("%s:3: hosts.web1.key: ", path);
	assert_memory_equal(err.message, prefix, strlen(prefix));
	assert_int_equal(err.code, ERR_CONFIG);
}

static void a_missing_file_is_said(void **state)
{
	(void)state;
	struct fleet_config fleet = {0};
	struct err err = ERR_INIT;
	assert_int_equal(fleet_config_load("/nonexistent/fleet.yaml", &fleet, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.message, "fleet.yaml"));
	assert_non_null(strstr(err.hint, "-i FILE"));
	assert_int_equal(fleet_config_load(dir, &fleet, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
}

static void ten_thousand_hosts_fit(void **state)
{
	(void)state;
	AUTO(buf) struct buf text = {0};
	buf_append_str(&text, "hosts:\n");
	for (uint32_t i = 0; i < 10000; i++) {
		struct public_key key = {{0}};
		char shown[KEY_TEXT_SIZE];
		memcpy(key.bytes, &i, sizeof(i));
		buf_printf(&text,
			"  web%u: { address: \"10.0.%u.%u:7443\", key: \"%s\", labels: { env: "
			"production, role: web, zone: a } }\n",
			i, i / 250, i % 250, public_key_text(&key, shown));
	}
	assert_true(text.len > YAML_BYTES_MAX);
	AUTO(fleet_config) struct fleet_config fleet = {0};
	struct err err = ERR_INIT;
	assert_int_equal(load(buf_bytes(&text), &fleet, &err), 0);
	assert_int_equal(fleet.count, 10000);
}

static void every_key_is_documented(void **state)
{
	(void)state;
	assert_documented(fleet_fields);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_inventory_is_read),
		cmocka_unit_test(bad_inventories_are_refused_with_line_and_key),
		cmocka_unit_test(a_bad_key_is_shown_with_its_place),
		cmocka_unit_test(a_missing_file_is_said),
		cmocka_unit_test(ten_thousand_hosts_fit),
		cmocka_unit_test(every_key_is_documented),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
