#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/discovery.h"
#include "coordinator/cli/options.h"

#include <errno.h>

/* A double-quoted string of JSON is one of YAML, too. */
static void append_quoted(struct buf *out, const char *text)
{
	cJSON *json = cJSON_CreateString(text);
	char *quoted = cJSON_PrintUnformatted(json);
	buf_append_str(out, quoted);
	cJSON_free(quoted);
	cJSON_Delete(json);
}

static void append_list(struct buf *out, char **items)
{
	buf_append_str(out, "[");
	for (size_t i = 0; items && items[i]; i++) {
		buf_append_str(out, i ? ", " : "");
		append_quoted(out, items[i]);
	}
	buf_append_str(out, "]");
}

static void append_head(struct buf *out, const struct discovery *d)
{
	buf_append_str(out,
		"# How the app is deployed: written by `fairlead init`, yours to change.\n"
		"# `fairlead validate` checks it, `fairlead plan` shows what it makes of "
		"a change.\n"
		"version: 1\n"
		"app: ");
	append_quoted(out, d->app);
	buf_append_str(out, "\nreleases: { keep: 5 } # on each host\n");
	if (d->notes)
		buf_append_str(out, "\n# Also found here, and not used by this version:\n");
	for (size_t i = 0; d->notes && d->notes[i]; i++)
		buf_printf(out, "#   %s\n", d->notes[i]);
}

static void append_classify(struct buf *out)
{
	buf_append_str(out,
		"\n# Which changes restart what. The first rule that matches decides a file, the "
		"strongest\n"
		"# class over all changed files wins. The built-in rules come after yours: "
		"documentation\n"
		"# restarts nothing, source code the app; dependencies, containers, SQL and .env "
		"everything.\n"
		"# classify:\n"
		"#   rules:\n"
		"#     - { match: [\"assets/**\"], class: NO_RESTART }\n"
		"#     - { match: [\"api/**\"], class: APP_ONLY, services: [web] }\n");
}

static void append_shared(struct buf *out, const struct discovery *d)
{
	buf_append_str(out, "\n# What survives every release: linked into it, never written by a "
			    "deployment.\n");
	buf_append_str(out, d->dirs || d->files ? "shared: { dirs: " : "# shared: { dirs: ");
	append_list(out, d->dirs);
	buf_append_str(out, ", files: ");
	append_list(out, d->files);
	buf_append_str(out, " }\n");
}

static bool mentions(char **words, const char *what)
{
	for (; words && *words; words++) {
		if (strstr(*words, what))
			return true;
	}
	return false;
}

/* The health check found belongs to the service that answers: `web`, or the only one. */
static void append_health(struct buf *out, const struct discovery *d, const char *service)
{
	bool answers = strcmp(service, "web") == 0 || d->service_count == 1;
	buf_append_str(out, "    health: # a release is kept when all of these hold\n");
	if (answers && d->health_url) {
		buf_append_str(out, "      - http: { url: ");
		append_quoted(out, d->health_url);
		buf_printf(
			out, ", start_period: 40s, interval: 2s } # from %s\n", d->health_origin);
		return;
	}
	buf_append_str(out, "      - running: { min: 5s }\n");
	if (answers)
		buf_append_str(out, "      # Better, if it answers HTTP:\n"
				    "      # - http: { url: \"http://127.0.0.1:8080/health\", "
				    "start_period: 40s, interval: 2s }\n");
}

static void append_service(
	struct buf *out, const struct discovery *d, const struct discovery_service *service)
{
	buf_printf(out, "  %s: # from %s\n    driver: process\n    command: ", service->name,
		service->origin);
	append_list(out, service->command);
	buf_append_str(out, "\n");
	if (mentions(service->command, "PORT"))
		buf_append_str(out,
			"    env: { PORT: \"${PORT}\" } # a variable of each host, from "
			"its agent.yaml\n");
	buf_append_str(out, "    restart: { policy: on-failure, max_retries: 3 }\n"
			    "    stop: { signal: TERM, timeout: 30s }\n");
	append_health(out, d, service->name);
}

static void append_services(struct buf *out, const struct discovery *d)
{
	if (d->service_count == 0) {
		buf_append_str(out,
			"\n# Nothing was found that starts the app. Without services, files are "
			"deployed and\n# nothing is started.\n"
			"# services:\n"
			"#   web:\n"
			"#     driver: process\n"
			"#     command: [\"bin/web\"]\n"
			"#     health:\n"
			"#       - http: { url: \"http://127.0.0.1:8080/health\" }\n");
		return;
	}
	buf_append_str(out, "\nservices:\n");
	for (size_t i = 0; i < d->service_count; i++)
		append_service(out, d, &d->services[i]);
}

