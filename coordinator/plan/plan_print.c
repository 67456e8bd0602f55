#include "coordinator/plan/plan.h"

#include "common/base/mem.h"
#include "common/base/text.h"

enum {
	COMMIT_SHORT = 7, /* digits, as git shows by default */
	FILES_SHOWN = 40, /* per class, unless verbose */
	PATH_COLUMN_MAX = 48,
};

static const char *const status_letters[] = {
	[PLAN_FILE_ADDED] = "A",
	[PLAN_FILE_CHANGED] = "M",
	[PLAN_FILE_REMOVED] = "D",
};

/* Strongest first: what decides is read first. */
static const Fairlead__V1__ActionClass class_order[] = {
	FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART,
	FAIRLEAD__V1__ACTION_CLASS__APP_ONLY,
	FAIRLEAD__V1__ACTION_CLASS__NO_RESTART,
};

static void print_label(struct buf *out, const char *label)
{
	bool commit = strlen(label) == 40;
	text_escape(out, BYTES(label, commit ? (size_t)COMMIT_SHORT : strlen(label)));
}

static void print_file_services(
	const struct plan_file *file, const struct app_config *config, struct buf *out)
{
	const char *separator = "  → ";
	for (size_t i = 0; i < config->service_count; i++) {
		if (!plan_file_touches(file, &config->services[i]))
			continue;
		buf_printf(out, "%s%s", separator, config->services[i].name);
		separator = ", ";
	}
}

static int path_column(const struct plan_change *change)
{
	size_t width = 0;
	for (size_t i = 0; i < change->count; i++) {
		size_t len = strlen(change->files[i].path);
		if (len > width)
			width = len;
	}
	return (int)(width < PATH_COLUMN_MAX ? width : PATH_COLUMN_MAX);
}

static void print_class(const struct plan_change *change, Fairlead__V1__ActionClass class,
	const struct app_config *config, struct buf *out, unsigned verbosity)
{
	int column = path_column(change);
	size_t count = 0;
	for (size_t i = 0; i < change->count; i++) {
		const struct plan_file *file = &change->files[i];
		if (file->class != class)
			continue;
		if (count++ == 0)
			buf_printf(out, "  %s\n", plan_class_name(class));
		if (count > FILES_SHOWN && verbosity == 0)
			continue;
		AUTO_FREE char *path = text_escaped(file->path);
		AUTO_FREE char *rule = text_escaped(file->rule_text);
		buf_printf(
			out, "    %s %-*s  %s", status_letters[file->status], column, path, rule);
		print_file_services(file, config, out);
		buf_append_str(out, "\n");
	}
	if (count > FILES_SHOWN && verbosity == 0)
		buf_printf(out, "    … and %zu more (-v lists all)\n", count - FILES_SHOWN);
}

static void print_files(const struct plan_change *change, const struct app_config *config,
	struct buf *out, unsigned verbosity)
{
	for (size_t i = 0; i < ARRAY_LEN(class_order); i++)
		print_class(change, class_order[i], config, out, verbosity);
}

/* Services with the same action on one line: "  restart  web, worker". */
static void print_action(const char *verb, Fairlead__V1__ServiceAction action,
	const struct app_service *const *services, const Fairlead__V1__ServiceAction *actions,
	size_t count, struct buf *out)
{
	const char *separator = "  ";
	for (size_t i = 0; i < count; i++) {
		if (actions[i] != action)
			continue;
		if (strcmp(separator, ", ") != 0)
			buf_printf(out, "  %-7s", verb);
		buf_printf(out, "%s%s", separator, services[i]->name);
		separator = ", ";
	}
	if (strcmp(separator, ", ") == 0)
		buf_append_str(out, "\n");
}

static void print_services(const struct app_service *const *services,
	const Fairlead__V1__ServiceAction *actions, size_t count, struct buf *out)
{
	print_action("restart", FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART, services, actions,
		count, out);
	print_action("leave", FAIRLEAD__V1__SERVICE_ACTION__SERVICE_LEAVE, services, actions, count,
		out);
}

void change_print(const struct plan_change *change, const struct app_config *config,
	struct buf *out, unsigned verbosity)
{
	AUTO_FREE const struct app_service **services =
		xcalloc(config->service_count + 1, sizeof(const struct app_service *));
	AUTO_FREE Fairlead__V1__ServiceAction *actions =
		xcalloc(config->service_count + 1, sizeof(*actions));
	for (size_t i = 0; i < config->service_count; i++) {
		services[i] = &config->services[i];
		actions[i] = change_service_action(change, services[i]);
	}
	print_files(change, config, out, verbosity);
	print_services(services, actions, config->service_count, out);
	buf_printf(out, "  %s: %s\n", plan_class_name(change->class), change->reason);
}

/* Hosts that stand on the same release and get the same steps are shown once. */
static bool same_steps(const struct plan_host *a, const struct plan_host *b)
{
	if (a->change != b->change || !digest_equal(&a->from, &b->from) ||
		strcmp(a->commit_from, b->commit_from) != 0 || a->service_count != b->service_count)
		return false;
	for (size_t i = 0; i < a->service_count; i++) {
		if (a->services[i] != b->services[i] || a->actions[i] != b->actions[i])
			return false;
	}
	return true;
}

static bool shown_before(const struct plan *plan, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (same_steps(&plan->hosts[i], &plan->hosts[index]))
			return true;
	}
	return false;
}

static void print_host_names(const struct plan *plan, size_t index, struct buf *out)
{
	const char *separator = "\n";
	for (size_t i = index; i < plan->host_count; i++) {
		if (!same_steps(&plan->hosts[index], &plan->hosts[i]))
			continue;
		buf_printf(out, "%s%s", separator, plan->hosts[i].host->name);
		separator = ", ";
	}
}

static void print_host(const struct plan *plan, size_t index, struct buf *out, unsigned verbosity)
{
	const struct plan_host *host = &plan->hosts[index];
	print_host_names(plan, index, out);
	buf_append_str(out, ": ");
	if (plan_host_is_nothing(host)) {
		print_label(out, host->commit_to);
		buf_append_str(out, " is there already, nothing to do\n");
		return;
	}
	print_label(out, host->commit_from[0] ? host->commit_from : "nothing");
	buf_append_str(out, " → ");
	print_label(out, host->commit_to);
	buf_append_str(out, "\n");
	print_files(host->change, plan->config, out, verbosity);
	print_services(host->services, host->actions, host->service_count, out);
	if (host->change->nothing)
		buf_append_str(out, "  no file changed; a service that is down is started\n");
	else
		buf_printf(out, "  %s: %s\n", plan_class_name(host->change->class),
			host->change->reason);
}

void plan_print(const struct plan *plan, struct buf *out, unsigned verbosity)
{
	char size[TEXT_UNIT_SIZE];
	buf_printf(out, "%s (%s): ", plan->config->app, plan->config->environment);
	print_label(out, plan->label);
	buf_printf(out, ", %llu %s, %s\n", (unsigned long long)plan->files,
		plan->files == 1 ? "file" : "files", text_bytes(plan->bytes, size));
	for (size_t i = 0; i < plan->host_count; i++) {
		if (!shown_before(plan, i))
			print_host(plan, i, out, verbosity);
	}
}
