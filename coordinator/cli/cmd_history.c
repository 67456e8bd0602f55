#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/cli/options.h"
#include "coordinator/cli/table.h"
#include "coordinator/ledger/ledger.h"
#include "coordinator/report/style.h"

enum { COUNT_DEFAULT = 20, COUNT_MAX = 100000, COMMIT_WIDTH = 7 };

/* -- for people --------------------------------------------------------------------------- */

struct listing {
	struct table table;
	const struct options *options;
	size_t shown;
};

static const char *const headings[] = {
	"STARTED", "APP", "ENV", "TYPE", "FROM → TO", "FILES", "SENT", "TOOK", "OUTCOME", "BY"};

/* "abc1234", as git shortens it; "dir-…" labels of folders likewise. */
static char *short_commit(const char *commit)
{
	size_t prefix = strncmp(commit, "dir-", 4) == 0 ? 4 : 0;
	return *commit ? xstrndup(commit, prefix + COMMIT_WIDTH) : xstrdup("-");
}

/* A state, and how many hosts ended in it. */
struct state_count {
	const char *state;
	size_t count;
};

/* "rolled_back", or "mixed: 2 committed, 1 failed_safe" where the hosts say more. */
static char *outcome_text(
	const struct ledger_deployment *d, const struct ledger_host *hosts, size_t host_count)
{
	AUTO(buf) struct buf text = {0};
	AUTO_FREE struct state_count *counts = xcalloc(host_count + 1, sizeof(*counts));
	size_t kinds = 0;
	for (size_t i = 0; i < host_count; i++) {
		size_t k = 0;
		while (k < kinds && strcmp(counts[k].state, hosts[i].state) != 0)
			k++;
		counts[k].state = hosts[i].state;
		counts[k].count++;
		kinds += k == kinds;
	}
	buf_append_str(&text, d->outcome);
	if (kinds > 1 || (kinds == 1 && strcmp(counts[0].state, d->outcome) != 0))
		for (size_t k = 0; k < kinds; k++)
			buf_printf(&text, "%s %zu %s", k ? "," : ":", counts[k].count,
				counts[k].state);
	return xstrdup(buf_str(&text));
}

static void add_host_note(struct table *table, const struct ledger_host *host)
{
	char duration[TEXT_UNIT_SIZE];
	AUTO_FREE char *from = short_commit(host->commit_from);
	AUTO_FREE char *to = short_commit(host->commit_to);
	AUTO_FREE char *note = xasprintf("%s: %s, %s → %s in %s%s%s", host->host, host->state, from,
		to, text_duration(host->duration_ms, duration), *host->error ? ": " : "",
		host->error);
	table_note(table, note);
}

static int list_deployment(void *user, const struct ledger_deployment *d,
	const struct ledger_host *hosts, size_t host_count)
{
	struct listing *listing = user;
	char when[TEXT_TIME_SIZE], files[16], sent[TEXT_UNIT_SIZE], took[TEXT_UNIT_SIZE] = "-";
	AUTO_FREE char *from = short_commit(d->commit_from);
	AUTO_FREE char *to = short_commit(d->commit_to);
	AUTO_FREE char *commits = xasprintf("%s → %s", from, to);
	AUTO_FREE char *outcome = outcome_text(d, hosts, host_count);

	snprintf(files, sizeof(files), "%u", d->files_changed);
	if (d->ended_unix_ms >= d->started_unix_ms)
		text_duration(d->ended_unix_ms - d->started_unix_ms, took);
	bool is_rollback = strcmp(d->kind, "rollback") == 0;
	const char *const cells[] = {text_time(d->started_unix_ms, when), d->app, d->environment,
		is_rollback ? d->kind : d->class_name, commits, files, text_bytes(d->bytes, sent),
		took, outcome, d->actor};
	table_add(&listing->table, cells);
	listing->shown++;
	if (!listing->options->verbose)
		return 0;
	if (*d->error)
		table_note(&listing->table, d->error);
	for (size_t i = 0; i < host_count; i++)
		add_host_note(&listing->table, &hosts[i]);
	return 0;
}

/* -- for programs ------------------------------------------------------------------------- */

static void add_time(cJSON *object, const char *name, uint64_t unix_ms)
{
	char time[TEXT_TIME_SIZE];
	if (unix_ms)
		cJSON_AddStringToObject(object, name, text_time(unix_ms, time));
	else
		cJSON_AddNullToObject(object, name);
}

