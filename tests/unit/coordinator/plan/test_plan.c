#include "common/base/mem.h"
#include "coordinator/plan/plan.h"

#include <setjmp.h>

#include <cmocka.h>

#define AUTO_CLASS FAIRLEAD__V1__ACTION_CLASS__ACTION_CLASS_UNSPECIFIED
#define NONE FAIRLEAD__V1__ACTION_CLASS__NO_RESTART
#define APP FAIRLEAD__V1__ACTION_CLASS__APP_ONLY
#define FULL FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART
#define LEAVE FAIRLEAD__V1__SERVICE_ACTION__SERVICE_LEAVE
#define RESTART FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART

/* An app with a web, a worker and a database; api/ belongs to web. */
static char path_text[] = "fairlead.yaml", app_text[] = "shop", env_text[] = "production";
static char web_text[] = "web", worker_text[] = "worker", db_text[] = "db", api_text[] = "api/**";
static char everywhere[] = "", role_db[] = "role=db", role_web[] = "role=web";
static char *api_match[] = {api_text, NULL}, *api_services[] = {web_text, NULL};
static struct app_rule rule_list[] = {
	{.match = api_match, .class = APP, .services = api_services, .line = 9},
};
static struct app_service service_list[] = {
	{.name = web_text, .hosts = role_web, .restart_on = APP},
	{.name = worker_text, .hosts = everywhere, .restart_on = APP},
	{.name = db_text, .hosts = role_db, .restart_on = FULL},
};
static const struct app_config config = {
	.path = path_text,
	.app = app_text,
	.environment = env_text,
	.rules = rule_list,
	.rule_count = 1,
	.builtin_rules = true,
	.services = service_list,
	.service_count = 3,
};

/* "path=content" words, NULL-terminated. */
static struct manifest manifest_of(const char *const *files)
{
	struct manifest m = {0};
	for (; *files; files++) {
		const char *content = strchr(*files, '=') + 1;
		struct digest digest = digest_of(content, strlen(content));
		assert_int_equal(manifest_add(&m, *files, (size_t)(content - *files) - 1,
					 MANIFEST_FILE, strlen(content), &digest, NULL),
			0);
	}
	assert_int_equal(manifest_finish(&m, NULL), 0);
	return m;
}

#define MANIFEST(...) manifest_of((const char *const[]){__VA_ARGS__, NULL})

static struct plan_change compute(const struct manifest *base, const struct manifest *target,
	Fairlead__V1__ActionClass forced)
{
	struct plan_change change = {0};
	struct err err = ERR_INIT;
	if (change_compute(&config, PLAN_BASE_KNOWN, base, target, NULL, forced, &change, &err) < 0)
		fail_msg("%s", err.message);
	return change;
}

static void assert_actions(const struct plan_change *change, int web, int worker, int db)
{
	assert_int_equal(change_service_action(change, &service_list[0]), web);
	assert_int_equal(change_service_action(change, &service_list[1]), worker);
	assert_int_equal(change_service_action(change, &service_list[2]), db);
}

