#include "coordinator/plan/plan.h"

#include "common/base/mem.h"
#include "common/base/text.h"

static const char *const status_names[] = {
	[PLAN_FILE_ADDED] = "added",
	[PLAN_FILE_CHANGED] = "changed",
	[PLAN_FILE_REMOVED] = "removed",
};

static const char *action_name(Fairlead__V1__ServiceAction action)
{
	return action == FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART ? "restart" : "leave";
}

/* The bytes that may follow a lead byte in UTF-8, RFC 3629 section 4. */
static size_t utf8_length(const uint8_t *p)
{
	static const struct {
		uint8_t lead_min, lead_max, second_min, second_max;
		size_t length;
	} forms[] = {
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	if (p[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (p[0] < forms[i].lead_min || p[0] > forms[i].lead_max)
			continue;
		if (p[1] < forms[i].second_min || p[1] > forms[i].second_max)
			return 0;
		for (size_t n = 2; n < forms[i].length; n++) {
			if ((p[n] & 0xc0) != 0x80)
				return 0;
		}
		return forms[i].length;
	}
	return 0;
}

/* JSON is UTF-8, paths are not: one that is not is shown with \xNN, the others as they are. */
static void add_string(cJSON *object, const char *key, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	for (size_t n; *p; p += n) {
		n = utf8_length(p);
		if (n > 0)
			continue;
		AUTO_FREE char *escaped = text_escaped(text);
		cJSON_AddStringToObject(object, key, escaped);
		return;
	}
	cJSON_AddStringToObject(object, key, text);
}

static void add_digest(cJSON *object, const char *key, const struct digest *digest)
{
	char hex[DIGEST_HEX_SIZE];
	if (digest_is_zero(digest))
		cJSON_AddNullToObject(object, key);
	else
		cJSON_AddStringToObject(object, key, digest_hex(digest, hex));
}

static cJSON *file_json(const struct plan_file *file, const struct app_config *config)
{
	cJSON *json = cJSON_CreateObject();
	add_string(json, "path", file->path);
	cJSON_AddStringToObject(json, "status", status_names[file->status]);
	add_string(json, "rule", file->rule_text);
	cJSON_AddStringToObject(json, "class", plan_class_name(file->class));
	cJSON *services = cJSON_AddArrayToObject(json, "services");
	for (size_t i = 0; i < config->service_count; i++) {
		if (plan_file_touches(file, &config->services[i]))
			cJSON_AddItemToArray(
				services, cJSON_CreateString(config->services[i].name));
	}
	return json;
}

static void add_service(
	cJSON *services, const struct app_service *service, Fairlead__V1__ServiceAction action)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "name", service->name);
	cJSON_AddStringToObject(json, "action", action_name(action));
	cJSON_AddItemToArray(services, json);
}

cJSON *change_json(const struct plan_change *change, const struct app_config *config)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "class", plan_class_name(change->class));
	cJSON_AddStringToObject(json, "found", plan_class_name(change->found));
	cJSON_AddStringToObject(json, "reason", change->reason);
	cJSON_AddBoolToObject(json, "nothing", change->nothing);
	add_digest(json, "base", &change->base);
	cJSON *files = cJSON_AddArrayToObject(json, "files");
	for (size_t i = 0; i < change->count; i++)
		cJSON_AddItemToArray(files, file_json(&change->files[i], config));
	cJSON *services = cJSON_AddArrayToObject(json, "services");
	for (size_t i = 0; i < config->service_count; i++)
		add_service(services, &config->services[i],
			change_service_action(change, &config->services[i]));
	return json;
}

static cJSON *host_json(const struct plan *plan, const struct plan_host *host)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "name", host->host->name);
	add_digest(json, "from", &host->from);
	add_digest(json, "to", &host->to);
	add_string(json, "commit_from", host->commit_from);
	add_string(json, "commit_to", host->commit_to);
	cJSON_AddStringToObject(json, "class", plan_class_name(host->change->class));
	cJSON_AddBoolToObject(json, "nothing", plan_host_is_nothing(host));
	/* Which of `changes`. */
	cJSON_AddNumberToObject(json, "change", (double)(host->change - plan->changes));
	cJSON *services = cJSON_AddArrayToObject(json, "services");
	for (size_t i = 0; i < host->service_count; i++)
		add_service(services, host->services[i], host->actions[i]);
	return json;
}

cJSON *plan_json(const struct plan *plan)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "app", plan->config->app);
	cJSON_AddStringToObject(json, "environment", plan->config->environment);
	cJSON_AddStringToObject(json, "class", plan_class_name(plan_class(plan)));
	cJSON_AddStringToObject(json, "forced", plan->forced);
	cJSON_AddBoolToObject(json, "nothing", plan_is_nothing(plan));
	add_digest(json, "target", &plan->target);
	add_string(json, "label", plan->label);
	cJSON_AddNumberToObject(json, "target_files", (double)plan->files);
	cJSON_AddNumberToObject(json, "target_bytes", (double)plan->bytes);
	cJSON *changes = cJSON_AddArrayToObject(json, "changes");
	for (size_t i = 0; i < plan->change_count; i++)
		cJSON_AddItemToArray(changes, change_json(&plan->changes[i], plan->config));
	cJSON *hosts = cJSON_AddArrayToObject(json, "hosts");
	for (size_t i = 0; i < plan->host_count; i++)
		cJSON_AddItemToArray(hosts, host_json(plan, &plan->hosts[i]));
	return json;
}
