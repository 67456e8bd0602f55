#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/config/app_config.h"
#include "coordinator/config/app_impl.h"
#include "tests/unit/config_reference.h"

#define HEAD "version: 1\napp: shop\n"
#define WEB HEAD "services:\n  web:\n    driver: process\n    command: [bin/web]\n"

static int load(const char *text, const char *environment, struct app_config *ret, struct err *err)
{
	*ret = (struct app_config){0};
	*err = ERR_INIT;
	return app_config_load_text("fairlead.yaml", BYTES_STR(text), environment, ret, err);
}

static void every_default_is_set(void **state)
{
	(void)state;
	AUTO(app_config) struct app_config c;
	struct err err;
	assert_int_equal(
		load(WEB "    health: [ { http: { url: \"http://h/\" } }, { tcp: { port: 5 } }, "
			 "{ running: {} } ]\n",
			NULL, &c, &err),
		0);
	assert_string_equal(c.path, "fairlead.yaml");
	assert_string_equal(c.app, "shop");
	assert_string_equal(c.environment, "production");
	assert_int_equal(c.keep_releases, 5);
	assert_int_equal(c.rule_count, 0);
	assert_true(c.builtin_rules);
	assert_null(c.shared_dirs[0]);
	assert_null(c.shared_files[0]);
	assert_int_equal(c.strategy, APP_STRATEGY_ALL);
	assert_int_equal(c.max_failures, 0);
	assert_int_equal(c.unreachable, APP_UNREACHABLE_FAIL);
	assert_int_equal(c.on_failure, APP_ON_FAILURE_ROLLBACK_ALL);
	assert_int_equal(c.confirm_timeout_ms, 60 * 1000);
	assert_int_equal(c.activate_timeout_ms, 10 * 60 * 1000);
	assert_int_equal(c.lease_ms, 10 * 60 * 1000);

	assert_int_equal(c.service_count, 1);
	assert_string_equal(c.services[0].hosts, "");
	assert_int_equal(c.services[0].restart_on, FAIRLEAD__V1__ACTION_CLASS__APP_ONLY);
	assert_int_equal(c.services[0].line, 4);
	const Fairlead__V1__ServicePlan *plan = c.services[0].plan;
	assert_string_equal(plan->name, "web");
	assert_string_equal(plan->driver, "process");
	assert_int_equal(plan->action, FAIRLEAD__V1__SERVICE_ACTION__SERVICE_ACTION_UNSPECIFIED);
	assert_string_equal(plan->stop_signal, "TERM");
	assert_int_equal(plan->stop_timeout_ms, 30000);
	assert_int_equal(plan->process->n_command, 1);
	assert_int_equal(plan->process->n_env, 0);
	assert_string_equal(plan->process->user, "");
	assert_string_equal(plan->process->restart->policy, "on-failure");
	assert_int_equal(plan->process->restart->max_retries, 3);
	assert_int_equal(plan->process->restart->backoff_ms, 1000);
	assert_int_equal(plan->process->limits->memory_bytes, 0);
	assert_int_equal(plan->process->limits->open_files, 0);
	assert_int_equal(plan->n_probes, 3);
	for (size_t i = 0; i < plan->n_probes; i++) {
		assert_int_equal(plan->probes[i]->start_period_ms, 40000);
		assert_int_equal(plan->probes[i]->interval_ms, 10000);
		assert_int_equal(plan->probes[i]->timeout_ms, 5000);
		assert_int_equal(plan->probes[i]->retries, 3);
		assert_int_equal(plan->probes[i]->min_healthy_ms, 0);
	}
	assert_int_equal(plan->probes[0]->http->status_min, 200);
	assert_int_equal(plan->probes[0]->http->status_max, 299);
	assert_string_equal(plan->probes[0]->http->body_contains, "");
	assert_null(plan->probes[0]->tcp);
	assert_string_equal(plan->probes[1]->tcp->host, "127.0.0.1");
	assert_int_equal(plan->probes[1]->tcp->port, 5);
	assert_int_equal(plan->probes[2]->running->min_ms, 1000);
	assert_int_equal(plan->probes[2]->running->max_restarts, 0);
}

