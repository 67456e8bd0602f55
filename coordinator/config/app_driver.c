/* Which keys of a service belong to which driver. */
#include "common/base/mem.h"
#include "common/os/endpoint.h"
#include "coordinator/config/app_impl.h"

const struct config_choice app_drivers[] = {
	{"process", APP_DRIVER_PROCESS, CONFIG_CHOICE_NOW},
	{"compose", APP_DRIVER_LATER, CONFIG_CHOICE_LATER},
	{"systemd", APP_DRIVER_LATER, CONFIG_CHOICE_LATER},
	{"command", APP_DRIVER_COMMAND, CONFIG_CHOICE_NOW},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

static const struct {
	const char *key;
	enum app_driver driver;
} owned[] = {
	{"command", APP_DRIVER_PROCESS},
	{"restart", APP_DRIVER_PROCESS},
	{"limits", APP_DRIVER_PROCESS},
	{"sockets", APP_DRIVER_PROCESS},
	{"commands", APP_DRIVER_COMMAND},
};

int app_check_socket(const char *text, struct err *err)
{
	struct endpoint endpoint;
	/* A variable of the host may be anything: the host looks. */
	if (strstr(text, "${"))
		return app_check_variables(text, err);
	if (endpoint_parse(text, &endpoint) == 0)
		return 0;
	return err_set(err, ERR_CONFIG,
		"\"%s\" is no address to listen at; write for example 127.0.0.1:8080, [::1]:8080 "
		"or "
		"http=0.0.0.0:80",
		text);
}

static int check_keys(
	const struct app_service_file *service, const struct yaml_node *node, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
		const struct yaml_node *key = yaml_get(node, owned[i].key);
		if (key && owned[i].driver != service->driver)
			return yaml_error(key, err,
				"belongs to driver %s; this service has driver %s",
				config_choice_name(app_drivers, owned[i].driver),
				config_choice_name(app_drivers, service->driver));
	}
	return 0;
}

static int is_there(char *const *list)
{
	return list && list[0];
}

static int check_programs(
	const struct app_service_file *service, const struct yaml_node *node, struct err *err)
{
	if (service->driver == APP_DRIVER_COMMAND && !is_there(service->script_start))
		return yaml_error_missing(node, "commands", err,
			"is missing; write { start: [bin/start], stop: [bin/stop], status: "
			"[bin/status] }");
	if (service->driver == APP_DRIVER_PROCESS && !is_there(service->command))
		return yaml_error_missing(node, "command", err,
			"is missing; write for example [\"bin/web\", \"--port\", \"8080\"]");
	if (service->driver == APP_DRIVER_PROCESS && service->command[0][0] == '\0')
		return yaml_error(node, err,
			"the program in command is empty; write for example [\"bin/web\"]");
	return 0;
}

/* The agent listens there itself, so that a connection says nothing of the service. */
static int check_probes(
	const struct app_service_file *service, const struct yaml_node *node, struct err *err)
{
	const struct yaml_node *probes = yaml_get(node, "health");
	for (size_t i = 0; i < service->health.count; i++)
		for (size_t j = 0; service->sockets && service->sockets[j]; j++) {
			struct endpoint at;
			if (service->health.probes[i].kind == APP_PROBE_TCP &&
				endpoint_parse(service->sockets[j], &at) == 0 &&
				at.port == service->health.probes[i].port)
				return yaml_error(probes ? probes : node, err,
					"check %zu (tcp) asks port %u of sockets, where a "
					"connection "
					"is accepted whether the service runs or not; use http",
					i + 1, at.port);
		}
	return 0;
}

static int check_sockets(
	const struct app_service_file *service, const struct yaml_node *node, struct err *err)
{
	size_t count = 0;
	for (; service->sockets && service->sockets[count]; count++)
		for (size_t i = 0; i < count; i++)
			if (strcmp(service->sockets[i], service->sockets[count]) == 0)
				return yaml_error(node, err, "\"%s\" is twice in sockets",
					service->sockets[count]);
	if (count > ENDPOINTS_MAX)
		return yaml_error(
			node, err, "%zu sockets; at most %d are handed over", count, ENDPOINTS_MAX);
	return 0;
}

int app_check_driver(
	const struct app_service_file *service, const struct yaml_node *node, struct err *err)
{
	static int (*const checks[])(const struct app_service_file *, const struct yaml_node *,
		struct err *) = {check_keys, check_programs, check_sockets, check_probes};
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (checks[i](service, node, err) < 0)
			return -1;
	return 0;
}
