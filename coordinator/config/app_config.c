#include "coordinator/config/app_config.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "coordinator/config/app_impl.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, DAY_MS = 24 * 60 * MINUTE_MS };

static const struct config_choice strategies[] = {
	{"all", APP_STRATEGY_ALL, CONFIG_CHOICE_NOW},
	{"rolling", 0, CONFIG_CHOICE_LATER},
	{"canary", 0, CONFIG_CHOICE_LATER},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

static const struct config_choice unreachables[] = {
	{"fail", APP_UNREACHABLE_FAIL, CONFIG_CHOICE_NOW},
	{"skip", APP_UNREACHABLE_SKIP, CONFIG_CHOICE_NOW},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

static const struct config_choice failures[] = {
	{"rollback_all", APP_ON_FAILURE_ROLLBACK_ALL, CONFIG_CHOICE_NOW},
	{"rollback_host", APP_ON_FAILURE_ROLLBACK_HOST, CONFIG_CHOICE_NOW},
	{"pause", 0, CONFIG_CHOICE_LATER},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

static int keep_node(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	(void)mode;
	(void)err;
	*(const struct yaml_node **)member = node;
	return 0;
}

static const struct config_field releases_fields[] = {
	{.key = "keep",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct app_file, config.keep_releases),
		.min = 1,
		.max = 1000,
		.preset = "5",
		.doc = "Releases that stay on a host, with the current one"},
	{.key = "keep_failed",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct app_file, config.keep_failed),
		.min = 1,
		.max = 1000,
		.preset = "2",
		.doc = "Failed releases that stay for a look"},
	{0},
};

static const struct config_field classify_fields[] = {
	{.key = "builtin",
		.type = CONFIG_BOOL,
		CONFIG_MEMBER(struct app_file, config.builtin_rules),
		.preset = "true",
		.doc = "Whether the built-in rules come after yours"},
	{.key = "rules",
		.type = CONFIG_CUSTOM,
		CONFIG_MEMBER(struct app_file, rules),
		.fields = app_rule_fields,
		.entry = "[]",
		.load = keep_node,
		.doc = "The first rule that matches decides a file; the strongest class over all "
		       "changed files wins"},
	{0},
};

static const struct config_field shared_fields[] = {
	{.key = "dirs",
		.type = CONFIG_LIST,
		CONFIG_MEMBER(struct app_file, config.shared_dirs),
		.check = app_check_shared_path,
		.doc = "Directories, made when they are missing"},
	{.key = "files",
		.type = CONFIG_LIST,
		CONFIG_MEMBER(struct app_file, config.shared_files),
		.check = app_check_shared_path,
		.doc = "Files"},
	{0},
};

#define HOOKS(name, meaning)                                                                       \
	{                                                                                          \
		.key = #name, .type = CONFIG_CUSTOM, CONFIG_MEMBER(struct app_file, name),         \
		.fields = app_hook_fields, .entry = "[]", .load = app_hooks_load, .doc = (meaning) \
	}
static const struct config_field hooks_fields[] = {
	HOOKS(before, "Before the switch, in this order. One that fails, and nothing is switched"),
	HOOKS(after, "When the new release is healthy, before it is kept. One that fails, and the "
		     "host rolls back"),
	HOOKS(on_failure, "When the activation has failed and the host is where it stays; they "
			  "change nothing about that"),
	{0},
};

static const struct config_field strategy_fields[] = {
	{.key = "type",
		.type = CONFIG_CHOICE,
		CONFIG_MEMBER(struct app_file, config.strategy),
		.choices = strategies,
		.preset = "all",
		.doc = "The order of the hosts"},
	{.key = "max_failures",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct app_file, config.max_failures),
		.max = UINT64_C(1000) * 1000,
		.preset = "0",
		.doc = "Hosts that may fail in the whole deployment before it is stopped"},
	{.key = "unreachable",
		.type = CONFIG_CHOICE,
		CONFIG_MEMBER(struct app_file, config.unreachable),
		.choices = unreachables,
		.preset = "fail",
		.doc = "What a host that cannot be reached means"},
	{.key = "on_failure",
		.type = CONFIG_CHOICE,
		CONFIG_MEMBER(struct app_file, config.on_failure),
		.choices = failures,
		.preset = "rollback_all",
		.doc = "Whether a failure takes every host back, or only those that failed"},
	{.key = "confirm_timeout",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct app_file, config.confirm_timeout_ms),
		.min = SECOND_MS,
		.max = DAY_MS,
		.preset = "60s",
		.doc = "A healthy host that hears nothing for so long rolls back"},
	{.key = "activate_timeout",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct app_file, config.activate_timeout_ms),
		.min = SECOND_MS,
		.max = DAY_MS,
		.doc = "From activation to healthy. Left out: 10m, or twice what the slowest "
		       "service may take if that is longer, and what the hooks may take"},
	{.key = "lease",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct app_file, config.lease_ms),
		.min = SECOND_MS,
		.max = DAY_MS,
		.preset = "10m",
		.doc = "A prepared host that hears nothing for so long forgets the deployment"},
	{.key = "canary", .type = CONFIG_LATER, .doc = "Some hosts first"},
	{.key = "batch", .type = CONFIG_LATER, .doc = "Hosts in groups"},
	{0},
};

