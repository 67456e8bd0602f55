/* fairlead.yaml: what is deployed and how, compiled for one environment.
 *
 * Strict: unknown keys are errors with the nearest known one; every message is
 * "file:line: key.path: what is wrong; what to write". Immutable once loaded. Durations are ms,
 * sizes bytes. Every string is owned by the config; lists are NULL-terminated. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "fairlead/v1/command.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct app_rule {
	char **match;    /* patterns, coordinator/plan/pattern.h */
	char **services; /* empty: all */
	Fairlead__V1__ActionClass class;
	unsigned line; /* of fairlead.yaml, 0 for a built-in rule */
};

struct app_service {
	char *name;
	char *hosts; /* label selector; "" for every host */
	Fairlead__V1__ActionClass
		restart_on; /* APP_ONLY (default) or FULL_RESTART: leave it below that */
	/* What is sent: name, driver, process, probes, stop; `action` is set by the plan. On the
	 * heap, field by field, as if it had been unpacked: PB_COPY it, or let app_config_release
	 * free it. */
	Fairlead__V1__ServicePlan *plan;
	unsigned line;
};

enum app_strategy { APP_STRATEGY_ALL }; /* later: rolling, canary */
enum app_unreachable { APP_UNREACHABLE_FAIL, APP_UNREACHABLE_SKIP };
enum app_on_failure { APP_ON_FAILURE_ROLLBACK_ALL, APP_ON_FAILURE_ROLLBACK_HOST };

struct app_config {
	char *path; /* as named in messages */
	char *app;
	char *environment; /* the one chosen */
	unsigned keep_releases, keep_failed;
	struct app_rule *rules;
	size_t rule_count;
	bool builtin_rules;
	char **shared_dirs, **shared_files;
	struct app_service *services;
	size_t service_count;
	/* What is sent, in order; as if unpacked, see app_service.plan. */
	Fairlead__V1__Hook **hooks;
	size_t hook_count;
	uint64_t failure_hooks_ms; /* that those of on_failure may take on top of everything else */
	enum app_strategy strategy;
	unsigned max_failures;
	enum app_unreachable unreachable;
	enum app_on_failure on_failure;
	uint64_t confirm_timeout_ms;
	uint64_t activate_timeout_ms;
	uint64_t lease_ms;
};

/* environment NULL: the only one, or ERR_USAGE that lists them; without an `environments` section
 * every name is accepted and NULL means "production". ERR_CONFIG otherwise; what this version does
 * not have yet (compose, systemd, migrations …) is an error that says so, never ignored. */
int app_config_load(
	const char *path, const char *environment, struct app_config *ret, struct err *err);
/* The same from memory; `name` stands for the file in messages and in `path`. */
int app_config_load_text(const char *name, struct bytes text, const char *environment,
	struct app_config *ret, struct err *err);
void app_config_release(struct app_config *config);