static void check_rules(const struct app_config *c)
{
	assert_false(c->builtin_rules);
	assert_int_equal(c->rule_count, 2);
	assert_string_equal(c->rules[0].match[0], "docs/**");
	assert_string_equal(c->rules[0].match[1], "*.md");
	assert_null(c->rules[0].match[2]);
	assert_int_equal(c->rules[0].class, FAIRLEAD__V1__ACTION_CLASS__NO_RESTART);
	assert_null(c->rules[0].services[0]);
	assert_int_equal(c->rules[0].line, 9);
	assert_string_equal(c->rules[1].match[0], "api/**");
	assert_string_equal(c->rules[1].services[0], "web");
	assert_int_equal(c->rules[1].line, 10);
}

static void check_web(const Fairlead__V1__ServicePlan *plan)
{
	assert_int_equal(plan->process->n_command, 3);
	assert_memory_equal(plan->process->command[2].data, "${PORT}", 7);
	assert_int_equal(plan->process->command[2].len, 7);
	assert_int_equal(plan->process->n_env, 3);
	assert_string_equal(plan->process->env[0]->name, "LOG_LEVEL");
	assert_memory_equal(plan->process->env[0]->value.data, "debug", 5);
	assert_string_equal(plan->process->env[1]->name, "EMPTY");
	assert_int_equal(plan->process->env[1]->value.len, 0);
	assert_string_equal(plan->process->env[2]->name, "DEBUG");
	assert_string_equal(plan->process->user, "shop");
	assert_string_equal(plan->process->restart->policy, "always");
	assert_int_equal(plan->process->restart->max_retries, 7);
	assert_int_equal(plan->process->restart->backoff_ms, 500);
	assert_int_equal(plan->process->limits->memory_bytes, 512 << 20);
	assert_int_equal(plan->process->limits->open_files, 4096);
	assert_string_equal(plan->stop_signal, "INT");
	assert_int_equal(plan->stop_timeout_ms, 5000);
	const Fairlead__V1__Probe *probe = plan->probes[0];
	assert_string_equal(probe->http->url, "http://127.0.0.1:${PORT}/health");
	assert_int_equal(probe->http->status_min, 200);
	assert_int_equal(probe->http->status_max, 204);
	assert_int_equal(probe->http->n_more_status, 1);
	assert_int_equal(probe->http->more_status[0]->min, 304);
	assert_int_equal(probe->http->more_status[0]->max, 304);
	assert_string_equal(probe->http->body_contains, "ok");
	assert_int_equal(probe->http->n_json, 3);
	assert_string_equal(probe->http->json[1]->field, "services.db.up");
	assert_string_equal(probe->http->json[1]->value, "true");
	assert_string_equal(probe->http->json[2]->field, "/a.b/0");
	assert_string_equal(probe->http->release->json, "version");
	assert_string_equal(probe->http->release->header, "");
	assert_int_equal(probe->start_period_ms, 3000);
	assert_int_equal(probe->interval_ms, 100);
	assert_int_equal(probe->timeout_ms, 1000);
	assert_int_equal(probe->retries, 5);
	assert_int_equal(probe->min_healthy_ms, 200);
}

