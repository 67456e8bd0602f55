#include "common/trust/policy.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/config.h"
#include "common/os/file.h"
#include "common/trust/policy_fields.h"

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

enum { LOOK = POLICY_ROLE_OBSERVE | POLICY_ROLE_DEPLOY | POLICY_ROLE_ROLLBACK };

/* A rollback is activated and confirmed (or aborted) like a deployment. Actions without a row,
 * and those this version does not know, are for nobody. */
static const struct {
	const char *name;
	unsigned roles;
} actions[] = {
	[FAIRLEAD__V1__ACTION__ACTION_DESCRIBE] = {"describe", LOOK},
	[FAIRLEAD__V1__ACTION__ACTION_PREPARE] = {"prepare", POLICY_ROLE_DEPLOY},
	[FAIRLEAD__V1__ACTION__ACTION_ACTIVATE] = {"activate",
		POLICY_ROLE_DEPLOY | POLICY_ROLE_ROLLBACK},
	[FAIRLEAD__V1__ACTION__ACTION_CONFIRM] = {"confirm",
		POLICY_ROLE_DEPLOY | POLICY_ROLE_ROLLBACK},
	[FAIRLEAD__V1__ACTION__ACTION_ABORT] = {"abort", POLICY_ROLE_DEPLOY | POLICY_ROLE_ROLLBACK},
	[FAIRLEAD__V1__ACTION__ACTION_ROLLBACK] = {"rollback",
		POLICY_ROLE_DEPLOY | POLICY_ROLE_ROLLBACK},
	[FAIRLEAD__V1__ACTION__ACTION_STATUS] = {"status", LOOK},
	[FAIRLEAD__V1__ACTION__ACTION_RELEASES] = {"releases", LOOK},
	[FAIRLEAD__V1__ACTION__ACTION_WATCH] = {"watch", LOOK},
	[FAIRLEAD__V1__ACTION__ACTION_LOGS] = {"logs", LOOK},
	[FAIRLEAD__V1__ACTION__ACTION_MANIFEST] = {"manifest", LOOK},
	[FAIRLEAD__V1__ACTION__ACTION_RESOLVE] = {"resolve",
		POLICY_ROLE_DEPLOY | POLICY_ROLE_ROLLBACK},
	[FAIRLEAD__V1__ACTION__ACTION_PIN] = {"pin", POLICY_ROLE_DEPLOY | POLICY_ROLE_ROLLBACK},
	[FAIRLEAD__V1__ACTION__ACTION_AUDIT] = {"audit", LOOK},
	[FAIRLEAD__V1__ACTION__ACTION_DRIFT] = {"drift", LOOK},
};

static const struct config_choice roles[] = {
	{"observe", POLICY_ROLE_OBSERVE, CONFIG_CHOICE_NOW},
	{"deploy", POLICY_ROLE_DEPLOY, CONFIG_CHOICE_NOW},
	{"rollback", POLICY_ROLE_ROLLBACK, CONFIG_CHOICE_NOW},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

struct policy_file {
	unsigned version;
	struct policy *policy; /* borrowed; filled by load_signers */
};

static int check_scope(const char *text, struct err *err)
{
	if (strcmp(text, "*") == 0 || text_is_name(text))
		return 0;
	return err_set(
		err, ERR_CONFIG, "\"%s\" is not a name; write a name or \"*\" for any", text);
}

static int load_key(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	(void)mode;
	if (config_expect(node, YAML_SCALAR, "write for example \"ed25519:...\"", err) < 0)
		return -1;
	return public_key_parse(node->text, member, err) < 0 ? yaml_error_wrap(node, err) : 0;
}

static int load_signers(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err);

static const struct config_field signer_fields[] = {
	{.key = "key",
		.type = CONFIG_CUSTOM,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct policy_signer, key),
		.load = load_key,
		.write = "write the public key that `fairlead key show` prints",
		.doc = "The signer's public key, `ed25519:` and base64"},
	{.key = "roles",
		.type = CONFIG_FLAGS,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct policy_signer, roles),
		.min = 1,
		.choices = roles,
		.doc = "What the signer may do: look, deploy (and roll back), only roll back"},
	{.key = "apps",
		.type = CONFIG_LIST,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct policy_signer, apps),
		.min = 1,
		.check = check_scope,
		.write = "write a list of app names, or [\"*\"] for any",
		.doc = "The apps it may do that on; `\"*\"` is any"},
	{.key = "environments",
		.type = CONFIG_LIST,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct policy_signer, environments),
		.min = 1,
		.check = check_scope,
		.write = "write a list of environment names, or [\"*\"] for any",
		.doc = "The environments it may do that in; `\"*\"` is any"},
	{.key = "expires",
		.type = CONFIG_TIME,
		CONFIG_MEMBER(struct policy_signer, expires_unix_ms),
		.min = 1,
		.max = UINT64_MAX,
		.doc = "From this time on it may do nothing; a date alone is its first second in "
		       "UTC. Left out: never"},
	{0},
};