/* Loaded over the defaults above it. */
static const struct config_field environment_fields[] = {
	{.key = "releases", .type = CONFIG_SECTION, .fields = releases_fields, .doc = "As above"},
	{.key = "services",
		.type = CONFIG_CUSTOM,
		CONFIG_MEMBER(struct app_file, services),
		.load = app_services_load,
		.doc = "Keys of services that differ; `env` is merged, everything else replaced"},
	{.key = "strategy", .type = CONFIG_SECTION, .fields = strategy_fields, .doc = "As above"},
	{.key = "migrations", .type = CONFIG_LATER, .doc = "Changes of a database"},
	{.key = "hooks",
		.type = CONFIG_SECTION,
		.fields = hooks_fields,
		.doc = "As above; each list that is written replaces the one above"},
	{.key = "notify", .type = CONFIG_LATER, .doc = "Who hears of a deployment"},
	{0},
};

const struct config_field app_fields[] = {
	{.key = "version",
		.type = CONFIG_NUMBER,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct app_file, version),
		.min = 1,
		.max = 1,
		.write = "write version: 1",
		.doc = "Of the format"},
	{.key = "app",
		.type = CONFIG_NAME,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct app_file, config.app),
		.doc = "Name of the application; on a host it stands in `<root>/<app>-<env>`"},
	{.key = "releases",
		.type = CONFIG_SECTION,
		.fields = releases_fields,
		.doc = "What stays on a host"},
	{.key = "classify",
		.type = CONFIG_SECTION,
		.fields = classify_fields,
		.doc = "Which changes restart what"},
	{.key = "shared",
		.type = CONFIG_SECTION,
		.fields = shared_fields,
		.doc = "Paths that survive every release, relative to it"},
	{.key = "services",
		.type = CONFIG_CUSTOM,
		CONFIG_MEMBER(struct app_file, services),
		.fields = app_service_fields,
		.entry = ".<name>",
		.load = app_services_load,
		.doc = "What runs. Left out: files are deployed and nothing is started"},
	{.key = "strategy",
		.type = CONFIG_SECTION,
		.fields = strategy_fields,
		.doc = "How a deployment goes over the fleet"},
	{.key = "hooks",
		.type = CONFIG_SECTION,
		.fields = hooks_fields,
		.doc = "Programs of the release that run around its activation, on each host "
		       "(docs/hooks.md). An entry is a command, a list of its words, or a mapping"},
	{.key = "environments",
		.type = CONFIG_CUSTOM,
		CONFIG_MEMBER(struct app_file, environments),
		.fields = environment_fields,
		.entry = ".<env>",
		.load = keep_node,
		.doc = "What differs between environments; an entry may be empty. Left out: any "
		       "name is accepted, `production` is meant"},
	{.key = "migrations", .type = CONFIG_LATER, .doc = "Changes of a database"},
	{.key = "notify", .type = CONFIG_LATER, .doc = "Who hears of a deployment"},
	{0},
};

