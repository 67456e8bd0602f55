#include "common/base/mem.h"
#include "common/os/file.h"
#include "coordinator/cli/command.h"
#include "coordinator/ledger/ledger.h"

#include <setjmp.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
	char dir[64];
	char ledger[96], config[96];
};

static int make_place(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));
	snprintf(place->dir, sizeof(place->dir), "/tmp/fairlead-history-XXXXXX");
	if (!mkdtemp(place->dir) || chdir(place->dir) < 0)
		return -1;
	snprintf(place->ledger, sizeof(place->ledger), "%s/ledger.db", place->dir);
	snprintf(place->config, sizeof(place->config), "%s/fairlead.yaml", place->dir);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	int rc = chdir("/");
	tree_remove(AT_FDCWD, place->dir, NULL);
	free(place);
	return rc;
}

static const char commit[] = "0123456789abcdef0123456789abcdef01234567";

static void record(const struct place *place, const char *id, const char *app, uint64_t started,
	const char *second_state)
{
	struct ledger *ledger = NULL;
	struct ledger_deployment d = {
		.id = id,
		.kind = "deploy",
		.app = app,
		.environment = "production",
		.class_name = "APP_ONLY",
		.commit_to = commit,
		.actor = "ann",
		.started_unix_ms = started,
		.ended_unix_ms = started + 1500,
		.outcome = "committed",
		.files_changed = 2,
		.bytes = 1200,
	};
	const struct ledger_host hosts[] = {
		{"web1", "committed", "", commit, 900, 600, ""},
		{"web2", second_state, "", commit, 950, 600, "no answer"},
	};
	assert_int_equal(ledger_open(place->ledger, &ledger, NULL), 0);
	assert_int_equal(ledger_begin(ledger, &d, NULL, 0, NULL), 0);
	assert_int_equal(ledger_end(ledger, &d, hosts, ARRAY_LEN(hosts), NULL), 0);
	ledger_free(ledger);
}

/* What the verb prints to stdout. */
static char *printed(const struct options *options)
{
	struct err err = ERR_INIT;
	fflush(stdout);
	int kept = dup(STDOUT_FILENO);
	FILE *file = tmpfile();
	assert_true(kept >= 0 && file);
	dup2(fileno(file), STDOUT_FILENO);
	int rc = command_history.run(options, &err);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	if (rc != 0)
		fail_msg("%s", err.message);
	AUTO(buf) struct buf text = {0};
	char chunk[512];
	rewind(file);
	for (size_t n; (n = fread(chunk, 1, sizeof(chunk), file)) > 0;)
		buf_append(&text, chunk, n);
	fclose(file);
	return xstrdup(buf_str(&text));
}

static void a_table_for_people(void **state)
{
	struct place *place = *state;
	record(place, "1", "shop", 1736346615000, "committed");
	record(place, "2", "shop", 1736346616000, "failed_safe");
	struct options options = {.ledger = place->ledger};
	AUTO_FREE char *text = printed(&options);
	assert_string_equal(text,
		"STARTED                    APP   ENV         TYPE      FROM → TO    FILES  SENT   "
		" TOOK  OUTCOME                                BY\n"
		"2025-01-08T14:30:16+00:00  shop  production  APP_ONLY  - → 0123456  2      1.2 kB "
		" 1.5s  committed: 1 committed, 1 failed_safe  ann\n"
		"2025-01-08T14:30:15+00:00  shop  production  APP_ONLY  - → 0123456  2      1.2 kB "
		" 1.5s  committed                              ann\n");

	options.count = "1";
	options.verbose = true;
	AUTO_FREE char *verbose = printed(&options);
	assert_null(strstr(verbose, "14:30:15"));
	assert_non_null(
		strstr(verbose, "\n    web1: committed, - → 0123456 in 900ms\n"
				"    web2: failed_safe, - → 0123456 in 950ms: no answer\n"));
}

static void an_array_for_programs(void **state)
{
	struct place *place = *state;
	struct options options = {.ledger = place->ledger, .json = true};
	AUTO_FREE char *none = printed(&options);
	assert_string_equal(none, "[]\n");

	record(place, "1", "shop", 1736346615000, "failed_safe");
	AUTO_FREE char *text = printed(&options);
	cJSON *array = cJSON_Parse(text);
	assert_int_equal(cJSON_GetArraySize(array), 1);
	const cJSON *row = cJSON_GetArrayItem(array, 0);
	const struct {
		const char *name, *value;
	} expected[] = {{"id", "1"}, {"class", "APP_ONLY"}, {"commit_to", commit},
		{"started", "2025-01-08T14:30:15+00:00"}, {"outcome", "committed"}};
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_string_equal(
			cJSON_GetObjectItem(row, expected[i].name)->valuestring, expected[i].value);
	const cJSON *host = cJSON_GetArrayItem(cJSON_GetObjectItem(row, "hosts"), 1);
	assert_string_equal(cJSON_GetObjectItem(host, "state")->valuestring, "failed_safe");
	cJSON_Delete(array);
}

static void write_config(const struct place *place, const char *text)
{
	assert_int_equal(
		file_write_atomic(AT_FDCWD, place->config, BYTES_STR(text), 0644, NULL), 0);
}

#define CONFIG                                                                                     \
	"version: 1\napp: blog\nservices:\n  web:\n    driver: process\n    command: "             \
	"[\"bin/x\"]\n"

static void the_configuration_chooses_the_app(void **state)
{
	struct place *place = *state;
	record(place, "1", "shop", 1736346615000, "committed");
	record(place, "2", "blog", 1736346616000, "committed");
	struct options options = {.ledger = place->ledger};
	AUTO_FREE char *all = printed(&options);
	assert_true(strstr(all, "shop") && strstr(all, "blog"));

	write_config(place, CONFIG);
	AUTO_FREE char *blog = printed(&options);
	assert_true(!strstr(blog, "shop") && strstr(blog, "blog"));

	/* No environment chosen among several is no reason to refuse. */
	write_config(place, CONFIG "environments: { staging: {}, production: {} }\n");
	AUTO_FREE char *several = printed(&options);
	assert_non_null(strstr(several, "blog"));

	struct err err = ERR_INIT;
	write_config(place, "nonsense: true\n");
	command_history.run(&options, &err);
	assert_int_equal(err.code, ERR_CONFIG);
	err_clear(&err);
	options.config = "missing.yaml";
	command_history.run(&options, &err);
	assert_int_not_equal(err.code, ERR_NONE);
	err_clear(&err);
	options.count = "many";
	command_history.run(&options, &err);
	assert_int_equal(err.code, ERR_USAGE);
}

#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_PLACE(a_table_for_people),
		IN_A_PLACE(an_array_for_programs),
		IN_A_PLACE(the_configuration_chooses_the_app),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