static void a_full_file_is_compiled_for_its_environment(void **state)
{
	(void)state;
	AUTO(app_config) struct app_config c = {0};
	struct err err = ERR_INIT;
	assert_int_equal(app_config_load(FIXTURES "/coordinator/config/fixtures/full.yaml",
				 "staging", &c, &err),
		0);
	assert_string_equal(c.environment, "staging");
	assert_int_equal(c.keep_releases, 3);
	check_rules(&c);
	assert_string_equal(c.shared_dirs[0], "logs");
	assert_string_equal(c.shared_dirs[1], "var/data");
	assert_null(c.shared_dirs[2]);
	assert_string_equal(c.shared_files[0], ".env");
	assert_int_equal(c.service_count, 2);
	assert_string_equal(c.services[0].name, "web");
	assert_string_equal(c.services[0].hosts, "role=all-in-one");
	check_web(c.services[0].plan);
	assert_string_equal(c.services[1].name, "worker");
	assert_string_equal(c.services[1].hosts, "role=worker & !zone=a");
	assert_int_equal(c.services[1].restart_on, FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART);
	assert_int_equal(c.services[1].plan->probes[0]->running->min_ms, 15000);
	assert_int_equal(c.services[1].plan->probes[0]->running->max_restarts, 1);
	assert_int_equal(c.max_failures, 1);
	assert_int_equal(c.unreachable, APP_UNREACHABLE_SKIP);
	assert_int_equal(c.on_failure, APP_ON_FAILURE_ROLLBACK_HOST);
	assert_int_equal(c.confirm_timeout_ms, 30000);
	assert_int_equal(c.activate_timeout_ms, 120000);
	assert_int_equal(c.lease_ms, 300000);
}

static void another_environment_has_only_the_defaults(void **state)
{
	(void)state;
	AUTO(app_config) struct app_config c = {0};
	struct err err = ERR_INIT;
	assert_int_equal(app_config_load(FIXTURES "/coordinator/config/fixtures/full.yaml",
				 "production", &c, &err),
		0);
	assert_int_equal(c.keep_releases, 4);
	assert_string_equal(c.services[0].hosts, "role=web");
	const Fairlead__V1__ProcessSpec *process = c.services[0].plan->process;
	assert_int_equal(process->n_env, 2);
	assert_memory_equal(process->env[0]->value.data, "info", 4);
	assert_int_equal(c.confirm_timeout_ms, 60000);
	assert_int_equal(c.max_failures, 1);
}

static void plans_survive_packing(void **state)
{
	(void)state;
	AUTO(app_config) struct app_config c = {0};
	assert_int_equal(app_config_load(FIXTURES "/coordinator/config/fixtures/full.yaml",
				 "staging", &c, NULL),
		0);
	for (size_t i = 0; i < c.service_count; i++) {
		AUTO(buf) struct buf packed = {0};
		PB_PACK(c.services[i].plan, &packed);
		Fairlead__V1__ServicePlan *again = NULL;
		assert_int_equal(
			PB_UNPACK(fairlead__v1__service_plan, buf_bytes(&packed), &again, NULL), 0);
		assert_string_equal(again->name, c.services[i].plan->name);
		assert_int_equal(again->n_probes, c.services[i].plan->n_probes);
		pb_free(&again->base);
	}
}

#define ENVS HEAD "environments:\n  production:\n  staging: {}\n"

static void an_environment_is_chosen(void **state)
{
	(void)state;
	static const struct {
		const char *text, *wanted, *chosen, *message, *hint;
	} cases[] = {
		{HEAD, NULL, "production", NULL, NULL},
		{HEAD, "anything", "anything", NULL, NULL},
		{HEAD, "../x", NULL, "'../x' is not a name of an environment",
			"Use letters, digits, '.', '_' or '-', beginning with a letter or digit."},
		{HEAD "environments: { only: {} }\n", NULL, "only", NULL, NULL},
		{ENVS, "staging", "staging", NULL, NULL},
		{ENVS, NULL, NULL, "fairlead.yaml has several environments: production, staging",
			"Name one with --env: production, staging."},
		{ENVS, "stagign", NULL, "fairlead.yaml has no environment 'stagign'",
			"Did you mean --env staging? There are: production, staging."},
		{ENVS, "zzzzzzzz", NULL, "fairlead.yaml has no environment 'zzzzzzzz'",
			"Name one with --env: production, staging."},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(app_config) struct app_config c;
		struct err err;
		int result = load(cases[i].text, cases[i].wanted, &c, &err);
		assert_int_equal(result, cases[i].chosen ? 0 : -1);
		if (cases[i].chosen) {
			assert_string_equal(c.environment, cases[i].chosen);
			continue;
		}
		assert_int_equal(err.code, ERR_USAGE);
		assert_string_equal(err.message, cases[i].message);
		assert_string_equal(err.hint, cases[i].hint);
	}
}

