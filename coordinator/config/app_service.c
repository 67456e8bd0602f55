#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "coordinator/config/app_impl.h"

enum { HOUR_MS = 60 * 60 * 1000 };

static const struct config_choice signals[] = {
	{"TERM", 0, CONFIG_CHOICE_NOW},
	{"INT", 1, CONFIG_CHOICE_NOW},
	{"QUIT", 2, CONFIG_CHOICE_NOW},
	{"HUP", 3, CONFIG_CHOICE_NOW},
	{"USR1", 4, CONFIG_CHOICE_NOW},
	{"USR2", 5, CONFIG_CHOICE_NOW},
	{"KILL", 6, CONFIG_CHOICE_NOW},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

static const struct config_choice restart_classes[] = {
	{"APP_ONLY", FAIRLEAD__V1__ACTION_CLASS__APP_ONLY, CONFIG_CHOICE_NOW},
	{"FULL_RESTART", FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART, CONFIG_CHOICE_NOW},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

static const struct config_field stop_fields[] = {
	{.key = "signal",
		.type = CONFIG_CHOICE,
		CONFIG_MEMBER(struct app_service_file, stop_signal),
		.choices = signals,
		.preset = "TERM",
		.doc = "What asks the process to end"},
	{.key = "timeout",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct app_service_file, stop_timeout_ms),
		.max = HOUR_MS,
		.preset = "30s",
		.doc = "After so long it is killed"},
	{0},
};

const struct config_field app_service_fields[] = {
	{.key = "driver",
		.type = CONFIG_CHOICE,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct app_service_file, driver),
		.choices = app_drivers,
		.doc = "What runs the service"},
	{.key = "command",
		.type = CONFIG_LIST,
		CONFIG_MEMBER(struct app_service_file, command),
		.min = 1,
		.check = app_check_variables,
		.write = "write for example [\"bin/web\", \"--port\", \"8080\"]",
		.doc = "Of driver `process`, required: program and arguments, no shell. The "
		       "program is "
		       "a path in the release, an absolute path, or found on PATH; `${NAME}` is a "
		       "variable of the host"},
	{.key = "commands",
		.type = CONFIG_SECTION,
		.fields = app_command_fields,
		.doc = "Of driver `command`, required: your own scripts"},
	{.key = "env",
		.type = CONFIG_MAP,
		CONFIG_MEMBER(struct app_service_file, env),
		.check = app_check_variables,
		.check_key = app_check_env_name,
		.doc = "Environment variables; `${NAME}` is a variable of the host"},
	{.key = "user",
		.type = CONFIG_NAME,
		CONFIG_MEMBER(struct app_service_file, user),
		.doc = "The user it runs as, where the agent is root. Left out: the agent's"},
	{.key = "restart",
		.type = CONFIG_SECTION,
		.fields = app_restart_fields,
		.doc = "Of driver `process`: when the process ends by itself"},
	{.key = "limits",
		.type = CONFIG_SECTION,
		.fields = app_limits_fields,
		.doc = "Of driver `process`: of resources"},
	{.key = "sockets",
		.type = CONFIG_LIST,
		CONFIG_MEMBER(struct app_service_file, sockets),
		.check = app_check_socket,
		.write = "write for example [\"127.0.0.1:8080\"]",
		.doc = "Of driver `process`: addresses to listen at for it, as "
		       "`[NAME=]ADDRESS:PORT`; "
		       "the open sockets are handed over (`LISTEN_FDS`), also across restarts"},
	{.key = "log",
		.type = CONFIG_SECTION,
		.fields = app_log_fields,
		.doc = "What the service writes to standard output and error"},
	{.key = "hosts",
		.type = CONFIG_TEXT,
		CONFIG_MEMBER(struct app_service_file, hosts),
		.check = app_check_selector,
		.preset = "",
		.doc = "Selector of the hosts that run it, as for `--limit`. Empty: all"},
	{.key = "restart_on",
		.type = CONFIG_CHOICE,
		CONFIG_MEMBER(struct app_service_file, restart_on),
		.choices = restart_classes,
		.preset = "APP_ONLY",
		.doc = "The weakest class of change that restarts it"},
	{.key = "stop", .type = CONFIG_SECTION, .fields = stop_fields, .doc = "How it is ended"},
	{.key = "health",
		.type = CONFIG_CUSTOM,
		CONFIG_MEMBER(struct app_service_file, health),
		.fields = app_probe_fields,
		.entry = "[]",
		.load = app_probes_load,
		.doc = "Checks that must all succeed before a release is kept; each entry has one "
		       "of the keys below. Left out: the process must stay up for 1s"},
	{.key = "service",
		.type = CONFIG_LATER,
		.write = "it belongs to driver compose; use command",
		.doc = "Of driver `compose`"},
	{.key = "unit",
		.type = CONFIG_LATER,
		.write = "it belongs to driver systemd; use command",
		.doc = "Of driver `systemd`"},
	{0},
};