const struct config_field policy_fields[] = {
	{.key = "version",
		.type = CONFIG_NUMBER,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct policy_file, version),
		.min = 1,
		.max = 1,
		.write = "write version: 1",
		.doc = "Of the format"},
	{.key = "signers",
		.type = CONFIG_CUSTOM,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct policy_file, policy),
		.fields = signer_fields,
		.entry = ".<name>",
		.load = load_signers,
		.write = "write at least one signer",
		.doc = "Who may command this host; the name is for people and logs"},
	{0},
};

static int add_signer(struct policy *policy, const struct yaml_node *node, struct err *err)
{
	struct policy_signer *signer = &policy->signers[policy->count++];
	signer->name = xstrdup(node->key);
	if (!text_is_name(node->key))
		return yaml_error(node, err,
			"not a name; write letters, digits, '.', '_' or '-', beginning with a "
			"letter or digit");
	if (config_load(node, signer_fields, signer, CONFIG_NEW, err) < 0)
		return -1;
	for (size_t i = 0; i + 1 < policy->count; i++)
		if (public_key_equal(&policy->signers[i].key, &signer->key))
			return yaml_error(node, err,
				"has the same key as \"%s\"; give each signer a key of its own",
				policy->signers[i].name);
	return 0;
}

static int load_signers(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	(void)mode;
	struct policy *policy = *(struct policy **)member;
	if (config_expect(node, YAML_MAPPING, "write a name and below it key, roles, apps …", err) <
		0)
		return -1;
	policy->signers = xcalloc(node->count, sizeof(*policy->signers));
	for (const struct yaml_node *child = node->first; child; child = child->next)
		if (add_signer(policy, child, err) < 0)
			return -1;
	return 0;
}

/* The permissions of the very file that is read, so nothing can be swapped in between. */
static int read_guarded(const char *path, struct buf *ret, struct err *err)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		err_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
			"cannot open the policy '%s'", path);
		return err_hint(err, "Write the file as docs/configuration.md says, or correct "
				     "`trust` in agent.yaml.");
	}
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(err, ERR_IO, errno, "cannot stat the policy '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_DENIED, "the policy '%s' is not a plain file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		err_set(err, ERR_DENIED, "the policy '%s' belongs to user %u", path, st.st_uid);
		return err_hint(err, "Make it belong to root or to the user of the agent with "
				     "chown.");
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		err_set(err, ERR_DENIED, "the policy '%s' can be written by group or others (%04o)",
			path, st.st_mode & 07777);
		return err_hint(err, "Run chmod go-w %s.", path);
	}
	if (st.st_size > YAML_BYTES_MAX)
		return err_set(err, ERR_CONFIG, "%s:1: the file is larger than %d bytes", path,
			YAML_BYTES_MAX);
	size_t size = (size_t)st.st_size;
	if (fd_read_exact(fd, buf_reserve(ret, size), size, err) < 0)
		return err_wrap(err, "the policy '%s'", path);
	ret->len = size;
	return 0;
}