static void class_and_services_follow_the_files(void **state)
{
	(void)state;
	static const struct {
		const char *changed;
		Fairlead__V1__ActionClass forced;
		int class, found, web, worker, db;
		const char *reason;
	} cases[] = {
		{"README.md=2", AUTO_CLASS, NONE, NONE, LEAVE, LEAVE, LEAVE, "(built-in *.md)"},
		{"api/a.py=2", AUTO_CLASS, APP, APP, RESTART, LEAVE, LEAVE,
			"'api/a.py' (fairlead.yaml:9 api/**)"},
		{"src/a.py=2", AUTO_CLASS, APP, APP, RESTART, RESTART, LEAVE, "built-in src/"},
		{"blob=2", AUTO_CLASS, APP, APP, RESTART, RESTART, LEAVE, "no rule matches"},
		{"a.sql=2", AUTO_CLASS, FULL, FULL, RESTART, RESTART, RESTART, "built-in *.sql"},
		{"a.sql=2", NONE, NONE, FULL, LEAVE, LEAVE, LEAVE,
			"forced NO_RESTART although auto found FULL_RESTART"},
		{"a.sql=2", APP, APP, FULL, RESTART, RESTART, LEAVE, "forced APP_ONLY"},
		{"api/a.py=2", FULL, FULL, APP, RESTART, RESTART, RESTART, "forced FULL"},
		{"README.md=2", APP, APP, NONE, RESTART, RESTART, LEAVE, "forced APP_ONLY"},
	};
	struct manifest base = MANIFEST("kept=1");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct manifest target = MANIFEST("kept=1", cases[i].changed);
		struct plan_change change = compute(&base, &target, cases[i].forced);
		assert_int_equal(change.class, cases[i].class);
		assert_int_equal(change.found, cases[i].found);
		assert_int_equal(change.count, 1);
		assert_int_equal(change.files[0].status, PLAN_FILE_ADDED);
		assert_false(change.nothing);
		assert_actions(&change, cases[i].web, cases[i].worker, cases[i].db);
		if (!strstr(change.reason, cases[i].reason))
			fail_msg("\"%s\" is not in \"%s\"", cases[i].reason, change.reason);
		change_release(&change);
		manifest_release(&target);
	}
	manifest_release(&base);
}

static void a_rename_counts_both_paths(void **state)
{
	(void)state;
	struct manifest base = MANIFEST("db/x.sql=1", "b.md=1");
	struct manifest target = MANIFEST("notes/x.md=1", "b.md=2");
	struct plan_change change = compute(&base, &target, AUTO_CLASS);
	assert_int_equal(change.count, 3);
	assert_string_equal(change.files[0].path, "b.md");
	assert_int_equal(change.files[0].status, PLAN_FILE_CHANGED);
	assert_string_equal(change.files[1].path, "db/x.sql");
	assert_int_equal(change.files[1].status, PLAN_FILE_REMOVED);
	assert_string_equal(change.files[2].path, "notes/x.md");
	assert_int_equal(change.files[2].status, PLAN_FILE_ADDED);
	assert_int_equal(change.class, FULL);
	assert_true(digest_equal(&change.base, &base.digest));
	change_release(&change);
	manifest_release(&base);
	manifest_release(&target);
}

static void nothing_changed_is_nothing_unless_forced(void **state)
{
	(void)state;
	struct manifest same = MANIFEST("a.py=1");
	struct plan_change change = compute(&same, &same, AUTO_CLASS);
	assert_true(change.nothing);
	assert_int_equal(change.class, NONE);
	assert_actions(&change, LEAVE, LEAVE, LEAVE);
	change_release(&change);

	change = compute(&same, &same, FULL);
	assert_false(change.nothing);
	assert_actions(&change, RESTART, RESTART, RESTART);
	change_release(&change);
	manifest_release(&same);
}

static void no_base_is_a_full_restart(void **state)
{
	(void)state;
	struct manifest target = MANIFEST("README.md=1");
	struct plan_change change = {0};
	assert_int_equal(change_compute(&config, PLAN_BASE_FIRST, NULL, &target, NULL, AUTO_CLASS,
				 &change, NULL),
		0);
	assert_int_equal(change.class, FULL);
	assert_int_equal(change.count, 0);
	assert_true(digest_is_zero(&change.base));
	assert_non_null(strstr(change.reason, "first deployment"));
	assert_actions(&change, RESTART, RESTART, RESTART);
	change_release(&change);

	assert_int_equal(change_compute(&config, PLAN_BASE_UNKNOWN, NULL, &target,
				 "commit abc is not in this clone", AUTO_CLASS, &change, NULL),
		0);
	assert_int_equal(change.class, FULL);
	assert_non_null(strstr(change.reason, "BASE UNKNOWN"));
	assert_non_null(strstr(change.reason, "commit abc is not in this clone"));
	change_release(&change);
	manifest_release(&target);
}