static void app_file_release(struct app_file *file)
{
	app_service_files_release(&file->services);
	app_hook_list_release(&file->before);
	app_hook_list_release(&file->after);
	app_hook_list_release(&file->on_failure);
	config_release(app_fields, file);
	app_config_release(&file->config);
}

void app_config_release(struct app_config *config)
{
	free(config->path);
	free(config->app);
	free(config->environment);
	config_list_free(config->shared_dirs);
	config_list_free(config->shared_files);
	app_rules_release(config->rules, config->rule_count);
	for (size_t i = 0; i < config->service_count; i++) {
		free(config->services[i].name);
		free(config->services[i].hosts);
		pb_free(&config->services[i].plan->base);
	}
	free(config->services);
	for (size_t i = 0; i < config->hook_count; i++)
		pb_free(&config->hooks[i]->base);
	free(config->hooks);
	*config = (struct app_config){0};
}

static void compile_services(struct app_file *file, uint64_t hooks_ms)
{
	const struct app_service_files *from = &file->services;
	struct app_config *config = &file->config;
	uint64_t patience_ms = 0;
	config->services = xcalloc(from->count, sizeof(*config->services));
	for (; config->service_count < from->count; config->service_count++) {
		const struct app_service_file *service = &from->services[config->service_count];
		uint64_t needed_ms = app_service_patience_ms(service);
		patience_ms = needed_ms > patience_ms ? needed_ms : patience_ms;
		config->services[config->service_count] = (struct app_service){
			.name = xstrdup(service->name),
			.hosts = xstrdup(service->hosts),
			.restart_on = service->restart_on,
			.plan = app_service_compile(service),
			.line = service->node->line,
		};
	}
	if (config->activate_timeout_ms == 0)
		config->activate_timeout_ms =
			hooks_ms + (2 * patience_ms > UINT64_C(10) * MINUTE_MS
						   ? 2 * patience_ms
						   : UINT64_C(10) * MINUTE_MS);
}

/* Returns the time that those on the way to healthy may take. */
static uint64_t compile_hooks(struct app_file *file)
{
	struct app_config *config = &file->config;
	uint64_t time_ms = app_hook_list_move(&file->before, FAIRLEAD__V1__HOOK_PHASE__HOOK_BEFORE,
		&config->hooks, &config->hook_count);
	time_ms += app_hook_list_move(&file->after, FAIRLEAD__V1__HOOK_PHASE__HOOK_AFTER,
		&config->hooks, &config->hook_count);
	config->failure_hooks_ms = app_hook_list_move(&file->on_failure,
		FAIRLEAD__V1__HOOK_PHASE__HOOK_ON_FAILURE, &config->hooks, &config->hook_count);
	return time_ms;
}

/* The whole file with the section of one environment (NULL: none) over it. */
static int compile(const struct yaml_node *root, const struct yaml_node *overlay,
	struct app_file *file, struct err *err)
{
	if (config_load(root, app_fields, file, CONFIG_NEW, err) < 0)
		return -1;
	if (overlay && overlay->kind != YAML_EMPTY &&
		config_load(overlay, environment_fields, file, CONFIG_OVER, err) < 0)
		return -1;
	if (app_check_shared_overlap(file, root, err) < 0)
		return -1;
	if (file->rules && app_rules_load(file->rules, &file->services, &file->config.rules,
				   &file->config.rule_count, err) < 0)
		return -1;
	compile_services(file, compile_hooks(file));
	return 0;
}

