#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "coordinator/cli/context.h"
#include "coordinator/cli/table.h"
#include "coordinator/report/style.h"
#include "coordinator/rollout/label.h"

/* ---- for people ---- */

static const char *const headings[] = {
	"HOST", "RELEASE", "INSTALLED", "LAST", "SERVICE", "STATE", "PID", "UP", "RESTARTS"};

/* The cells of a host's first row; the rows of its further services leave them empty. */
struct host_cells {
	char *release;
	char installed[TEXT_TIME_SIZE];
	const char *last;
};

static void fill_host_cells(const Fairlead__V1__AppStatus *app, struct host_cells *cells)
{
	const Fairlead__V1__Release *current = app ? app->current : NULL;
	cells->release = current ? label_short(current->commit) : xstrdup("none");
	if (current)
		text_time(current->installed_unix_ms, cells->installed);
	else
		memcpy(cells->installed, "-", 2);
	cells->last = app && app->last ? report_state_name(app->last->state) : "-";
}

static void add_service(struct table *table, const struct member *member,
	const struct host_cells *host, const Fairlead__V1__ServiceStatus *service, bool first)
{
	char pid[24] = "-", up[TEXT_UNIT_SIZE] = "-", restarts[16];
	uint64_t now = member->description->now_unix_ms; /* of the host's own clock */
	if (service->pid > 0)
		snprintf(pid, sizeof(pid), "%lld", (long long)service->pid);
	if (service->pid > 0 && service->started_unix_ms && now >= service->started_unix_ms)
		text_duration(now - service->started_unix_ms, up);
	snprintf(restarts, sizeof(restarts), "%u", service->restarts);
	const char *const cells[] = {first ? member->host->name : "", first ? host->release : "",
		first ? host->installed : "", first ? host->last : "", service->name,
		service->state, pid, up, restarts};
	table_add(table, cells);
	if (service->message[0])
		table_note(table, service->message);
	if (service->limits[0])
		table_note(table, service->limits);
}

static void add_bare_host(
	struct table *table, const struct member *member, const struct host_cells *host)
{
	const char *const cells[] = {member->host->name, host->release, host->installed, host->last,
		"-", "-", "-", "-", "-"};
	table_add(table, cells);
}

static void note_running(struct table *table, const Fairlead__V1__DeploymentStatus *running)
{
	AUTO_FREE char *to = label_short(running->commit_to);
	AUTO_FREE char *note = xasprintf(
		"'%s' is deploying %s: %s", running->actor, to, report_state_name(running->state));
	table_note(table, note);
	if (!running->held_step[0] || !running->error)
		return;
	table_note(table, running->error->message);
	table_note(table, running->error->hint);
}

static void note_failure(struct table *table, const Fairlead__V1__DeploymentStatus *last)
{
	if (!last->error || !last->error->message[0])
		return;
	AUTO_FREE char *to = label_short(last->commit_to);
	AUTO_FREE char *note = xasprintf(
		"%s was %s: %s", to, report_state_name(last->state), last->error->message);
	table_note(table, note);
}

static void add_host(struct table *table, const struct member *member)
{
	if (member->state != MEMBER_READY) {
		const char *const cells[] = {member->host->name, "?", "-",
			err_code_name(member->err.code), "-", "-", "-", "-", "-"};
		table_add(table, cells);
		return;
	}
	const Fairlead__V1__AppStatus *app = member_app(member);
	struct host_cells host;
	fill_host_cells(app, &host);
	size_t services = app ? app->n_services : 0;
	if (services == 0)
		add_bare_host(table, member, &host);
	for (size_t i = 0; i < services; i++)
		add_service(table, member, &host, app->services[i], i == 0);
	if (app && app->running)
		note_running(table, app->running);
	if (app && app->last)
		note_failure(table, app->last);
	free(host.release);
}

static void print_table(const struct context *context)
{
	struct table table;
	table_init(&table, headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < hosts_count(context->hosts); i++)
		add_host(&table, hosts_member(context->hosts, i));
	table_print(&table, stdout);
	table_release(&table);
}

/* ---- for programs ---- */