int policy_load(const char *path, struct policy *ret, struct err *err)
{
	AUTO(buf) struct buf content = {0};
	if (read_guarded(path, &content, err) < 0)
		return -1;
	AUTO_YAML struct yaml *yaml = NULL;
	if (yaml_load_bytes(path, buf_bytes(&content), &yaml, err) < 0)
		return -1;
	AUTO(policy) struct policy policy = {0};
	struct policy_file file = {.policy = &policy};
	if (config_load(yaml_root(yaml), policy_fields, &file, CONFIG_NEW, err) < 0)
		return -1;
	*ret = policy;
	policy = (struct policy){0};
	return 0;
}

void policy_release(struct policy *policy)
{
	for (size_t i = 0; i < policy->count; i++) {
		free(policy->signers[i].name);
		config_release(signer_fields, &policy->signers[i]);
	}
	free(policy->signers);
	*policy = (struct policy){0};
}

/* Compared as unsigned: a peer's number may be anything, negative ones too. */
static bool known_action(Fairlead__V1__Action action)
{
	return (unsigned)action < ARRAY_LEN(actions) && actions[action].name;
}

unsigned policy_roles_for(Fairlead__V1__Action action)
{
	return known_action(action) ? actions[action].roles : 0;
}

const struct policy_signer *policy_find(const struct policy *policy, const struct key_id *id)
{
	for (size_t i = 0; i < policy->count; i++) {
		struct key_id candidate = public_key_id(&policy->signers[i].key);
		if (memcmp(candidate.bytes, id->bytes, sizeof(id->bytes)) == 0)
			return &policy->signers[i];
	}
	return NULL;
}

static int refuse_expired(const struct policy_signer *signer, uint64_t now_unix_ms, struct err *err)
{
	if (signer->expires_unix_ms == 0 || now_unix_ms < signer->expires_unix_ms)
		return 0;
	char when[TEXT_TIME_SIZE];
	err_set(err, ERR_AUTH, "the key of signer '%s' expired at %s", signer->name,
		text_time(signer->expires_unix_ms, when));
	return err_hint(err, "Extend or replace it in policy.yaml on the host.");
}

int policy_admits(const struct policy *policy, const struct public_key *key, uint64_t now_unix_ms,
	struct err *err)
{
	for (size_t i = 0; i < policy->count; i++)
		if (public_key_equal(&policy->signers[i].key, key))
			return refuse_expired(&policy->signers[i], now_unix_ms, err);
	char text[KEY_TEXT_SIZE];
	err_set(err, ERR_AUTH, "the key %s is not a signer of this host",
		public_key_text(key, text));
	return err_hint(err, "Add it to policy.yaml on the host.");
}

static bool belongs(const struct policy *policy, const struct policy_signer *signer)
{
	for (size_t i = 0; i < policy->count; i++)
		if (&policy->signers[i] == signer)
			return true;
	return false;
}

static bool in_scope(char *const *scope, const char *name)
{
	for (; scope && *scope; scope++)
		if (strcmp(*scope, "*") == 0 || strcmp(*scope, name) == 0)
			return true;
	return false;
}

int policy_allows(const struct policy *policy, const struct policy_signer *signer,
	Fairlead__V1__Action action, const char *app, const char *environment, uint64_t now_unix_ms,
	struct err *err)
{
	if (!belongs(policy, signer)) {
		err_set(err, ERR_AUTH, "the signer is not in the policy of this host");
		return err_hint(err, "Add its key to policy.yaml on the host.");
	}
	if (refuse_expired(signer, now_unix_ms, err) < 0)
		return -1;
	if ((signer->roles & policy_roles_for(action)) && in_scope(signer->apps, app) &&
		in_scope(signer->environments, environment))
		return 0;
	AUTO_FREE char *shown_app = text_escaped(app);
	AUTO_FREE char *shown_environment = text_escaped(environment);
	AUTO_FREE char *number = xasprintf("action %d", (int)action);
	err_set(err, ERR_DENIED, "signer '%s' may not %s app '%s' in environment '%s'",
		signer->name, known_action(action) ? actions[action].name : number, shown_app,
		shown_environment);
	return err_hint(
		err, "Ask whoever keeps policy.yaml of the host for the role, app or environment.");
}
