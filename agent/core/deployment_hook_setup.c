/* What a hook is run with: its program, arguments, user and environment (docs/hooks.md). */
#include "agent/core/deployment_hooks.h"

#include "agent/core/variables.h"
#include "agent/shim/launch.h"
#include "common/base/mem.h"
#include "common/base/pb.h"

static void add(struct hook_strings *strings, char *item)
{
	strings->items = xrealloc(strings->items, (strings->count + 2) * sizeof(char *));
	strings->items[strings->count++] = item;
	strings->items[strings->count] = NULL;
}

static void strings_release(struct hook_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

void deployment_hook_release(struct deployment_hook *hook)
{
	strings_release(&hook->argv);
	strings_release(&hook->env);
	spawn_user_release(&hook->user);
	free(hook->program);
	free(hook->cwd);
	*hook = (struct deployment_hook){0};
}

const char *deployment_phase_name(Fairlead__V1__HookPhase phase)
{
	switch (phase) {
	case FAIRLEAD__V1__HOOK_PHASE__HOOK_BEFORE:
		return "before";
	case FAIRLEAD__V1__HOOK_PHASE__HOOK_AFTER:
		return "after";
	case FAIRLEAD__V1__HOOK_PHASE__HOOK_ON_FAILURE:
		return "on_failure";
	case FAIRLEAD__V1__HOOK_PHASE__HOOK_PHASE_UNSPECIFIED:
	case _FAIRLEAD__V1__HOOK_PHASE_IS_INT_SIZE:
		break;
	}
	return "unknown";
}

/* Its own, or that of the services: the first that names one. "" is the agent's. */
static const char *user_of(const struct deployment *d, const Fairlead__V1__Hook *hook)
{
	if (hook->user[0])
		return hook->user;
	for (size_t i = 0; i < d->plan->n_services; i++) {
		const Fairlead__V1__ProcessSpec *process = d->plan->services[i]->process;
		if (process && process->user[0])
			return process->user;
	}
	return "";
}

static int has(const struct hook_strings *env, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->items[i], name, len) == 0 && env->items[i][len] == '=')
			return 1;
	return 0;
}

/* The first of a name stays. */
static void add_text(struct hook_strings *env, const char *name, const char *value)
{
	if (!has(env, name))
		add(env, xasprintf("%s=%s", name, value));
}

static void add_hex(struct hook_strings *env, const char *name, ProtobufCBinaryData bytes)
{
	char hex[DIGEST_HEX_SIZE] = "";
	if (bytes.len <= DIGEST_SIZE)
		sodium_bin2hex(hex, sizeof(hex), bytes.data, bytes.len);
	add_text(env, name, hex);
}

/* What the agent says of the deployment, then the host's own, then what every program needs. */
static void fill_env(
	const struct deployment *d, const Fairlead__V1__Hook *hook, struct deployment_hook *ret)
{
	const struct agent_config *config = &d->app->core->config;
	struct hook_strings *env = &ret->env;
	add(env, hook_mark(d->app->hook_place));
	add_text(env, "FAIRLEAD_HOOK", deployment_phase_name(hook->phase));
	add_text(env, "FAIRLEAD_ACTION", d->record->accepted->is_rollback ? "rollback" : "deploy");
	add_text(env, "FAIRLEAD_APP", d->app->name);
	add_text(env, "FAIRLEAD_ENVIRONMENT", d->app->environment);
	add_hex(env, "FAIRLEAD_DEPLOYMENT", d->status->deployment_id);
	add_hex(env, "FAIRLEAD_RELEASE", d->status->to_manifest);
	add_text(env, "FAIRLEAD_COMMIT", d->status->commit_to);
	add_hex(env, "FAIRLEAD_PREVIOUS_RELEASE", d->status->from_manifest);
	add_text(env, "FAIRLEAD_PREVIOUS_COMMIT", d->status->commit_from);
	add_text(env, "FAIRLEAD_ACTOR", d->status->actor);
	if (machine_is_final(d->machine.state))
		add_text(env, "FAIRLEAD_OUTCOME", machine_state_name(d->machine.state));
	for (size_t i = 0; i < config->variables.count; i++)
		add_text(env, config->variables.pairs[i].name, config->variables.pairs[i].value);
	add_text(env, "PATH", launch_default_path);
	add_text(env, "HOME", ret->user.home);
	add_text(env, "USER", ret->user.name);
	add_text(env, "LANG", "C.UTF-8");
}

static int fill_argv(const struct deployment *d, const Fairlead__V1__Hook *hook,
	struct hook_strings *argv, struct err *err)
{
	if (hook->n_command == 0)
		return err_set(err, ERR_INVALID, "a hook has no command");
	for (size_t i = 0; i < hook->n_command; i++) {
		AUTO(buf) struct buf out = {0};
		const ProtobufCBinaryData *arg = &hook->command[i];
		if (memchr(arg->data ? arg->data : (const uint8_t *)"", 0, arg->len))
			return err_set(err, ERR_INVALID, "a hook's argument has a zero byte");
		if (variables_expand(&d->app->core->config, PB_BYTES(*arg), &out, err) < 0)
			return -1;
		add(argv, xstrdup(buf_str(&out)));
	}
	return 0;
}

int deployment_hook_prepare(const struct deployment *d, const Fairlead__V1__Hook *hook,
	struct deployment_hook *ret, struct err *err)
{
	struct deployment_hook made = {0};
	const char *user = d->app->core->may_change_user ? user_of(d, hook) : "";
	int rc = fill_argv(d, hook, &made.argv, err);
	if (rc == 0)
		rc = spawn_user_find(user[0] ? user : NULL, &made.user, err);
	if (rc == 0) {
		made.changes_user = user[0] != '\0';
		made.cwd = store_release_path(&d->app->store, &d->to);
		made.program = spawn_find(launch_default_path, made.cwd, made.argv.items[0]);
		fill_env(d, hook, &made);
	}
	if (rc == 0 && !made.program) {
		rc = err_set(err, ERR_FAILED, "cannot execute '%s'", made.argv.items[0]);
		err_hint(err,
			"A command with a slash is a file of the release and must be "
			"executable; one without is looked up on PATH (%s).",
			launch_default_path);
	}
	if (rc < 0) {
		err_wrap(err, "hook `%s`", deployment_phase_name(hook->phase));
		deployment_hook_release(&made);
		return -1;
	}
	*ret = made;
	return 0;
}
