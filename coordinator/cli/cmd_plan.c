#include "common/base/mem.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/environments.h"
#include "coordinator/cli/options.h"
#include "coordinator/cli/planning.h"
#include "coordinator/plan/plan.h"
#include "coordinator/plan/tree.h"

#include <errno.h>

/* No file: classified by the built-in rules, for repositories that do not know Fairlead yet. */
static int load_or_default(const struct options *options, struct app_config *ret, struct err *err)
{
	const char *path = options_config_path(options);
	if (!options->config && access(path, F_OK) < 0 && errno == ENOENT) {
		*ret = (struct app_config){.path = xstrdup(path), .builtin_rules = true};
		if (!options->quiet)
			fprintf(stderr, "no %s here: classified by the built-in rules\n", path);
		return 0;
	}
	return environments_load_any(path, options->environment, ret, err);
}

static void print_text(const struct options *options, const struct app_config *config,
	const struct plan_change *change, const char *from, const char *to)
{
	AUTO(buf) struct buf out = {0};
	buf_printf(&out, "%.7s → %.7s\n", from, to);
	change_print(change, config, &out, options->verbose);
	fputs(buf_str(&out), stdout);
}

static void print_json(const struct app_config *config, const struct plan_change *change,
	const char *from, const char *to)
{
	cJSON *json = change_json(change, config);
	cJSON_AddStringToObject(json, "from", from);
	cJSON_AddStringToObject(json, "to", to);
	char *text = cJSON_PrintUnformatted(json);
	puts(text);
	cJSON_free(text);
	cJSON_Delete(json);
}

static int compare(struct repo *repo, const struct options *options,
	const struct app_config *config, Fairlead__V1__ActionClass forced, struct err *err)
{
	AUTO(tree) struct tree base = {0};
	AUTO(tree) struct tree target = {0};
	char from[COMMIT_HEX_SIZE], to[COMMIT_HEX_SIZE];
	if (repo_resolve(repo, options->revision_from, from, err) < 0 ||
		repo_resolve(repo, options->to, to, err) < 0 ||
		tree_from_commit(repo, from, &base, err) < 0 ||
		tree_from_commit(repo, to, &target, err) < 0)
		return -1;
	struct plan_change change;
	if (change_compute(config, PLAN_BASE_KNOWN, &base.manifest, &target.manifest, NULL, forced,
		    &change, err) < 0)
		return -1;
	if (options->json)
		print_json(config, &change, from, to);
	else
		print_text(options, config, &change, from, to);
	change_release(&change);
	return 0;
}

static int plan_revisions(
	const struct options *options, Fairlead__V1__ActionClass forced, struct err *err)
{
	struct app_config config = {0};
	struct repo *repo = NULL;
	if (load_or_default(options, &config, err) < 0)
		return -1;
	int rc = repo_open(".", &repo, err);
	if (rc == 0)
		rc = compare(repo, options, &config, forced, err);
	repo_free(repo);
	app_config_release(&config);
	return rc;
}

/* Against what the hosts run: exactly what `deploy` would do, and then not done. */
static int plan_fleet(const struct options *options, struct err *err)
{
	struct options look = *options;
	look.allow_dirty = true; /* looking leaves no change behind */
	AUTO(planning) struct planning planning = {0};
	if (planning_open(&look, &planning, err) < 0)
		return -1;
	planning_print(&planning, &look);
	return 0;
}

static int run(const struct options *options, struct err *err)
{
	Fairlead__V1__ActionClass forced = FAIRLEAD__V1__ACTION_CLASS__ACTION_CLASS_UNSPECIFIED;
	if (!options->revision_from)
		return plan_fleet(options, err);
	if (options->type && plan_parse_type(options->type, &forced, err) < 0)
		return -1;
	return plan_revisions(options, forced, err);
}

static const struct option_row rows[] = {
	{"from", 0, OPTION_STRING, "REV", offsetof(struct options, revision_from),
		"compare with this revision instead of what the hosts run; touches no host"},
	{"to", 0, OPTION_STRING, "REV", offsetof(struct options, to),
		"the revision to deploy (default HEAD)"},
	{"type", 0, OPTION_STRING, "auto|full|app-only|no-restart", offsetof(struct options, type),
		"do not find out what to restart, but do this"},
	{0},
};

const struct command command_plan = {
	.name = "plan",
	.args = "",
	.summary = "show what a deployment would change and restart, and why",
	.details = "Every changed file is judged by the first rule that matches it: those of "
		   "fairlead.yaml, then the built-in ones; a file that no rule matches is "
		   "APP_ONLY. The strongest class over all files decides: NO_RESTART, APP_ONLY or "
		   "FULL_RESTART.\n\n"
		   "Each host is compared with the release it runs, and nothing is changed. With "
		   "--from, two revisions of the repository are compared and no host is asked; "
		   "without a fairlead.yaml the built-in rules alone decide then.",
	.options = rows,
	.run = run,
};
