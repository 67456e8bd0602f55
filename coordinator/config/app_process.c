/* The keys of a service that runs as a process of ours: restarts, limits, log, sockets. */
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/config/app_impl.h"

static const struct config_choice policies[] = {
	{"no", 0, CONFIG_CHOICE_NOW},
	{"on-failure", 1, CONFIG_CHOICE_NOW},
	{"always", 2, CONFIG_CHOICE_NOW},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

const struct config_field app_restart_fields[] = {
	{.key = "policy",
		.type = CONFIG_CHOICE,
		CONFIG_MEMBER(struct app_service_file, restart_policy),
		.choices = policies,
		.preset = "on-failure",
		.doc = "When a process that ended is started again"},
	{.key = "max_retries",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct app_service_file, max_retries),
		.max = 1000,
		.preset = "3",
		.doc = "So many times in a row, then it has failed"},
	{.key = "backoff",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct app_service_file, backoff_ms),
		.min = 1,
		.max = UINT64_C(60) * 1000,
		.preset = "1s",
		.doc = "Wait before the first retry; doubles each time, up to 60s"},
	{0},
};

const struct config_field app_limits_fields[] = {
	{.key = "memory",
		.type = CONFIG_SIZE,
		CONFIG_MEMBER(struct app_service_file, memory_bytes),
		.min = 1 << 20,
		.max = UINT64_C(1) << 50,
		.doc = "Of all its processes by a cgroup, where the host has one that can be "
		       "written to; "
		       "else the address space of each. Left out: no limit"},
	{.key = "cpu",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct app_service_file, cpu_percent),
		.min = 1,
		.max = UINT64_C(100) * 1024,
		.doc = "Percent of one CPU, by a cgroup: 150 is one and a half. Left out: no "
		       "limit"},
	{.key = "processes",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct app_service_file, processes),
		.min = 1,
		.max = 1 << 22,
		.doc = "Processes and threads, by a cgroup; else those of its user. Left out: no "
		       "limit"},
	{.key = "open_files",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct app_service_file, open_files),
		.min = 16,
		.max = 1 << 30,
		.doc = "Open files of each process. Left out: as the agent"},
	{0},
};

const struct config_field app_log_fields[] = {
	{.key = "max_size",
		.type = CONFIG_SIZE,
		CONFIG_MEMBER(struct app_service_file, log_max_bytes),
		.min = 4096,
		.max = UINT64_C(1) << 40,
		.preset = "10M",
		.doc = "A log of this size is moved aside, and a new one begun"},
	{.key = "keep",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct app_service_file, log_keep),
		.min = 1,
		.max = 100,
		.preset = "3",
		.doc = "So many full ones are kept"},
	{0},
};

static Fairlead__V1__RestartPolicy *compile_restart(const struct app_service_file *service)
{
	Fairlead__V1__RestartPolicy *restart = xmalloc(sizeof(*restart));
	fairlead__v1__restart_policy__init(restart);
	pb_set_str(&restart->policy, config_choice_name(policies, service->restart_policy));
	restart->max_retries = service->max_retries;
	restart->backoff_ms = service->backoff_ms;
	return restart;
}

static Fairlead__V1__Limits *compile_limits(const struct app_service_file *service)
{
	Fairlead__V1__Limits *limits = xmalloc(sizeof(*limits));
	fairlead__v1__limits__init(limits);
	limits->memory_bytes = service->memory_bytes;
	limits->open_files = service->open_files;
	limits->cpu_percent = service->cpu_percent;
	limits->processes = service->processes;
	return limits;
}

void app_argv_compile(char *const *words, ProtobufCBinaryData **ret, size_t *ret_count)
{
	size_t count = 0;
	while (words && words[count])
		count++;
	*ret_count = count;
	*ret = count ? xcalloc(count, sizeof(**ret)) : NULL;
	for (size_t i = 0; i < count; i++)
		pb_set_bytes(&(*ret)[i], words[i], strlen(words[i]));
}

static void compile_sockets(
	const struct app_service_file *service, Fairlead__V1__ProcessSpec *process)
{
	if (!service->sockets || !service->sockets[0])
		return;
	while (service->sockets[process->n_sockets])
		process->n_sockets++;
	process->sockets = xcalloc(process->n_sockets, sizeof(char *));
	for (size_t i = 0; i < process->n_sockets; i++)
		process->sockets[i] = xstrdup(service->sockets[i]);
}

static Fairlead__V1__EnvVar *compile_variable(const struct config_pair *pair)
{
	Fairlead__V1__EnvVar *variable = xmalloc(sizeof(*variable));
	fairlead__v1__env_var__init(variable);
	pb_set_str(&variable->name, pair->name);
	pb_set_bytes(&variable->value, pair->value, strlen(pair->value));
	return variable;
}

Fairlead__V1__ProcessSpec *app_process_compile(const struct app_service_file *service)
{
	Fairlead__V1__ProcessSpec *process = xmalloc(sizeof(*process));
	fairlead__v1__process_spec__init(process);
	app_argv_compile(service->command, &process->command, &process->n_command);
	process->n_env = service->env.count;
	process->env =
		process->n_env ? xcalloc(process->n_env, sizeof(Fairlead__V1__EnvVar *)) : NULL;
	for (size_t i = 0; i < process->n_env; i++)
		process->env[i] = compile_variable(&service->env.pairs[i]);
	if (service->user)
		pb_set_str(&process->user, service->user);
	process->restart = compile_restart(service);
	process->limits = compile_limits(service);
	process->log_max_bytes = service->log_max_bytes;
	process->log_keep = service->log_keep;
	compile_sockets(service, process);
	return process;
}
