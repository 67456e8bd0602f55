#include "common/base/mem.h"
#include "common/os/file.h"
#include "common/trust/policy.h"
#include "common/trust/policy_fields.h"
#include "tests/unit/config_reference.h"

#include <limits.h>
#include <setjmp.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { NOW = 1000000 };

struct fixture {
	char dir[64];
	char path[96];
	char ci[KEY_TEXT_SIZE], ops[KEY_TEXT_SIZE];
	struct public_key ci_key, ops_key, other_key;
};

static struct public_key make_key(uint8_t seed_byte)
{
	uint8_t seed[crypto_sign_SEEDBYTES] = {seed_byte};
	AUTO_SIGNING_KEY struct signing_key *key = signing_key_from_seed(seed);
	return *signing_key_public(key);
}

static int set_up(void **state)
{
	if (sodium_init() < 0)
		return -1;
	struct fixture *f = xcalloc(1, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/fairlead-policy-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/policy.yaml", f->dir);
	f->ci_key = make_key(1);
	f->ops_key = make_key(2);
	f->other_key = make_key(3);
	public_key_text(&f->ci_key, f->ci);
	public_key_text(&f->ops_key, f->ops);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;
	int result = tree_remove(AT_FDCWD, f->dir, &err);
	free(f);
	return result;
}

static void write_policy(const struct fixture *f, const char *text)
{
	AUTO_CLOSE int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text), NULL), 0);
	assert_int_equal(fchmod(fd, 0644), 0);
}

static void write_example(const struct fixture *f)
{
	AUTO_FREE char *text = xasprintf("version: 1\n"
					 "signers:\n"
					 "  ci:\n"
					 "    key: \"%s\"\n"
					 "    roles: [deploy, observe]\n"
					 "    apps: [shop]\n"
					 "    environments: [production, staging]\n"
					 "    expires: 1970-01-01T00:16:41Z\n"
					 "  ops:\n"
					 "    key: \"%s\"\n"
					 "    roles: rollback\n"
					 "    apps: [\"*\"]\n"
					 "    environments: [\"*\"]\n",
		f->ci, f->ops);
	write_policy(f, text);
}

static void a_good_file_is_read(void **state)
{
	const struct fixture *f = *state;
	write_example(f);
	AUTO(policy) struct policy policy = {0};
	struct err err = ERR_INIT;
	assert_int_equal(policy_load(f->path, &policy, &err), 0);
	assert_int_equal(policy.count, 2);
	assert_string_equal(policy.signers[0].name, "ci");
	assert_int_equal(policy.signers[0].roles, POLICY_ROLE_DEPLOY | POLICY_ROLE_OBSERVE);
	assert_int_equal(policy.signers[0].expires_unix_ms, 1001000);
	assert_string_equal(policy.signers[0].environments[1], "staging");
	assert_int_equal(policy.signers[1].roles, POLICY_ROLE_ROLLBACK);
	assert_int_equal(policy.signers[1].expires_unix_ms, 0);

	struct key_id id = public_key_id(&f->ops_key);
	assert_ptr_equal(policy_find(&policy, &id), &policy.signers[1]);
	id = public_key_id(&f->other_key);
	assert_null(policy_find(&policy, &id));
}

static void links_are_let_in_until_expiry(void **state)
{
	const struct fixture *f = *state;
	write_example(f);
	AUTO(policy) struct policy policy = {0};
	struct err err = ERR_INIT;
	assert_int_equal(policy_load(f->path, &policy, &err), 0);
	assert_int_equal(policy_admits(&policy, &f->ci_key, NOW, &err), 0);
	assert_int_equal(policy_admits(&policy, &f->ci_key, 1000999, &err), 0);
	assert_int_equal(policy_admits(&policy, &f->ci_key, 1001000, &err), -1);
	assert_int_equal(err.code, ERR_AUTH);
	assert_string_equal(
		err.message, "the key of signer 'ci' expired at 1970-01-01T00:16:41+00:00");
	assert_int_equal(policy_admits(&policy, &f->ops_key, UINT64_MAX, &err), 0);
	assert_int_equal(policy_admits(&policy, &f->other_key, NOW, &err), -1);
	assert_int_equal(err.code, ERR_AUTH);
}