static void write_config(struct buf *out, const struct discovery *d)
{
	append_head(out, d);
	append_classify(out);
	append_shared(out, d);
	append_services(out, d);
	buf_append_str(out, "\n# What differs between environments; all above is the default.\n"
			    "# environments:\n"
			    "#   staging: {}\n"
			    "#   production: { strategy: { max_failures: 0 } }\n");
}

static const char fleet_skeleton[] =
	"# The hosts. On each one, `fairlead-agent key` prints its public key. For example:\n"
	"#\n"
	"#   web1:\n"
	"#     address: \"10.0.0.11:7443\"\n"
	"#     key: \"ed25519:...\"\n"
	"#     labels: { env: production, role: web }\n"
	"hosts: {}\n";

static int refuse_existing(const char *path, struct err *err)
{
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	err_set(err, ERR_EXISTS, "'%s' is there already", path);
	return err_hint(err, "Edit it, or replace it with `fairlead init --force`.");
}

/* What is written must be right: better no file than one that does not load. */
static int check(const char *path, struct bytes text, struct err *err)
{
	struct app_config config = {0};
	if (app_config_load_text(path, text, NULL, &config, err) < 0) {
		err_wrap(err, "cannot describe what was found");
		return err_hint(
			err, "Write %s by hand; docs/configuration.md has every key.", path);
	}
	app_config_release(&config);
	return 0;
}

/* "init" with --json: what was written, from what. */
static void tell(const struct options *options, const char *path, const char *fleet_path,
	const struct discovery *d)
{
	if (options->json) {
		cJSON *json = cJSON_CreateObject();
		cJSON_AddStringToObject(json, "config", path);
		cJSON_AddItemToObject(json, "fleet",
			fleet_path ? cJSON_CreateString(fleet_path) : cJSON_CreateNull());
		cJSON_AddStringToObject(json, "app", d->app);
		cJSON *services = cJSON_AddArrayToObject(json, "services");
		for (size_t i = 0; i < d->service_count; i++)
			cJSON_AddItemToArray(services, cJSON_CreateString(d->services[i].name));
		char *text = cJSON_PrintUnformatted(json);
		puts(text);
		cJSON_free(text);
		cJSON_Delete(json);
		return;
	}
	printf("wrote %s: app %s\n", path, d->app);
	for (size_t i = 0; i < d->service_count; i++)
		printf("  service %s, from %s\n", d->services[i].name, d->services[i].origin);
	if (d->service_count == 0)
		puts("  nothing was found that starts it: fill in services");
	for (size_t i = 0; d->notes && d->notes[i]; i++)
		printf("  not used yet: %s\n", d->notes[i]);
	if (fleet_path)
		printf("wrote %s: fill in your hosts\n", fleet_path);
	puts("next: `fairlead validate`");
}

static int write_files(const struct options *options, const struct discovery *d, struct err *err)
{
	const char *path = options_config_path(options), *fleet_path = options_fleet_path(options);
	AUTO(buf) struct buf config = {0};
	write_config(&config, d);
	if (check(path, buf_bytes(&config), err) < 0 ||
		file_write_atomic(AT_FDCWD, path, buf_bytes(&config), 0644, err) < 0)
		return -1;
	/* An inventory is never replaced: it cannot be found again. */
	bool fleet = access(fleet_path, F_OK) < 0 && errno == ENOENT;
	if (fleet &&
		file_write_atomic(AT_FDCWD, fleet_path, BYTES_STR(fleet_skeleton), 0644, err) < 0)
		return -1;
	tell(options, path, fleet ? fleet_path : NULL, d);
	return 0;
}

static int run(const struct options *options, struct err *err)
{
	struct discovery discovery = {0};
	if (!options->force && refuse_existing(options_config_path(options), err) < 0)
		return -1;
	if (discovery_make(".", &discovery, err) < 0)
		return -1;
	int rc = write_files(options, &discovery, err);
	discovery_release(&discovery);
	return rc;
}

static const struct option_row rows[] = {
	{"force", 0, OPTION_FLAG, NULL, offsetof(struct options, force),
		"replace a fairlead.yaml that is there"},
	{0},
};

const struct command command_init = {
	.name = "init",
	.args = "",
	.summary = "write a fairlead.yaml from what is found here",
	.details = "Looks for what starts the app (Procfile, the start script of package.json, the "
		   "usual entry points), for a health check in a Dockerfile or compose file, and "
		   "for folders that should survive releases. The file says in comments where each "
		   "value came from, and what was found and is not used yet.\n\n"
		   "Also writes an empty fleet.yaml when there is none. Replaces nothing without "
		   "--force, and never an inventory.",
	.options = rows,
	.run = run,
};