/* Three hosts on two bases, one of them fresh. */
struct fleet {
	struct manifest old, target;
	struct fleet_host hosts[4];
	struct plan_host_state states[4];
};

static char host_names[][5] = {"web1", "web2", "db1", "new"};
static char role_text[] = "role", web_value[] = "web", db_value[] = "db";
static struct fleet_label web_label = {role_text, web_value}, db_label = {role_text, db_value};

static void fleet_init(struct fleet *fleet)
{
	static const char *const down[] = {"worker", NULL};
	*fleet = (struct fleet){.old = MANIFEST("api/a.py=1", "b.md=1"),
		.target = MANIFEST("api/a.py=2", "b.md=1", "c\xff.md=1")};
	for (size_t i = 0; i < 4; i++) {
		fleet->hosts[i] = (struct fleet_host){.name = host_names[i],
			.labels = i == 2 ? &db_label : &web_label,
			.label_count = 1};
		fleet->states[i] = (struct plan_host_state){.host = &fleet->hosts[i],
			.current = fleet->old.digest,
			.base = &fleet->old,
			.known = PLAN_BASE_KNOWN,
			.commit = "0123456789012345678901234567890123456789"};
	}
	fleet->states[2].down = down;
	fleet->states[3] = (struct plan_host_state){
		.host = &fleet->hosts[3], .commit = "", .known = PLAN_BASE_FIRST};
}

static void fleet_release(struct fleet *fleet)
{
	manifest_release(&fleet->old);
	manifest_release(&fleet->target);
}

static struct plan make(const struct fleet *fleet, Fairlead__V1__ActionClass forced)
{
	struct plan plan = {0};
	struct err err = ERR_INIT;
	if (plan_make(&config, &fleet->target, "abcdefabcdefabcdefabcdefabcdefabcdefabcd",
		    fleet->states, 4, forced, &plan, &err) < 0)
		fail_msg("%s", err.message);
	return plan;
}

static void hosts_share_changes_and_get_their_services(void **state)
{
	(void)state;
	AUTO(fleet) struct fleet fleet;
	fleet_init(&fleet);
	AUTO(plan) struct plan plan = make(&fleet, AUTO_CLASS);
	assert_int_equal(plan.change_count, 2);
	assert_int_equal(plan.host_count, 4);
	assert_int_equal(plan_class(&plan), FULL);
	assert_ptr_equal(plan.hosts[0].change, plan.hosts[2].change);
	assert_false(plan_is_nothing(&plan));

	const struct plan_host *web = &plan.hosts[0], *db = &plan.hosts[2];
	assert_int_equal(web->service_count, 2); /* web, worker */
	assert_int_equal(web->actions[0], RESTART);
	assert_int_equal(web->actions[1], LEAVE);
	assert_int_equal(db->service_count, 2);    /* worker, db */
	assert_int_equal(db->actions[0], RESTART); /* is down */
	assert_int_equal(db->actions[1], LEAVE);
	assert_true(digest_is_zero(&plan.hosts[3].from));
	assert_string_equal(plan.hosts[3].commit_from, "");
}

static void a_host_with_the_target_has_nothing_to_do(void **state)
{
	(void)state;
	AUTO(fleet) struct fleet fleet;
	fleet_init(&fleet);
	for (size_t i = 0; i < 4; i++) {
		fleet.states[i].current = fleet.target.digest;
		fleet.states[i].known = PLAN_BASE_UNKNOWN;
		fleet.states[i].base = NULL;
		fleet.states[i].why = "beyond the edge";
	}
	AUTO(plan) struct plan plan = make(&fleet, AUTO_CLASS);
	assert_int_equal(plan.change_count, 1);
	assert_true(plan_host_is_nothing(&plan.hosts[0]));
	assert_false(plan_host_is_nothing(&plan.hosts[2])); /* its worker is down */
	assert_false(plan_is_nothing(&plan));
	plan_release(&plan);
	fleet.states[2].down = NULL;
	plan = make(&fleet, AUTO_CLASS);
	assert_true(plan_is_nothing(&plan));
	plan_release(&plan);
	plan = make(&fleet, FULL);
	assert_false(plan_is_nothing(&plan));
}