static void add_time(cJSON *object, const char *name, uint64_t unix_ms)
{
	char time[TEXT_TIME_SIZE];
	if (unix_ms)
		cJSON_AddStringToObject(object, name, text_time(unix_ms, time));
	else
		cJSON_AddNullToObject(object, name);
}

static void add_digest(cJSON *object, const char *name, const ProtobufCBinaryData *bytes)
{
	struct digest digest;
	char hex[DIGEST_HEX_SIZE] = "";
	if (bytes->len && digest_from_bytes(bytes->data, bytes->len, &digest))
		digest_hex(&digest, hex);
	cJSON_AddStringToObject(object, name, hex);
}

static cJSON *service_json(const Fairlead__V1__ServiceStatus *service)
{
	cJSON *object = cJSON_CreateObject();
	json_add_text(object, "name", service->name);
	json_add_text(object, "driver", service->driver);
	json_add_text(object, "state", service->state);
	cJSON_AddNumberToObject(object, "pid", (double)service->pid);
	add_time(object, "started", service->started_unix_ms);
	cJSON_AddNumberToObject(object, "restarts", service->restarts);
	add_digest(object, "release", &service->manifest);
	json_add_text(object, "message", service->message);
	json_add_text(object, "limits", service->limits);
	return object;
}

static cJSON *deployment_json(const Fairlead__V1__DeploymentStatus *status)
{
	if (!status)
		return cJSON_CreateNull();
	cJSON *object = cJSON_CreateObject();
	char id[33] = "";
	if (status->deployment_id.len == 16)
		sodium_bin2hex(id, sizeof(id), status->deployment_id.data, 16);
	cJSON_AddStringToObject(object, "id", id);
	cJSON_AddStringToObject(object, "state", report_state_name(status->state));
	json_add_text(object, "commit_from", status->commit_from);
	json_add_text(object, "commit_to", status->commit_to);
	json_add_text(object, "actor", status->actor);
	json_add_text(object, "error", status->error ? status->error->message : "");
	json_add_text(object, "hint", status->error ? status->error->hint : "");
	json_add_text(object, "held_step", status->held_step);
	return object;
}

static void add_app_json(cJSON *object, const Fairlead__V1__AppStatus *app)
{
	const Fairlead__V1__Release *current = app ? app->current : NULL;
	json_add_text(object, "commit", current ? current->commit : "");
	if (current)
		add_digest(object, "release", &current->manifest);
	else
		cJSON_AddNullToObject(object, "release");
	cJSON_AddItemToObject(object, "running", deployment_json(app ? app->running : NULL));
	cJSON_AddItemToObject(object, "last", deployment_json(app ? app->last : NULL));
	cJSON *services = cJSON_AddArrayToObject(object, "services");
	for (size_t i = 0; app && i < app->n_services; i++)
		cJSON_AddItemToArray(services, service_json(app->services[i]));
}

static void print_json(const struct context *context)
{
	for (size_t i = 0; i < hosts_count(context->hosts); i++) {
		const struct member *member = hosts_member(context->hosts, i);
		cJSON *object = cJSON_CreateObject();
		json_add_text(object, "host", member->host->name);
		json_add_text(object, "address", member->host->address);
		cJSON_AddBoolToObject(object, "reachable", member->state == MEMBER_READY);
		if (member->state == MEMBER_READY)
			add_app_json(object, member_app(member));
		else
			cJSON_AddItemToObject(object, "error", json_error(&member->err));
		json_print_line(stdout, object);
	}
}

static int run(const struct options *options, struct err *err)
{
	AUTO(context) struct context context = {0};
	if (context_open(options, &context, err) < 0)
		return -1;
	hosts_wait_described(context.hosts);
	if (options->json)
		print_json(&context);
	else
		print_table(&context);
	return context_failures(&context, options, err);
}

const struct command command_status = {
	.name = "status",
	.args = "",
	.summary = "show what each host runs now",
	.details = "Asks every host: its release, how its last deployment ended, its services with "
		   "process id and restarts, and who is deploying just now.\n\n"
		   "Hosts that cannot be reached are shown as such, and the exit status says so.",
	.run = run,
};