static void what_is_not_allowed_is_denied(void **state)
{
	const struct fixture *f = *state;
	write_example(f);
	AUTO(policy) struct policy policy = {0};
	struct err err = ERR_INIT;
	assert_int_equal(policy_load(f->path, &policy, &err), 0);
	static const struct {
		unsigned signer;
		Fairlead__V1__Action action;
		const char *app, *environment;
		uint64_t now;
		enum err_code code;
	} cases[] = {
		{0, FAIRLEAD__V1__ACTION__ACTION_PREPARE, "shop", "production", NOW, ERR_NONE},
		{0, FAIRLEAD__V1__ACTION__ACTION_PREPARE, "shop", "staging", NOW, ERR_NONE},
		{0, FAIRLEAD__V1__ACTION__ACTION_PREPARE, "shop", "dev", NOW, ERR_DENIED},
		{0, FAIRLEAD__V1__ACTION__ACTION_PREPARE, "shop2", "staging", NOW, ERR_DENIED},
		{0, FAIRLEAD__V1__ACTION__ACTION_PREPARE, "shop", "staging", 1001000, ERR_AUTH},
		{0, FAIRLEAD__V1__ACTION__ACTION_UNSPECIFIED, "shop", "staging", NOW, ERR_DENIED},
		{0, (Fairlead__V1__Action)99, "shop", "staging", NOW, ERR_DENIED},
		{1, FAIRLEAD__V1__ACTION__ACTION_PREPARE, "shop", "staging", NOW, ERR_DENIED},
		{1, FAIRLEAD__V1__ACTION__ACTION_ROLLBACK, "any", "where", NOW, ERR_NONE},
		{1, FAIRLEAD__V1__ACTION__ACTION_STATUS, "any", "where", NOW, ERR_NONE},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		err_clear(&err);
		int result = policy_allows(&policy, &policy.signers[cases[i].signer],
			cases[i].action, cases[i].app, cases[i].environment, cases[i].now, &err);
		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(result, cases[i].code == ERR_NONE ? 0 : -1);
	}
	policy_allows(&policy, &policy.signers[0], FAIRLEAD__V1__ACTION__ACTION_PREPARE, "b\x1b",
		"dev", NOW, &err);
	assert_string_equal(
		err.message, "signer 'ci' may not prepare app 'b\\x1b' in environment 'dev'");
	struct policy_signer stranger = policy.signers[1];
	assert_int_equal(policy_allows(&policy, &stranger, FAIRLEAD__V1__ACTION__ACTION_STATUS,
				 "shop", "staging", NOW, &err),
		-1);
	assert_int_equal(err.code, ERR_AUTH);
	assert_int_equal(policy_allows(&policy, NULL, FAIRLEAD__V1__ACTION__ACTION_STATUS, "shop",
				 "staging", NOW, &err),
		-1);
	assert_int_equal(err.code, ERR_AUTH);
}

static void every_action_has_its_roles(void **state)
{
	(void)state;
	enum {
		DEPLOY = POLICY_ROLE_DEPLOY,
		BOTH = POLICY_ROLE_DEPLOY | POLICY_ROLE_ROLLBACK,
		LOOK = BOTH | POLICY_ROLE_OBSERVE,
	};
	static const struct {
		const char *name;
		unsigned roles;
	} expected[] = {
		{"ACTION_UNSPECIFIED", 0},
		{"ACTION_DESCRIBE", LOOK},
		{"ACTION_PREPARE", DEPLOY},
		{"ACTION_ACTIVATE", BOTH},
		{"ACTION_CONFIRM", BOTH},
		{"ACTION_ABORT", BOTH},
		{"ACTION_ROLLBACK", BOTH},
		{"ACTION_STATUS", LOOK},
		{"ACTION_RELEASES", LOOK},
		{"ACTION_WATCH", LOOK},
		{"ACTION_LOGS", LOOK},
		{"ACTION_MANIFEST", LOOK},
		{"ACTION_RESOLVE", BOTH},
		{"ACTION_PIN", BOTH},
		{"ACTION_AUDIT", LOOK},
		{"ACTION_DRIFT", LOOK},
	};
	/* An action added to the protocol must be judged here before it works. */
	assert_int_equal(fairlead__v1__action__descriptor.n_values, ARRAY_LEN(expected));
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(
			&fairlead__v1__action__descriptor, expected[i].name);
		assert_non_null(value);
		assert_int_equal(
			policy_roles_for((Fairlead__V1__Action)value->value), expected[i].roles);
	}
	static const int unknown[] = {-1, 31, 1000, INT_MAX, INT_MIN};
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		assert_int_equal(policy_roles_for((Fairlead__V1__Action)unknown[i]), 0);
}

