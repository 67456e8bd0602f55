#include "coordinator/cli/context.h"

#include "common/base/mem.h"
#include "common/os/clock.h"

static int load_key(const struct options *options, struct signing_key **ret, struct err *err)
{
	AUTO_FREE char *path = options_key_path(options, err);
	if (!path)
		return -1;
	if (signing_key_load(path, ret, err) == 0)
		return 0;
	if (err->code == ERR_NOT_FOUND)
		err_hint(err, "Make one with `fairlead key new`, or name yours with --key FILE.");
	return -1;
}

static int open_parts(const struct options *options, struct context *context, struct err *err)
{
	if (app_config_load(options_config_path(options), options->environment, &context->config,
		    err) < 0 ||
		fleet_open(options_fleet_path(options), context->config.environment, options->limit,
			&context->fleet, err) < 0 ||
		load_key(options, &context->key, err) < 0)
		return -1;
	return 0;
}

int context_open(const struct options *options, struct context *ret, struct err *err)
{
	ret->started_mono_ms = clock_mono_ms();
	if (open_parts(options, ret, err) < 0)
		return -1;
	/* The hosts borrow from *ret, so it is filled where it stays. */
	const struct hosts_setup setup = {
		.fleet = &ret->fleet,
		.key = ret->key,
		.app = ret->config.app,
		.environment = ret->config.environment,
	};
	return hosts_new(&setup, &ret->hosts, err);
}

void context_release(struct context *context)
{
	hosts_free(context->hosts);
	fleet_release(&context->fleet);
	signing_key_free(context->key);
	app_config_release(&context->config);
	*context = (struct context){0};
}

static size_t count_failed(const struct context *context)
{
	size_t n = 0;
	for (size_t i = 0; i < hosts_count(context->hosts); i++)
		n += hosts_member(context->hosts, i)->state == MEMBER_FAILED;
	return n;
}

/* Behind the first error: who else. */
static void name_others(const struct context *context, const struct err *first, struct err *err)
{
	AUTO(buf) struct buf names = {0};
	for (size_t i = 0; i < hosts_count(context->hosts); i++) {
		const struct member *member = hosts_member(context->hosts, i);
		if (member->state == MEMBER_FAILED && &member->err != first)
			buf_printf(&names, "%s%s (%s)", names.len ? ", " : "", member->host->name,
				member->host->address);
	}
	if (names.len == 0)
		return;
	AUTO_FREE char *message = xstrdup(err->message);
	AUTO_FREE char *hint = xstrdup(err->hint);
	err_set(err, err->code, "%s (and also: %s)", message, buf_str(&names));
	err_hint(err, "%s", hint);
}

enum context_missing context_missing_of(const struct context *context)
{
	return context->config.unreachable == APP_UNREACHABLE_SKIP ? CONTEXT_MISSING_SKIP
								   : CONTEXT_MISSING_FAIL;
}

int context_check_hosts(
	const struct context *context, enum context_missing missing, struct err *err)
{
	const struct err *first = hosts_failure(context->hosts);
	if (!first)
		return 0;
	bool nobody = count_failed(context) == hosts_count(context->hosts);
	/* A wrong key or a refusal is never just a host that happens to be away. */
	bool away = first->code == ERR_UNREACHABLE || first->code == ERR_DEADLINE;
	if (missing == CONTEXT_MISSING_SKIP && away && !nobody)
		return 0;
	*err = *first;
	name_others(context, first, err);
	return -1;
}

/* Its coordinator may have gone, and then nobody ends it but its deadlines. */
static int hint_running(const Fairlead__V1__DeploymentStatus *running, struct err *err)
{
	char hex[33] = "";
	if (running->deployment_id.len == 16)
		sodium_bin2hex(hex, sizeof(hex), running->deployment_id.data, 16);
	return err_hint(err,
		"Wait until it has ended; `fairlead resume %.12s` takes it up if its coordinator "
		"has "
		"gone, `fairlead abort %.12s` ends it.",
		hex, hex);
}

int context_check_unlocked(const struct context *context, struct err *err)
{
	for (size_t i = 0; i < hosts_count(context->hosts); i++) {
		const struct member *member = hosts_member(context->hosts, i);
		const Fairlead__V1__AppStatus *app = member_app(member);
		if (!app || !app->running)
			continue;
		err_set(err, ERR_LOCKED, "host '%s': '%s' is deploying %s/%s (it is %s)",
			member->host->name, app->running->actor, context->config.app,
			context->config.environment, report_state_name(app->running->state));
		return hint_running(app->running, err);
	}
	return 0;
}

int context_failures(const struct context *context, const struct options *options, struct err *err)
{
	const struct err *first = hosts_failure(context->hosts);
	if (!first)
		return 0;
	for (size_t i = 0; i < hosts_count(context->hosts); i++) {
		const struct member *member = hosts_member(context->hosts, i);
		if (member->state == MEMBER_FAILED && &member->err != first)
			report_error(options_style(options), &member->err);
	}
	*err = *first;
	return err_code_exit_status(first->code);
}