static void a_slow_service_gets_the_time_it_needs(void **state)
{
	(void)state;
	AUTO(app_config) struct app_config c;
	struct err err;
	/* 10m + 3 x (10s + 5s), and 30s to stop: 11m15s, twice. */
	assert_int_equal(load(WEB "    health: [ { tcp: { port: 5, start_period: 10m } } ]\n", NULL,
				 &c, &err),
		0);
	assert_int_equal(c.activate_timeout_ms, 2 * (11 * 60 + 15) * 1000);
}

#define HEALTH WEB "    health:\n"

/* line and message, without "fairlead.yaml:" */
static const struct {
	const char *text, *message;
} bad[] = {
	{"app: shop\n", "1: version: is missing; write version: 1"},
	{"version: 7\n", "1: version: \"7\" is not available in this version; write 1"},
	{"version: 1\n", "1: app: is missing; write letters, digits, '.', '_' or '-', beginning "
			 "with a letter "
			 "or digit"},
	{"version: 1\napp: ../shop\n",
		"2: app: \"../shop\" is not a name; write letters, digits, '.', '_' or '-', "
		"beginning with a letter or digit"},
	{HEAD "app: shop\n", "3: app: the same key as in line 2; leave one of them out"},
	{HEAD "realeses: { keep: 5 }\n", "3: realeses: unknown key; did you mean \"releases\"?"},
	{HEAD "releases:\n  keep: 0\n",
		"4: releases.keep: \"0\" is out of range; write a whole number from 1 to 1000"},
	{HEAD "releases: { keep_failed: 0 }\n",
		"3: releases.keep_failed: \"0\" is out of range; write a whole number from 1 to "
		"1000"},
	{HEAD "classify:\n  rules:\n    - { match: [a], class: APP }\n",
		"5: classify.rules[0].class: \"APP\" is not known here; write NO_RESTART, APP_ONLY "
		"or "
		"FULL_RESTART"},
	{HEAD "classify:\n  rules:\n    - { class: APP_ONLY }\n",
		"5: classify.rules[0].match: is missing; write for example [\"docs/**\", "
		"\"*.md\"]"},
	{HEAD "classify:\n  rules:\n    - { match: [\"\"], class: APP_ONLY }\n",
		"5: classify.rules[0].match[0]: the pattern is empty; write for example "
		"\"docs/**\""},
	{HEAD "classify: { rules: { a: b } }\n",
		"3: classify.rules: expected a list, found a mapping; write a list of rules, for "
		"example [ { match: [\"*.md\"], class: NO_RESTART } ]"},
	{WEB "classify:\n  rules:\n    - match: api/**\n      class: APP_ONLY\n      services:\n"
	     "        - web\n        - wbe\n",
		"13: classify.rules[0].services[1]: no service \"wbe\"; did you mean \"web\"?"},
	{WEB "classify: { rules: [ { match: a, class: APP_ONLY, services: database } ] }\n",
		"7: classify.rules[0].services: no service \"database\"; name one that stands "
		"under "
		"services"},
	{HEAD "classify: { builtin: no }\n",
		"3: classify.builtin: \"no\" is not true or false; write true or false"},
	{HEAD "shared: { dirs: [../data] }\n",
		"3: shared.dirs[0]: \"../data\" does not stay inside the release; write a relative "
		"path without \"..\", for example data"},
	{HEAD "shared: { dirs: [/data] }\n", "3: shared.dirs[0]: \"/data\" does not stay inside "
					     "the release; write a relative path "
					     "without \"..\", for example data"},
	{HEAD "shared: { files: [a//b] }\n", "3: shared.files[0]: \"a//b\" does not stay inside "
					     "the release; write a relative path "
					     "without \"..\", for example data"},
	{HEAD "shared: { dirs: [\"\"] }\n",
		"3: shared.dirs[0]: \"\" does not stay inside the release; write a relative path "
		"without \"..\", for example data"},
	{HEAD "shared: { dirs: [.git] }\n", "3: shared.dirs[0]: \".git\" does not stay inside the "
					    "release; write a relative path "
					    "without \"..\", for example data"},
	{HEAD "shared: { dirs: [data/], files: [data/x] }\n",
		"3: shared: \"data\" and \"data/x\" overlap; share the upper one only"},
	{HEAD "shared:\n  dirs: [a, a]\n",
		"3: shared: \"a\" and \"a\" overlap; share the upper one only"},
	{HEAD "services:\n  \"a/b\": {}\n", "4: services.a/b: not a name; write letters, digits, "
					    "'.', '_' or '-', beginning with "
					    "a letter or digit"},
	{HEAD "services:\n  web: { command: [x] }\n",
		"4: services.web.driver: is missing; write process or command"},
	{HEAD "services:\n  web:\n    driver: process\n",
		"4: services.web.command: is missing; write for example [\"bin/web\", \"--port\", "
		"\"8080\"]"},
	{HEAD "services:\n  web:\n    driver: proces\n",
		"5: services.web.driver: \"proces\" is not known here; write process or command"},
	{HEAD "services:\n  web:\n    driver: compose\n",
		"5: services.web.driver: driver 'compose' is not available in this version; use "
		"process or command"},
	{HEAD "services:\n  web:\n    drivr: process\n",
		"5: services.web.drivr: unknown key; did you mean \"driver\"?"},
	{HEAD "services:\n  web:\n    unit: x.service\n",
		"5: services.web.unit: the key is not available in this version; it belongs to "
		"driver "
		"systemd; use command"},
	{HEAD "services:\n  web:\n    driver: command\n",
		"4: services.web.commands: is missing; write { start: [bin/start], stop: "
		"[bin/stop], "
		"status: [bin/status] }"},
	{HEAD "services:\n  web:\n    driver: command\n    commands: { start: a, stop: b }\n",
		"6: services.web.commands.status: is missing; write for example [\"bin/status\"]"},
	{WEB "    commands: { start: a, stop: b, status: c }\n",
		"7: services.web.commands: belongs to driver command; this service has driver "
		"process"},
	{WEB "    sockets: [\"localhost:80\"]\n",
		"7: services.web.sockets[0]: \"localhost:80\" is no address to listen at; write "
		"for "
		"example 127.0.0.1:8080, [::1]:8080 or http=0.0.0.0:80"},
	{WEB "    sockets: [\"127.0.0.1:80\"]\n    health: [ { tcp: { port: 80 } } ]\n",
		"8: services.web.health: check 1 (tcp) asks port 80 of sockets, where a connection "
		"is "
		"accepted whether the service runs or not; use http"},
	{WEB "    log: { keep: 0 }\n", "7: services.web.log.keep: \"0\" is out of range; write a "
				       "whole number from 1 to 100"},
	{HEAD "services:\n  web: { driver: process, command: [\"\"] }\n",
		"4: services.web: the program in command is empty; write for example "
		"[\"bin/web\"]"},
	{HEAD "services:\n  web: { driver: process, command: [] }\n",
		"4: services.web.command: the list is empty; write for example [\"bin/web\", "
		"\"--port\", \"8080\"]"},
	{HEAD "services:\n  web: { driver: process, command: [a, \"${PORT\"] }\n",
		"4: services.web.command[1]: \"${\" without a name and \"}\"; write for example "
		"${PORT}, or $${ for a plain ${"},
	{WEB "    env: { 1A: x }\n",
		"7: services.web.env.1A: not the name of an environment variable; write letters, "
		"digits and '_', not beginning with a digit"},
	{WEB "    env: { A: }\n",
		"7: services.web.env.A: has no value; write \"\" if it shall be empty, or leave it "
		"out"},
	{WEB "    hosts: \"role=\"\n",
		"7: services.web.hosts: \"role=\" is not a selector: a label is written "
		"name=value; "
		"write for example \"role=web & zone=a\", \"web1,web2\" or \"!role=db\""},
	{WEB "    restart: { policy: sometimes }\n",
		"7: services.web.restart.policy: \"sometimes\" is not known here; write no, "
		"on-failure or always"},
	{WEB "    restart: { backoff: 2m }\n", "7: services.web.restart.backoff: \"2m\" is out of "
					       "range; write a duration from 1ms "
					       "to 1m"},
	{WEB "    limits: { memory: 80% }\n", "7: services.web.limits.memory: \"80%\" is not a "
					      "size; write for example 512M, 10G or "
					      "1024"},
	{WEB "    limits: { memory: 512 }\n",
		"7: services.web.limits.memory: \"512\" is out of range; write a size from 1M to "
		"1024T"},
	{WEB "    stop: { signal: TREM }\n", "7: services.web.stop.signal: \"TREM\" is not known "
					     "here; write TERM, INT, QUIT, HUP, "
					     "USR1, USR2 or KILL"},
	{WEB "    restart_on: NO_RESTART\n",
		"7: services.web.restart_on: \"NO_RESTART\" is not known here; write APP_ONLY or "
		"FULL_RESTART"},
	{HEALTH "      - http: { url: \"http://h/\", interval: 10x }\n",
		"8: services.web.health[0].http.interval: \"10x\" is not a duration; write for "
		"example 10s, 2m or 1h"},
	{HEALTH "      - http:\n          url: gopher://h/\n",
		"9: services.web.health[0].http.url: \"gopher://h/\" is not a URL; write for "
		"example "
		"http://127.0.0.1:8080/health"},
	{HEALTH "      - http: {}\n",
		"8: services.web.health[0].http.url: is missing; write for example "
		"http://127.0.0.1:8080/health"},
	{HEALTH "      - http: { url: \"http://h/\", status: 99999 }\n",
		"8: services.web.health[0].http.status: \"99999\" is out of range; write codes "
		"from "
		"100 to 599, the lower one first, at most 8 ranges"},
	{HEALTH "      - http: { url: \"http://h/\", status: 299-200 }\n",
		"8: services.web.health[0].http.status: \"299-200\" is out of range; write codes "
		"from "
		"100 to 599, the lower one first, at most 8 ranges"},
	{HEALTH "      - http: { url: \"http://h/\", json: { a..b: x } }\n",
		"8: services.web.health[0].http.json.a..b: \"a..b\" has an empty key; write for "
		"example services.db, or a JSON pointer: /services/db"},
	{HEALTH "      - http: { url: \"http://h/\", release: {} }\n",
		"8: services.web.health[0].http.release: 0 places where the release is named; "
		"write one of json or header"},
	{HEALTH "      - http: { url: \"http://h/\", release: { json: a, header: b } }\n",
		"8: services.web.health[0].http.release: 2 places where the release is named; "
		"write one of json or header"},
	{HEALTH "      - http: { url: \"http://h/\", ca: ca.pem }\n",
		"8: services.web.health[0].http.ca: the url is not https, so that no certificate "
		"is checked; leave it out, or write https:// in url"},
	{HEALTH "      - http: { url: \"http://h/\", retries: 0 }\n",
		"8: services.web.health[0].http.retries: \"0\" is out of range; write a whole "
		"number "
		"from 1 to 1000"},
	{HEALTH "      - tcp: { port: 70000 }\n", "8: services.web.health[0].tcp.port: \"70000\" "
						  "is out of range; write a whole number "
						  "from 1 to 65535"},
	{HEALTH "      - running: { timeout: 1s }\n",
		"8: services.web.health[0].running.timeout: unknown key; write one of min, "
		"max_restarts, start_period, interval, retries"},
	{HEALTH "      - tcp: { port: 1 }\n        running: {}\n",
		"8: services.web.health[0]: 2 checks in one entry; write one of http, tcp or "
		"running "
		"in each"},
	{HEALTH "      - {}\n", "8: services.web.health[0]: 0 checks in one entry; write one of "
				"http, tcp or running "
				"in each"},
	{HEALTH "      - htp: {}\n",
		"8: services.web.health[0].htp: unknown key; did you mean \"http\"?"},
	{HEALTH "      - postgres: { dsn_env: X }\n",
		"8: services.web.health[0].postgres: the key is not available in this version; "
		"use "
		"tcp or http"},
	{HEAD "strategy: { type: canary }\n",
		"3: strategy.type: type 'canary' is not available in this version; use all"},
	{HEAD "strategy: { on_failure: pause }\n",
		"3: strategy.on_failure: on_failure 'pause' is not available in this version; use "
		"rollback_all or rollback_host"},
	{HEAD "strategy: { batch: [25%] }\n",
		"3: strategy.batch: the key is not available in this version; leave it out"},
	{HEAD "strategy: { confirm_timeout: 0s }\n",
		"3: strategy.confirm_timeout: \"0s\" is out of range; write a duration from 1s to "
		"1d"},
	{HEAD "migrations: { dir: db }\n",
		"3: migrations: the key is not available in this version; leave it out"},
	{HEAD "hooks: { before: [\"x | y\"] }\n",
		"3: hooks.before[0]: no shell reads this; write a list, for example [sh, -c, "
		"\"...\"]"},
	{HEAD "hooks: { before: [{ class: once }] }\n",
		"3: hooks.before[0].run: is missing; write its entries below it, indented"},
	{HEAD "hooks: { after: [{ run: x, class: twice }] }\n",
		"3: hooks.after[0].class: \"twice\" is not known here; write again or once"},
	{HEAD "hooks: { after: [{ run: x, timeout: 10 }] }\n",
		"3: hooks.after[0].timeout: \"10\" is not a duration; write for example 10s, 2m or "
		"1h"},
	{HEAD "hooks: { on_failure: [[]] }\n",
		"3: hooks.on_failure[0]: no command; write for example [bin/preflight]"},
	{HEAD "hooks: { on_failure: { run: x } }\n",
		"3: hooks.on_failure: expected a list, found a mapping; write for example "
		"[bin/preflight]"},
	{HEAD "hooks: { later: [x] }\n", "3: hooks.later: unknown key; did you mean \"after\"?"},
	{HEAD "notify: []\n", "3: notify: the key is not available in this version; leave it out"},
	{HEAD "environments: []\n",
		"3: environments: expected a mapping, found a list; write the names of the "
		"environments and below each what differs"},
	{HEAD "environments:\n  pro/d: {}\n", "4: environments.pro/d: not a name; write letters, "
					      "digits, '.', '_' or '-', beginning "
					      "with a letter or digit"},
	{HEAD "environments:\n  staging: { strategi: {} }\n",
		"4: environments.staging.strategi: unknown key; did you mean \"strategy\"?"},
	/* also in an environment that is not the one chosen */
	{HEAD "environments:\n  production:\n  staging:\n    strategy: { lease: never }\n",
		"6: environments.staging.strategy.lease: \"never\" is not a duration; write for "
		"example 10s, 2m or 1h"},
	{WEB "environments:\n  production: { services: { wbe: { hosts: x } } }\n",
		"8: environments.production.services.wbe: no such service; did you mean \"web\"?"},
	{WEB "environments:\n  production: { services: { database: { hosts: x } } }\n",
		"8: environments.production.services.database: no such service; describe it under "
		"services first"},
	{WEB "environments:\n  production: { services: { web: { command: [\"\"] } } }\n",
		"8: environments.production.services.web: the program in command is empty; write "
		"for "
		"example [\"bin/web\"]"},
};