/* Every environment is compiled, so that a mistake in one is found whichever is deployed. */
static int check_all(
	const struct yaml_node *root, const struct yaml_node *environments, struct err *err)
{
	if (config_expect(environments, YAML_MAPPING,
		    "write the names of the environments and below each what differs", err) < 0)
		return -1;
	for (const struct yaml_node *node = environments->first; node; node = node->next) {
		if (!text_is_name(node->key))
			return yaml_error(node, err,
				"not a name; write letters, digits, '.', '_' or '-', beginning "
				"with a letter or digit");
		struct app_file file = {0};
		int result = compile(root, node, &file, err);
		app_file_release(&file);
		if (result < 0)
			return -1;
	}
	return 0;
}

static int usage_error(
	const char *path, const struct yaml_node *environments, const char *wanted, struct err *err)
{
	AUTO(buf) struct buf names = {0};
	AUTO_FREE const char **known = xcalloc(environments->count + 1, sizeof(*known));
	for (const struct yaml_node *node = environments->first; node; node = node->next) {
		known[node->index] = node->key;
		buf_printf(&names, "%s%s", node->index ? ", " : "", node->key);
	}
	const char *nearest = wanted ? text_nearest(wanted, known) : NULL;
	if (wanted)
		err_set(err, ERR_USAGE, "%s has no environment '%s'", path, wanted);
	else
		err_set(err, ERR_USAGE, "%s has several environments: %s", path, buf_str(&names));
	if (nearest)
		return err_hint(
			err, "Did you mean --env %s? There are: %s.", nearest, buf_str(&names));
	return err_hint(err, "Name one with --env: %s.", buf_str(&names));
}

/* *ret_overlay: the section, NULL without an `environments` section. */
static int choose(const char *path, const struct yaml_node *environments, const char *wanted,
	const struct yaml_node **ret_overlay, const char **ret_name, struct err *err)
{
	if (wanted && !text_is_name(wanted)) {
		err_set(err, ERR_USAGE, "'%s' is not a name of an environment", wanted);
		return err_hint(err, "Use letters, digits, '.', '_' or '-', beginning with a "
				     "letter or digit.");
	}
	if (!environments || environments->count == 0) {
		*ret_overlay = NULL;
		*ret_name = wanted ? wanted : "production";
		return 0;
	}
	const struct yaml_node *found = wanted                     ? yaml_get(environments, wanted)
					: environments->count == 1 ? environments->first
								   : NULL;
	if (!found)
		return usage_error(path, environments, wanted, err);
	*ret_overlay = found;
	*ret_name = found->key;
	return 0;
}

int app_config_load_text(const char *name, struct bytes text, const char *environment,
	struct app_config *ret, struct err *err)
{
	AUTO_YAML struct yaml *yaml = NULL;
	if (yaml_load_bytes(name, text, &yaml, err) < 0)
		return -1;
	const struct yaml_node *root = yaml_root(yaml), *overlay = NULL;
	const struct yaml_node *environments = yaml_get(root, "environments");
	const char *chosen = NULL;
	struct app_file file = {0};
	if ((environments && check_all(root, environments, err) < 0) ||
		choose(name, environments, environment, &overlay, &chosen, err) < 0 ||
		compile(root, overlay, &file, err) < 0) {
		app_file_release(&file);
		return -1;
	}
	*ret = file.config;
	ret->path = xstrdup(name);
	ret->environment = xstrdup(chosen);
	file.config = (struct app_config){0};
	app_file_release(&file);
	return 0;
}

int app_config_load(
	const char *path, const char *environment, struct app_config *ret, struct err *err)
{
	AUTO(buf) struct buf text = {0};
	if (yaml_read_file(path, YAML_BYTES_MAX, &text, err) < 0) {
		if (err && err->code == ERR_NOT_FOUND)
			err_hint(err, "Run fairlead init to write one, or name it with -c FILE.");
		return -1;
	}
	return app_config_load_text(path, buf_bytes(&text), environment, ret, err);
}