static void a_wrong_selector_is_an_error(void **state)
{
	(void)state;
	AUTO(fleet) struct fleet fleet;
	fleet_init(&fleet);
	char wrong[] = "role=";
	struct app_service service = {.name = web_text, .hosts = wrong, .restart_on = APP};
	struct app_config broken = config;
	broken.services = &service;
	broken.service_count = 1;
	struct plan plan = {0};
	struct err err = ERR_INIT;
	assert_int_equal(
		plan_make(&broken, &fleet.target, "x", fleet.states, 4, AUTO_CLASS, &plan, &err),
		-1);
	assert_non_null(strstr(err.message, "services.web.hosts"));
}

static void same_input_same_bytes(void **state)
{
	(void)state;
	AUTO(fleet) struct fleet fleet;
	fleet_init(&fleet);
	char *texts[2];
	struct buf prints[2] = {{0}, {0}};
	for (size_t i = 0; i < 2; i++) {
		AUTO(plan) struct plan plan = make(&fleet, AUTO_CLASS);
		cJSON *json = plan_json(&plan);
		texts[i] = cJSON_PrintUnformatted(json);
		cJSON_Delete(json);
		plan_print(&plan, &prints[i], 0);
	}
	assert_string_equal(texts[0], texts[1]);
	assert_string_equal(buf_str(&prints[0]), buf_str(&prints[1]));
	for (size_t i = 0; i < 2; i++) {
		cJSON_free(texts[i]);
		buf_release(&prints[i]);
	}
}

static void the_print_explains_every_file(void **state)
{
	(void)state;
	AUTO(fleet) struct fleet fleet;
	fleet_init(&fleet);
	AUTO(plan) struct plan plan = make(&fleet, NONE);
	AUTO(buf) struct buf out = {0};
	plan_print(&plan, &out, 0);
	assert_string_equal(buf_str(&out),
		"shop (production): abcdefa, 3 files, 3 B\n"
		"\n"
		"web1, web2: 0123456 → abcdefa\n"
		"  APP_ONLY\n"
		"    M api/a.py  fairlead.yaml:9 api/**  → web\n"
		"  NO_RESTART\n"
		"    A c\\xff.md  built-in *.md\n"
		"  leave    web, worker\n"
		"  NO_RESTART: 'api/a.py' (fairlead.yaml:9 api/**); forced NO_RESTART although "
		"auto found APP_ONLY\n"
		"\n"
		"db1: 0123456 → abcdefa\n"
		"  APP_ONLY\n"
		"    M api/a.py  fairlead.yaml:9 api/**  → web\n"
		"  NO_RESTART\n"
		"    A c\\xff.md  built-in *.md\n"
		"  restart  worker\n"
		"  leave    db\n"
		"  NO_RESTART: 'api/a.py' (fairlead.yaml:9 api/**); forced NO_RESTART although "
		"auto found APP_ONLY\n"
		"\n"
		"new: nothing → abcdefa\n"
		"  leave    web, worker\n"
		"  NO_RESTART: first deployment, no release is installed; forced NO_RESTART "
		"although "
		"auto found FULL_RESTART\n");
}

