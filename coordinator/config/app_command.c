/* The keys of a service that the user's own scripts run. */
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/config/app_impl.h"

enum { HOUR_MS = 60 * 60 * 1000 };

#define SCRIPT(name, words)                                                                        \
	{                                                                                          \
		.key = #name, .type = CONFIG_LIST, .need = CONFIG_REQUIRED,                        \
		CONFIG_MEMBER(struct app_service_file, script_##name), .min = 1,                   \
		.check = app_check_variables, .write = "write for example [\"bin/" #name "\"]",    \
		.doc = (words)                                                                     \
	}

const struct config_field app_command_fields[] = {
	SCRIPT(start, "Script and arguments, as for `command`. Returns when the service has been "
		      "started: status 0"),
	SCRIPT(stop,
		"Returns when the service has ended: status 0. Its deadline is `stop.timeout`"),
	SCRIPT(status, "Status 0 running, 3 stopped, as of an LSB init script; a line `pid=N` of "
		       "its output names the process"),
	{.key = "start_timeout",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct app_service_file, start_timeout_ms),
		.min = 100,
		.max = HOUR_MS,
		.preset = "60s",
		.doc = "A start script that takes longer has failed, and is killed with all it "
		       "started"},
	{.key = "status_timeout",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct app_service_file, status_timeout_ms),
		.min = 100,
		.max = HOUR_MS,
		.preset = "10s",
		.doc = "The same of the status script"},
	{.key = "log_file",
		.type = CONFIG_TEXT,
		CONFIG_MEMBER(struct app_service_file, log_file),
		.min = 1,
		.check = app_check_variables,
		.doc = "The log the service writes, for `fairlead logs`: an absolute path, or one "
		       "in "
		       "the release. Left out: what the scripts write"},
	{0},
};

Fairlead__V1__CommandSpec *app_command_compile(const struct app_service_file *service)
{
	if (service->driver != APP_DRIVER_COMMAND)
		return NULL;
	Fairlead__V1__CommandSpec *command = xmalloc(sizeof(*command));
	fairlead__v1__command_spec__init(command);
	app_argv_compile(service->script_start, &command->start, &command->n_start);
	app_argv_compile(service->script_stop, &command->stop, &command->n_stop);
	app_argv_compile(service->script_status, &command->status, &command->n_status);
	command->start_timeout_ms = service->start_timeout_ms;
	command->status_timeout_ms = service->status_timeout_ms;
	if (service->log_file)
		pb_set_bytes(&command->log_file, service->log_file, strlen(service->log_file));
	return command;
}
