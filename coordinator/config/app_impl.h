/* Inside of coordinator/config: fairlead.yaml as it is written, on its way to a struct app_config.
 *
 * Loaded by the tables (common/config/config.h): the whole file with its defaults, then the section
 * of one environment over it. Nodes are borrowed from the document. */
#pragma once

#include "common/config/config.h"
#include "coordinator/config/app_config.h"

enum app_probe_kind { APP_PROBE_HTTP, APP_PROBE_TCP, APP_PROBE_RUNNING };

struct app_probe {
	enum app_probe_kind kind;
	char *url;
	struct config_status status;
	char *body;
	struct config_map json;
	char *release_json, *release_header;
	char *ca_file, *address;
	char *host;
	unsigned port;
	uint64_t min_ms;
	unsigned max_restarts;
	uint64_t start_period_ms, interval_ms, timeout_ms, min_healthy_ms;
	unsigned retries;
};

struct app_probe_list {
	struct app_probe *probes;
	size_t count;
};

enum app_driver { APP_DRIVER_PROCESS, APP_DRIVER_COMMAND, APP_DRIVER_LATER };

struct app_service_file {
	const struct yaml_node *node;
	char *name;
	enum app_driver driver;
	char **command;
	char **script_start, **script_stop, **script_status;
	uint64_t start_timeout_ms, status_timeout_ms;
	char *log_file;
	char **sockets;
	uint64_t log_max_bytes;
	unsigned log_keep;
	struct config_map env;
	char *user;
	unsigned restart_policy, max_retries;
	uint64_t backoff_ms;
	uint64_t memory_bytes;
	unsigned cpu_percent, processes, open_files;
	char *hosts;
	Fairlead__V1__ActionClass restart_on;
	unsigned stop_signal;
	uint64_t stop_timeout_ms;
	struct app_probe_list health;
};

struct app_service_files {
	struct app_service_file *services;
	size_t count;
};

/* Of one phase; what is sent, but for the phase. */
struct app_hook_list {
	Fairlead__V1__Hook **hooks;
	size_t count;
};

struct app_file {
	struct app_config config; /* what needs no further work is loaded in place */
	unsigned version;
	const struct yaml_node *rules, *environments;
	struct app_service_files services;
	struct app_hook_list before, after, on_failure;
};

/* The tables. */
extern const struct config_field app_fields[];      /* struct app_file */
extern const struct config_field app_rule_fields[]; /* struct app_rule */
extern const struct config_field app_service_fields[];
extern const struct config_field app_probe_fields[];
/* Sections of struct app_service_file. */
extern const struct config_field app_restart_fields[];
extern const struct config_field app_limits_fields[];
extern const struct config_field app_log_fields[];
extern const struct config_field app_command_fields[];
extern const struct config_choice app_drivers[];

extern const struct config_field app_hook_fields[];

/* The custom loaders of their rows, and what frees what they made. */
config_load_fn app_services_load; /* NEW: all; OVER: changes those that are there */
void app_service_files_release(struct app_service_files *services);
config_load_fn app_probes_load;
void app_probe_list_release(struct app_probe_list *list);

config_load_fn app_hooks_load;
void app_hook_list_release(struct app_hook_list *list);
/* Append them to *ret as hooks of this phase; returns the time that all of them may take. */
uint64_t app_hook_list_move(struct app_hook_list *list, Fairlead__V1__HookPhase phase,
	Fairlead__V1__Hook ***ret, size_t *ret_count);

/* The message that is sent; owned by the caller (pb_free). */
Fairlead__V1__ServicePlan *app_service_compile(const struct app_service_file *service);
Fairlead__V1__ProcessSpec *app_process_compile(const struct app_service_file *service);
/* NULL for another driver. */
Fairlead__V1__CommandSpec *app_command_compile(const struct app_service_file *service);
/* A NULL-terminated list (NULL: none) as the argv of a message. */
void app_argv_compile(char *const *words, ProtobufCBinaryData **ret, size_t *ret_count);
Fairlead__V1__Probe *app_probe_compile(const struct app_probe *probe);
/* From the start until the last of its probes must have said yes or no. */
uint64_t app_service_patience_ms(const struct app_service_file *service);

/* classify.rules, once the services are known. */
int app_rules_load(const struct yaml_node *rules, const struct app_service_files *services,
	struct app_rule **ret, size_t *ret_count, struct err *err);
void app_rules_release(struct app_rule *rules, size_t count);

/* The checks of single values in the tables. */
config_check_fn app_check_pattern;   /* of a rule: not empty */
config_check_fn app_check_variables; /* "${NAME}" closed and named; "$$" is a dollar */
config_check_fn app_check_env_name;  /* POSIX: [A-Za-z_][A-Za-z0-9_]* */
config_check_fn app_check_socket;    /* "[NAME=]ADDRESS:PORT", or one with variables */
config_check_fn app_check_selector;
config_check_fn app_check_url;
config_check_fn app_check_json_path;   /* keys between dots, or a JSON pointer */
config_check_fn app_check_shared_path; /* relative, beneath the release, not .git */
/* What is written of a service fits its driver; `node` is where it was written. */
int app_check_driver(
	const struct app_service_file *service, const struct yaml_node *node, struct err *err);
/* No shared path twice or inside another one. */
int app_check_shared_overlap(
	const struct app_file *file, const struct yaml_node *root, struct err *err);