static void the_json_has_what_the_interface_promises(void **state)
{
	(void)state;
	struct manifest base = MANIFEST("api/a.py=1", "b.md=1");
	struct manifest target = MANIFEST("api/a.py=2", "ü.md=1", "c\xff.md=1");
	struct plan_change change = compute(&base, &target, AUTO_CLASS);
	cJSON *json = change_json(&change, &config);
	char *text = cJSON_PrintUnformatted(json);
	char hex[DIGEST_HEX_SIZE];
	AUTO_FREE char *expected = xasprintf(
		"{\"class\":\"APP_ONLY\",\"found\":\"APP_ONLY\","
		"\"reason\":\"'api/a.py' (fairlead.yaml:9 "
		"api/**)\",\"nothing\":false,\"base\":\"%s\","
		"\"files\":["
		"{\"path\":\"api/a.py\",\"status\":\"changed\",\"rule\":\"fairlead.yaml:9 api/**\","
		"\"class\":\"APP_ONLY\",\"services\":[\"web\"]},"
		"{\"path\":\"b.md\",\"status\":\"removed\",\"rule\":\"built-in *.md\","
		"\"class\":\"NO_RESTART\",\"services\":[]},"
		"{\"path\":\"c\\\\xff.md\",\"status\":\"added\",\"rule\":\"built-in *.md\","
		"\"class\":\"NO_RESTART\",\"services\":[]},"
		"{\"path\":\"ü.md\",\"status\":\"added\",\"rule\":\"built-in *.md\","
		"\"class\":\"NO_RESTART\",\"services\":[]}],"
		"\"services\":[{\"name\":\"web\",\"action\":\"restart\"},"
		"{\"name\":\"worker\",\"action\":\"leave\"},{\"name\":\"db\",\"action\":\"leave\"}]"
		"}",
		digest_hex(&base.digest, hex));
	assert_string_equal(text, expected);
	cJSON_free(text);
	cJSON_Delete(json);
	change_release(&change);
	manifest_release(&base);
	manifest_release(&target);
}

static void long_lists_are_shortened_unless_verbose(void **state)
{
	(void)state;
	struct manifest base = MANIFEST("a=1"), target = {0};
	struct digest digest = digest_of("x", 1);
	for (int i = 0; i < 100; i++) {
		AUTO_FREE char *path = xasprintf("src/%03d", i);
		assert_int_equal(
			manifest_add(&target, path, strlen(path), MANIFEST_EXEC, 1, &digest, NULL),
			0);
	}
	assert_int_equal(manifest_finish(&target, NULL), 0);
	struct plan_change change = compute(&base, &target, AUTO_CLASS);
	AUTO(buf) struct buf out = {0};
	change_print(&change, &config, &out, 0);
	assert_null(strstr(buf_str(&out), "src/099"));
	assert_non_null(strstr(buf_str(&out), "and 61 more"));
	buf_clear(&out);
	change_print(&change, &config, &out, 1);
	assert_non_null(strstr(buf_str(&out), "src/099"));
	change_release(&change);
	manifest_release(&base);
	manifest_release(&target);
}

static void types_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int class;
	} cases[] = {{"auto", AUTO_CLASS}, {"full", FULL}, {"app-only", APP}, {"no-restart", NONE}};
	Fairlead__V1__ActionClass class = AUTO_CLASS;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(plan_parse_type(cases[i].text, &class, NULL), 0);
		assert_int_equal(class, cases[i].class);
		assert_string_equal(plan_type_name(class), cases[i].text);
	}
	struct err err = ERR_INIT;
	assert_int_equal(plan_parse_type("FULL", &class, &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(class_and_services_follow_the_files),
		cmocka_unit_test(a_rename_counts_both_paths),
		cmocka_unit_test(nothing_changed_is_nothing_unless_forced),
		cmocka_unit_test(no_base_is_a_full_restart),
		cmocka_unit_test(hosts_share_changes_and_get_their_services),
		cmocka_unit_test(a_host_with_the_target_has_nothing_to_do),
		cmocka_unit_test(a_wrong_selector_is_an_error),
		cmocka_unit_test(same_input_same_bytes),
		cmocka_unit_test(the_print_explains_every_file),
		cmocka_unit_test(the_json_has_what_the_interface_promises),
		cmocka_unit_test(long_lists_are_shortened_unless_verbose),
		cmocka_unit_test(types_parse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
