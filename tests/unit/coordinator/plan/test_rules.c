#include "common/base/mem.h"
#include "coordinator/plan/plan.h"
#include "coordinator/plan/rules.h"

#include <setjmp.h>

#include <cmocka.h>

#define NONE FAIRLEAD__V1__ACTION_CLASS__NO_RESTART
#define APP FAIRLEAD__V1__ACTION_CLASS__APP_ONLY
#define FULL FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART

static char config_path[] = "sub/fairlead.yaml";

static void built_in_rules_decide(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		int class;
	} cases[] = {
		{"docker-compose.yml", FULL},
		{"docker-compose.prod.yaml", FULL},
		{"deploy/docker-compose.override.yml", FULL},
		{"compose.yaml", FULL},
		{"Dockerfile", FULL},
		{"Dockerfile.dev", FULL},
		{"api/Dockerfile", FULL},
		{"worker.Dockerfile", FULL},
		{".dockerignore", FULL},
		{"requirements.txt", FULL},
		{"requirements-dev.txt", FULL},
		{"src/requirements.txt", FULL},
		{"docs/requirements.txt", FULL},
		{"requirements/base.txt", FULL},
		{"pyproject.toml", FULL},
		{"poetry.lock", FULL},
		{"Pipfile.lock", FULL},
		{"setup.py", FULL},
		{"package.json", FULL},
		{"package-lock.json", FULL},
		{"web/yarn.lock", FULL},
		{"go.sum", FULL},
		{"go.mod", FULL},
		{"Cargo.lock", FULL},
		{"Gemfile.lock", FULL},
		{"build.gradle", FULL},
		{"build.gradle.kts", FULL},
		{"schema.sql", FULL},
		{"db/queries/a.sql", FULL},
		{"sql_scripts/001_init.sh", FULL},
		{"shop/migrations/0001_initial.py", FULL},
		{"db/migrate/1.rb", FULL},
		{".env", FULL},
		{".env.production", FULL},
		{"config/prod.env", FULL},
		{"Procfile", FULL},
		{"deploy/shop.service", FULL},
		{"railway.json", FULL},
		{"src/app.py", APP},
		{"src/README.md", APP},
		{"main.py", APP},
		{"docs/conf.py", APP},
		{"prompts/system.txt", APP},
		{"prompts/system.md", APP},
		{"prompts-by-scenario/a/b.txt", APP},
		{"services/api/src/data.bin", APP},
		{"app/templates/mail.txt", APP},
		{"bin/serve", APP},
		{"web/index.js", APP},
		{"cmd/main.go", APP},
		{"fairlead.yaml", APP},
		{"data/model.bin", APP},
		{"unknown", APP},
		{"Makefile", APP},
		{".github/workflows/deploy.yml", APP},
		{"README.md", NONE},
		{"README", NONE},
		{"CHANGELOG.md", NONE},
		{"LICENSE", NONE},
		{"guide.rst", NONE},
		{"notes.txt", NONE},
		{"docs/logo.png", NONE},
		{"api/docs/a/b.html5", NONE},
		{".gitignore", NONE},
		{"sub/.gitignore", NONE},
		{".env.template", NONE},
		{"config/.env.template", NONE},
		{".env.production.example", NONE},
		{"fleet.yaml", NONE},
	};
	const struct app_config config = {.path = config_path, .builtin_rules = true};
	struct rules *rules = NULL;
	assert_int_equal(rules_new(&config, &rules, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct decision decision = rules_decide(rules, cases[i].path);
		if (decision.class != (Fairlead__V1__ActionClass)cases[i].class)
			fail_msg("%s: %s by %s", cases[i].path, plan_class_name(decision.class),
				decision.pattern ? decision.pattern : "no rule");
	}
	rules_free(rules);
}

static void configured_rules_come_first(void **state)
{
	(void)state;
	char docs[] = "docs/**", sql[] = "*.sql";
	char *match_docs[] = {docs, NULL}, *match_sql[] = {sql, NULL};
	struct app_rule own[] = {
		{.match = match_docs, .class = FULL, .line = 12},
		{.match = match_sql, .class = NONE, .line = 13},
	};
	struct app_config config = {
		.path = config_path, .builtin_rules = true, .rules = own, .rule_count = 2};
	struct rules *rules = NULL;
	assert_int_equal(rules_new(&config, &rules, NULL), 0);
	assert_ptr_equal(rules_decide(rules, "docs/a.sql").rule, &own[0]);
	assert_ptr_equal(rules_decide(rules, "a.sql").rule, &own[1]);
	assert_int_equal(rules_decide(rules, "README.md").class, NONE);
	rules_free(rules);

	config.builtin_rules = false;
	assert_int_equal(rules_new(&config, &rules, NULL), 0);
	assert_null(rules_decide(rules, "README.md").rule);
	assert_int_equal(rules_decide(rules, "README.md").class, APP);
	rules_free(rules);
}

static void a_wrong_pattern_names_its_line(void **state)
{
	(void)state;
	char wrong[] = "[a";
	char *match[] = {wrong, NULL};
	struct app_rule own = {.match = match, .class = FULL, .line = 7};
	const struct app_config config = {.path = config_path, .rules = &own, .rule_count = 1};
	struct rules *rules = NULL;
	struct err err = ERR_INIT;
	assert_int_equal(rules_new(&config, &rules, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_non_null(strstr(err.message, "sub/fairlead.yaml:7: "));
	assert_non_null(strstr(err.message, "\"[a\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_in_rules_decide),
		cmocka_unit_test(configured_rules_come_first),
		cmocka_unit_test(a_wrong_pattern_names_its_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