static struct app_service_file *find(struct app_service_files *files, const char *name)
{
	for (size_t i = 0; i < files->count; i++)
		if (strcmp(files->services[i].name, name) == 0)
			return &files->services[i];
	return NULL;
}

static int unknown_service(
	const struct app_service_files *files, const struct yaml_node *node, struct err *err)
{
	AUTO_FREE const char **names = xcalloc(files->count + 1, sizeof(*names));
	for (size_t i = 0; files->services && i < files->count; i++)
		names[i] = files->services[i].name;
	const char *nearest = text_nearest(node->key, names);
	if (nearest)
		return yaml_error(node, err, "no such service; did you mean \"%s\"?", nearest);
	return yaml_error(node, err, "no such service; describe it under services first");
}

static int load_one(struct app_service_files *files, const struct yaml_node *node,
	enum config_mode mode, struct err *err)
{
	struct app_service_file *service =
		mode == CONFIG_OVER ? find(files, node->key) : &files->services[files->count++];
	if (!service)
		return unknown_service(files, node, err);
	if (mode == CONFIG_NEW) {
		service->node = node;
		service->name = xstrdup(node->key);
		if (!text_is_name(node->key))
			return yaml_error(node, err,
				"not a name; write letters, digits, '.', '_' or '-', beginning "
				"with a letter or digit");
	}
	if (config_load(node, app_service_fields, service, mode, err) < 0)
		return -1;
	return app_check_driver(service, node, err);
}

int app_services_load(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	struct app_service_files *files = member;
	if (config_expect(node, YAML_MAPPING, "write a name and below it driver, command …", err) <
		0)
		return -1;
	if (mode == CONFIG_NEW)
		files->services = xcalloc(node->count, sizeof(*files->services));
	for (const struct yaml_node *child = node->first; child; child = child->next)
		if (load_one(files, child, mode, err) < 0)
			return -1;
	return 0;
}

void app_service_files_release(struct app_service_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		struct app_service_file *service = &files->services[i];
		free(service->name);
		app_probe_list_release(&service->health);
		config_release(app_service_fields, service);
	}
	free(files->services);
	*files = (struct app_service_files){0};
}

Fairlead__V1__ServicePlan *app_service_compile(const struct app_service_file *service)
{
	Fairlead__V1__ServicePlan *plan = xmalloc(sizeof(*plan));
	fairlead__v1__service_plan__init(plan);
	pb_set_str(&plan->name, service->name);
	pb_set_str(&plan->driver, config_choice_name(app_drivers, service->driver));
	plan->process = app_process_compile(service);
	plan->command = app_command_compile(service);
	plan->n_probes = service->health.count;
	plan->probes =
		plan->n_probes ? xcalloc(plan->n_probes, sizeof(Fairlead__V1__Probe *)) : NULL;
	for (size_t i = 0; i < plan->n_probes; i++)
		plan->probes[i] = app_probe_compile(&service->health.probes[i]);
	pb_set_str(&plan->stop_signal, config_choice_name(signals, service->stop_signal));
	plan->stop_timeout_ms = service->stop_timeout_ms;
	return plan;
}

uint64_t app_service_patience_ms(const struct app_service_file *service)
{
	uint64_t longest = 0;
	for (size_t i = 0; i < service->health.count; i++) {
		const struct app_probe *p = &service->health.probes[i];
		uint64_t needed = p->start_period_ms + p->min_healthy_ms +
				  (p->kind == APP_PROBE_RUNNING ? p->min_ms : 0) +
				  (uint64_t)p->retries * (p->interval_ms + p->timeout_ms);
		longest = needed > longest ? needed : longest;
	}
	return longest + service->stop_timeout_ms;
}
