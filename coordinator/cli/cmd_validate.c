#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/config.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/environments.h"
#include "coordinator/cli/options.h"
#include "coordinator/plan/rules.h"

#include <errno.h>

/* Both files, as understood. */
struct reading {
	struct app_config config;
	char **environments; /* { NULL }: every name is accepted */
	struct fleet_config fleet;
	bool has_fleet;
};

static void reading_release(struct reading *reading)
{
	app_config_release(&reading->config);
	config_list_free(reading->environments);
	fleet_config_release(&reading->fleet);
}

/* A fleet.yaml may be elsewhere, so only one that was named must be there. */
static int read_fleet(const struct options *options, struct reading *reading, struct err *err)
{
	const char *path = options_fleet_path(options);
	if (!options->fleet && access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (fleet_config_load(path, &reading->fleet, err) < 0)
		return -1;
	reading->has_fleet = true;
	return 0;
}

static int read_all(const struct options *options, struct reading *reading, struct err *err)
{
	const char *path = options_config_path(options);
	struct rules *rules = NULL;
	if (environments_load_any(path, options->environment, &reading->config, err) < 0 ||
		rules_new(&reading->config, &rules, err) < 0)
		return -1;
	rules_free(rules);
	if (environments_list(path, &reading->environments, err) < 0)
		return -1;
	return read_fleet(options, reading, err);
}

/* How many hosts of the inventory run the service; its selector has been checked. */
static size_t hosts_of(const struct reading *reading, const struct app_service *service)
{
	struct selector *selector = NULL;
	size_t count = 0;
	if (selector_parse(service->hosts, &selector, NULL) < 0)
		return 0;
	for (size_t i = 0; i < reading->fleet.count; i++)
		count += selector_matches(selector, &reading->fleet.hosts[i]);
	selector_free(selector);
	return count;
}

static void print_words(const char *label, char **words, const char *none)
{
	printf("  %-13s", label);
	if (!words || !words[0])
		printf("%s", none);
	for (size_t i = 0; words && words[i]; i++) {
		AUTO_FREE char *word = text_escaped(words[i]);
		printf("%s%s", i ? ", " : "", word);
	}
	putchar('\n');
}

static void print_services(const struct reading *reading)
{
	const struct app_config *config = &reading->config;
	printf("  %-13s", "services");
	for (size_t i = 0; i < config->service_count; i++) {
		const struct app_service *service = &config->services[i];
		printf("%s%s (%s, %zu %s", i ? ", " : "", service->name, service->plan->driver,
			service->plan->n_probes, service->plan->n_probes == 1 ? "probe" : "probes");
		if (reading->has_fleet)
			printf(", %zu of %zu hosts", hosts_of(reading, service),
				reading->fleet.count);
		putchar(')');
	}
	puts(config->service_count ? "" : "none: files are deployed, nothing is started");
}

static void print_text(const struct reading *reading)
{
	const struct app_config *config = &reading->config;
	AUTO_FREE char *path = text_escaped(config->path);
	printf("%s is valid: app %s\n", path, config->app);
	print_words("environments", reading->environments, "any name, production by default");
	print_services(reading);
	printf("  %-13s%zu of yours, %s\n", "rules", config->rule_count,
		config->builtin_rules ? "then the built-in ones" : "no built-in ones");
	size_t shared = 0;
	for (char **p = config->shared_dirs; p && *p; p++)
		shared++;
	for (char **p = config->shared_files; p && *p; p++)
		shared++;
	printf("  %-13s%zu %s\n", "shared", shared, shared == 1 ? "path" : "paths");
	if (!reading->has_fleet)
		return;
	AUTO_FREE char *fleet_path = text_escaped(reading->fleet.path);
	printf("%s is valid: %zu %s\n", fleet_path, reading->fleet.count,
		reading->fleet.count == 1 ? "host" : "hosts");
}

static cJSON *service_json(const struct reading *reading, const struct app_service *service)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "name", service->name);
	cJSON_AddStringToObject(json, "driver", service->plan->driver);
	cJSON_AddNumberToObject(json, "probes", (double)service->plan->n_probes);
	if (reading->has_fleet)
		cJSON_AddNumberToObject(json, "hosts", (double)hosts_of(reading, service));
	return json;
}

static void print_json(const struct reading *reading)
{
	const struct app_config *config = &reading->config;
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "config", config->path);
	cJSON_AddStringToObject(json, "app", config->app);
	cJSON *environments = cJSON_AddArrayToObject(json, "environments");
	for (char **name = reading->environments; *name; name++)
		cJSON_AddItemToArray(environments, cJSON_CreateString(*name));
	cJSON *services = cJSON_AddArrayToObject(json, "services");
	for (size_t i = 0; i < config->service_count; i++)
		cJSON_AddItemToArray(services, service_json(reading, &config->services[i]));
	cJSON_AddNumberToObject(json, "rules", (double)config->rule_count);
	cJSON_AddBoolToObject(json, "builtin_rules", config->builtin_rules);
	if (reading->has_fleet) {
		cJSON_AddStringToObject(json, "fleet", reading->fleet.path);
		cJSON_AddNumberToObject(json, "hosts", (double)reading->fleet.count);
	}
	char *text = cJSON_PrintUnformatted(json);
	puts(text);
	cJSON_free(text);
	cJSON_Delete(json);
}

static int run(const struct options *options, struct err *err)
{
	AUTO(reading) struct reading reading = {0};
	if (read_all(options, &reading, err) < 0)
		return -1;
	if (options->json)
		print_json(&reading);
	else
		print_text(&reading);
	return 0;
}

const struct command command_validate = {
	.name = "validate",
	.args = "",
	.summary = "check fairlead.yaml and fleet.yaml and say what they mean",
	.details = "Reads fairlead.yaml for all its environments, and fleet.yaml if there is one. "
		   "An error names file, line and key and says what to write. No host is touched.",
	.run = run,
};