static void bad_files_are_refused_with_line_and_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO(app_config) struct app_config c;
		struct err err;
		AUTO_FREE char *expected = xasprintf("fairlead.yaml:%s", bad[i].message);
		assert_int_equal(load(bad[i].text, "production", &c, &err), -1);
		assert_string_equal(err.message, expected);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_true(err.hint[0] != '\0');
		assert_null(c.app);
	}
}

static void a_missing_file_leads_to_init(void **state)
{
	(void)state;
	struct app_config c = {0};
	struct err err = ERR_INIT;
	assert_int_equal(app_config_load("/nonexistent/fairlead.yaml", NULL, &c, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.hint, "fairlead init"));
	assert_int_equal(app_config_load("/", NULL, &c, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
}

static void shared_paths_are_normalised(void **state)
{
	(void)state;
	AUTO(app_config) struct app_config c;
	struct err err;
	assert_int_equal(
		load(HEAD "shared: { dirs: [data/, database], files: .env }\n", NULL, &c, &err), 0);
	assert_string_equal(c.shared_dirs[0], "data");
	assert_string_equal(c.shared_dirs[1], "database");
	assert_string_equal(c.shared_files[0], ".env");
}

static void the_example_is_valid(void **state)
{
	(void)state;
	AUTO(app_config) struct app_config c = {0};
	struct err err = ERR_INIT;
	assert_int_equal(app_config_load(FIXTURES "/../../deploy/examples/hello/fairlead.yaml",
				 NULL, &c, &err),
		0);
}

static void every_key_is_documented(void **state)
{
	(void)state;
	assert_documented(app_fields);
}

static void check_hook(const Fairlead__V1__Hook *hook, Fairlead__V1__HookPhase phase,
	const char *words, Fairlead__V1__StepClass class, uint64_t timeout_ms, const char *user)
{
	AUTO(buf) struct buf found = {0};
	for (size_t i = 0; i < hook->n_command; i++) {
		buf_append(&found, hook->command[i].data, hook->command[i].len);
		buf_append_str(&found, "|");
	}
	assert_string_equal(buf_str(&found), words);
	assert_int_equal(hook->phase, phase);
	assert_int_equal(hook->class_, class);
	assert_int_equal(hook->timeout_ms, timeout_ms);
	assert_string_equal(hook->user, user);
}

#define HOOK(name) FAIRLEAD__V1__HOOK_PHASE__HOOK_##name
#define STEP(name) FAIRLEAD__V1__STEP_CLASS__STEP_##name

static void hooks_are_compiled_in_their_order(void **state)
{
	(void)state;
	struct app_config config;
	struct err err = ERR_INIT;
	static const char text[] =
		HEAD "hooks:\n"
		     "  before: [bin/one, \"bin/two --fast\", [sh, -c, \"a b\"]]\n"
		     "  after: [a, b, c]\n"
		     "environments:\n"
		     "  production:\n"
		     "    hooks:\n"
		     "      after: [{ run: [x, y], class: once, timeout: 7s, user: ada }]\n"
		     "      on_failure: bin/look\n";
	assert_int_equal(app_config_load_text("f", BYTES_STR(text), NULL, &config, &err), 0);
	assert_int_equal(config.hook_count, 5);
	check_hook(config.hooks[0], HOOK(BEFORE), "bin/one|", STEP(AGAIN), 300000, "");
	check_hook(config.hooks[1], HOOK(BEFORE), "bin/two|--fast|", STEP(AGAIN), 300000, "");
	check_hook(config.hooks[2], HOOK(BEFORE), "sh|-c|a b|", STEP(AGAIN), 300000, "");
	check_hook(config.hooks[3], HOOK(AFTER), "x|y|", STEP(ONCE), 7000, "ada");
	check_hook(config.hooks[4], HOOK(ON_FAILURE), "bin/look|", STEP(AGAIN), 300000, "");
	/* 10 minutes, and what those on the way to healthy may take. */
	assert_int_equal(config.activate_timeout_ms, 600000 + 3 * 300000 + 7000);
	assert_int_equal(config.failure_hooks_ms, 300000);
	app_config_release(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hooks_are_compiled_in_their_order),
		cmocka_unit_test(every_default_is_set),
		cmocka_unit_test(a_full_file_is_compiled_for_its_environment),
		cmocka_unit_test(another_environment_has_only_the_defaults),
		cmocka_unit_test(plans_survive_packing),
		cmocka_unit_test(an_environment_is_chosen),
		cmocka_unit_test(a_slow_service_gets_the_time_it_needs),
		cmocka_unit_test(bad_files_are_refused_with_line_and_key),
		cmocka_unit_test(a_missing_file_leads_to_init),
		cmocka_unit_test(shared_paths_are_normalised),
		cmocka_unit_test(the_example_is_valid),
		cmocka_unit_test(every_key_is_documented),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