static void bad_files_are_refused_with_line_and_key(void **state)
{
	const struct fixture *f = *state;
	const char *key = f->ci;
	struct {
		char *text;
		const char *message;
	} cases[] = {
		{xstrdup("signers: {}\n"), "1: version: is missing; write version: 1"},
		{xstrdup("version: 2\nsigners: {}\n"),
			"1: version: \"2\" is not available in this version; write 1"},
		{xstrdup("version: 1\n"), "1: signers: is missing; write at least one signer"},
		{xstrdup("version: 1\nsigners:\n  ci:\n    roles: [deploy]\n"),
			"3: signers.ci.key: is missing; write the public key that `fairlead key "
			"show` prints"},
		{xasprintf(
			 "version: 1\nsigners:\n  ci:\n    key: \"%s\"\n    rols: [deploy]\n", key),
			"5: signers.ci.rols: unknown key; did you mean \"roles\"?"},
		{xasprintf(
			 "version: 1\nsigners:\n  ci:\n    key: \"%s\"\n    roles: [root]\n", key),
			"5: signers.ci.roles[0]: \"root\" is not known here; write observe, deploy "
			"or rollback"},
		{xasprintf("version: 1\nsigners:\n  ci:\n    key: \"%s\"\n    roles: deploy\n"
			   "    apps: []\n",
			 key),
			"6: signers.ci.apps: the list is empty; write a list of app names, or "
			"[\"*\"] for any"},
		{xasprintf("version: 1\nsigners:\n  ci:\n    key: \"%s\"\n    roles: deploy\n"
			   "    apps: [\"sh*\"]\n",
			 key),
			"6: signers.ci.apps[0]: \"sh*\" is not a name; write a name or \"*\" for "
			"any"},
		{xasprintf(
			 "version: 1\nsigners:\n  ci:\n    key: \"%s\"\n    expires: soon\n", key),
			"5: signers.ci.expires: \"soon\" is not a time; write for example "
			"2027-01-31T00:00:00Z or 2027-01-31"},
		{xasprintf("version: 1\nsigners:\n  a: { key: \"%s\", roles: deploy, apps: x, "
			   "environments: y }\n  b: { key: \"%s\", roles: deploy, apps: x, "
			   "environments: y }\n",
			 key, key),
			"4: signers.b: has the same key as \"a\"; give each signer a key of its "
			"own"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *text = cases[i].text;
		write_policy(f, text);
		AUTO(policy) struct policy policy = {0};
		struct err err = ERR_INIT;
		assert_int_equal(policy_load(f->path, &policy, &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
		AUTO_FREE char *expected = xasprintf("%s:%s", f->path, cases[i].message);
		assert_string_equal(err.message, expected);
		assert_int_equal(policy.count, 0);
	}
	write_policy(f, "version: 1\nsigners:\n  ci:\n    key: \"ed25519:AAAA\"\n");
	struct policy policy = {0};
	struct err err = ERR_INIT;
	assert_int_equal(policy_load(f->path, &policy, &err), -1);
	AUTO_FREE char *prefix = xasprintf("%s:4: signers.ci.key: ", f->path);
	assert_memory_equal(err.message, prefix, strlen(prefix));
}

static void a_file_that_others_can_write_is_refused(void **state)
{
	const struct fixture *f = *state;
	static const mode_t modes[] = {0664, 0646, 0666};
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		write_example(f);
		assert_int_equal(chmod(f->path, modes[i]), 0);
		struct policy policy = {0};
		struct err err = ERR_INIT;
		assert_int_equal(policy_load(f->path, &policy, &err), -1);
		assert_int_equal(err.code, ERR_DENIED);
		assert_non_null(strstr(err.message, "can be written by group or others"));
		assert_non_null(strstr(err.hint, "chmod go-w"));
	}
}

static void a_file_of_another_user_is_refused(void **state)
{
	const struct fixture *f = *state;
	if (geteuid() != 0)
		skip(); /* only root can give a file away */
	write_example(f);
	assert_int_equal(chown(f->path, 12345, (gid_t)-1), 0);
	struct policy policy = {0};
	struct err err = ERR_INIT;
	assert_int_equal(policy_load(f->path, &policy, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	assert_non_null(strstr(err.message, "belongs to user 12345"));
}

static void what_is_not_a_file_is_refused(void **state)
{
	const struct fixture *f = *state;
	struct policy policy = {0};
	struct err err = ERR_INIT;
	assert_int_equal(policy_load(f->path, &policy, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(policy_load(f->path, &policy, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
}

static void every_key_is_documented(void **state)
{
	(void)state;
	assert_documented(policy_fields);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_good_file_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_are_let_in_until_expiry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_allowed_is_denied, set_up, tear_down),
		cmocka_unit_test(every_action_has_its_roles),
		cmocka_unit_test(every_key_is_documented),
		cmocka_unit_test_setup_teardown(
			bad_files_are_refused_with_line_and_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_that_others_can_write_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_of_another_user_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_a_file_is_refused, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