static cJSON *host_json(const struct ledger_host *host)
{
	cJSON *object = cJSON_CreateObject();
	json_add_text(object, "host", host->host);
	json_add_text(object, "state", host->state);
	json_add_text(object, "commit_from", host->commit_from);
	json_add_text(object, "commit_to", host->commit_to);
	cJSON_AddNumberToObject(object, "duration_ms", (double)host->duration_ms);
	cJSON_AddNumberToObject(object, "bytes", (double)host->bytes);
	json_add_text(object, "error", host->error);
	return object;
}

static int add_deployment_json(void *user, const struct ledger_deployment *d,
	const struct ledger_host *hosts, size_t host_count)
{
	cJSON *object = cJSON_CreateObject();
	const struct {
		const char *name, *text;
	} texts[] = {{"id", d->id}, {"kind", d->kind}, {"app", d->app},
		{"environment", d->environment}, {"class", d->class_name},
		{"commit_from", d->commit_from}, {"commit_to", d->commit_to}, {"actor", d->actor},
		{"outcome", d->outcome}, {"error", d->error}};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		json_add_text(object, texts[i].name, texts[i].text);
	add_time(object, "started", d->started_unix_ms);
	add_time(object, "ended", d->ended_unix_ms);
	cJSON_AddNumberToObject(object, "exit_status", d->exit_status);
	cJSON_AddNumberToObject(object, "files_changed", d->files_changed);
	cJSON_AddNumberToObject(object, "bytes", (double)d->bytes);
	cJSON *list = cJSON_AddArrayToObject(object, "hosts");
	for (size_t i = 0; i < host_count; i++)
		cJSON_AddItemToArray(list, host_json(&hosts[i]));
	cJSON_AddItemToArray(user, object);
	return 0;
}

/* -- the verb ----------------------------------------------------------------------------- */

struct question {
	struct ledger *ledger;
	const char *app, *environment; /* NULL: any */
	unsigned count;
};

static int print_json(const struct question *q, struct err *err)
{
	cJSON *array = cJSON_CreateArray();
	if (ledger_history(q->ledger, q->app, q->environment, q->count, add_deployment_json, array,
		    err) < 0) {
		cJSON_Delete(array);
		return -1;
	}
	json_print_line(stdout, array);
	return 0;
}

static int print_table(const struct question *q, const struct options *options, struct err *err)
{
	struct listing listing = {.options = options};
	table_init(&listing.table, headings, ARRAY_LEN(headings));
	int rc = ledger_history(
		q->ledger, q->app, q->environment, q->count, list_deployment, &listing, err);
	if (rc == 0 && listing.shown)
		table_print(&listing.table, stdout);
	else if (rc == 0 && !options->quiet)
		fputs("no deployments are recorded here yet\n", stderr);
	table_release(&listing.table);
	return rc;
}

/* The app of the configuration, if there is one: without -c, none is needed. */
static int find_app(const struct options *options, struct app_config *config, struct err *err)
{
	const char *path = options_config_path(options);
	if (!options->config && access(path, F_OK) != 0)
		return 0;
	if (app_config_load(path, options->environment, config, err) == 0)
		return 0;
	/* Several environments and none chosen: then it is the history of all. */
	if (err->code != ERR_USAGE || options->environment)
		return -1;
	err_clear(err);
	return 0;
}

static int run(const struct options *options, struct err *err)
{
	AUTO(app_config) struct app_config config = {0};
	struct question question = {.environment = options->environment};
	if (options_number("count", options->count, 1, COUNT_MAX, COUNT_DEFAULT, &question.count,
		    err) < 0 ||
		find_app(options, &config, err) < 0 ||
		ledger_open(options->ledger, &question.ledger, err) < 0)
		return -1;
	question.app = config.app;
	int rc = options->json ? print_json(&question, err) : print_table(&question, options, err);
	ledger_free(question.ledger);
	return rc;
}

static const struct option_row option_rows[] = {
	{"count", 'n', OPTION_STRING, "N", offsetof(struct options, count),
		"how many to show (default 20)"},
	{0},
};

const struct command command_history = {
	.name = "history",
	.args = "",
	.summary = "show past deployments, newest first",
	.details = "Reads the ledger of this machine: what was deployed from here, to how many "
		   "hosts, by whom, and how it ended. The hosts keep the truth; `fairlead status` "
		   "asks them.\n\n"
		   "Where there is a fairlead.yaml only its app is shown, with --env only that "
		   "environment. --verbose adds a line per host.",
	.options = option_rows,
	.run = run,
};
