/* `fairlead init` on folders of several kinds: what it writes must load, and mean what is there. */
#include "common/base/mem.h"
#include "common/os/file.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/environments.h"

#include <setjmp.h>
#include <sys/stat.h>

#include <cmocka.h>

struct sandbox {
	char dir[32];
	int before; /* the working directory to come back to */
};

static int setup(void **state)
{
	struct sandbox *sandbox = xcalloc(1, sizeof(*sandbox));
	snprintf(sandbox->dir, sizeof(sandbox->dir), "/tmp/fairlead-init-XXXXXX");
	sandbox->before = open_dir(".", NULL);
	if (!mkdtemp(sandbox->dir) || chdir(sandbox->dir) < 0)
		return -1;
	*state = sandbox;
	return sodium_init() < 0;
}

static int teardown(void **state)
{
	struct sandbox *sandbox = *state;
	int rc = fchdir(sandbox->before);
	close(sandbox->before);
	tree_remove(AT_FDCWD, sandbox->dir, NULL);
	free(sandbox);
	return rc;
}

static void put(const char *path, const char *content, mode_t mode)
{
	AUTO_FREE char *parent = xstrdup(path);
	char *slash = strrchr(parent, '/');
	if (slash) {
		*slash = '\0';
		assert_int_equal(make_dirs(parent, 0755, NULL), 0);
	}
	assert_int_equal(file_write_atomic(AT_FDCWD, path, BYTES_STR(content), mode, NULL), 0);
}

static void init_and_load(struct app_config *ret)
{
	const struct options options = {.force = true};
	struct err err = ERR_INIT;
	if (command_init.run(&options, &err) < 0 ||
		app_config_load("fairlead.yaml", NULL, ret, &err) < 0)
		fail_msg("%s", err.message);
	struct fleet_config fleet = {0};
	if (fleet_config_load("fleet.yaml", &fleet, &err) < 0)
		fail_msg("%s", err.message);
	fleet_config_release(&fleet);
}

/* The command of service `index`, its words joined by '|'. */
static void assert_command(const struct app_config *config, size_t index, const char *expected)
{
	assert_true(index < config->service_count);
	const Fairlead__V1__ProcessSpec *process = config->services[index].plan->process;
	AUTO(buf) struct buf joined = {0};
	for (size_t i = 0; i < process->n_command; i++) {
		buf_append_str(&joined, i ? "|" : "");
		buf_append(&joined, process->command[i].data, process->command[i].len);
	}
	assert_string_equal(buf_str(&joined), expected);
}

static void what_starts_the_app_is_found(void **state)
{
	(void)state;
	static const struct {
		const char *path, *content;
		mode_t mode;
		const char *command;
	} cases[] = {
		{"server.js", "", 0644, "node|server.js"},
		{"main.py", "", 0644, "python3|main.py"},
		{"src/server.py", "", 0755, "src/server.py"},
		{"bin/serve", "", 0755, "bin/serve"},
		{"package.json", "{\"scripts\": {\"start\": \"node x\"}}", 0644, "npm|start"},
		{"Procfile", "web: bin/web --port 80\n", 0644, "bin/web|--port|80"},
	};
	/* Each is likelier than those before it. */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct app_config config = {0};
		put(cases[i].path, cases[i].content, cases[i].mode);
		init_and_load(&config);
		assert_int_equal(config.service_count, 1);
		assert_command(&config, 0, cases[i].command);
		app_config_release(&config);
	}
}

static void a_procfile_gives_a_service_per_line(void **state)
{
	(void)state;
	struct app_config config = {0};
	put("Procfile",
		"# comment\nrelease: ./migrate\nweb: run ${PORT:-80} \"a\\b\"\r\nbad name: x\n"
		"worker: bin/work\n",
		0644);
	init_and_load(&config);
	assert_int_equal(config.service_count, 2);
	assert_string_equal(config.services[0].name, "web");
	assert_non_null(strstr(
		(const char *)config.services[0].plan->process->command[2].data, "exec run "));
	assert_int_equal(config.services[0].plan->process->n_env, 1);
	assert_string_equal(config.services[1].name, "worker");
	assert_command(&config, 1, "bin/work");
	app_config_release(&config);
}

static void the_health_check_of_a_container_is_taken_over(void **state)
{
	(void)state;
	struct app_config config = {0};
	put("app.py", "", 0644);
	put("Dockerfile", "HEALTHCHECK CMD curl -f http://localhost:3000/api/health || exit 1\n",
		0644);
	init_and_load(&config);
	const Fairlead__V1__ServicePlan *plan = config.services[0].plan;
	assert_int_equal(plan->n_probes, 1);
	assert_string_equal(plan->probes[0]->http->url, "http://127.0.0.1:3000/api/health");
	app_config_release(&config);

	/* A port that is a variable is not guessed. */
	put("Dockerfile", "HEALTHCHECK CMD curl -f http://localhost:${PORT}/health\n", 0644);
	init_and_load(&config);
	assert_non_null(config.services[0].plan->probes[0]->running);
	app_config_release(&config);
}

static void an_empty_folder_and_an_odd_one_will_do(void **state)
{
	(void)state;
	struct app_config config = {0};
	init_and_load(&config);
	assert_int_equal(config.service_count, 0);
	app_config_release(&config);

	put("package.json", "{not json", 0644);
	put("Procfile", "no colon\n\xff\xfe: x\n", 0644);
	put("odd\n/migrations/x", "", 0644);
	put("data/x", "", 0644);
	put(".env.template", "", 0644);
	init_and_load(&config);
	assert_int_equal(config.service_count, 0);
	assert_string_equal(config.shared_dirs[0], "data");
	assert_string_equal(config.shared_files[0], ".env");
	app_config_release(&config);
}

static void nothing_is_overwritten(void **state)
{
	(void)state;
	const struct options careful = {0}, forced = {.force = true};
	struct err err = ERR_INIT;
	put("fairlead.yaml", "mine", 0644);
	assert_int_equal(command_init.run(&careful, &err), -1);
	assert_int_equal(err.code, ERR_EXISTS);
	assert_non_null(strstr(err.hint, "--force"));
	put("fleet.yaml", "hosts: {}", 0644);
	assert_int_equal(command_init.run(&forced, &err), 0);
	AUTO(buf) struct buf fleet = {0};
	assert_int_equal(file_read(AT_FDCWD, "fleet.yaml", 100, &fleet, NULL), 0);
	assert_string_equal(buf_str(&fleet), "hosts: {}");
}

static void any_environment_will_do_to_look(void **state)
{
	(void)state;
	struct app_config config = {0};
	struct err err = ERR_INIT;
	put("fairlead.yaml", "version: 1\napp: a\nenvironments: { b: {}, c: {} }\n", 0644);
	assert_int_equal(environments_load_any("fairlead.yaml", NULL, &config, &err), 0);
	assert_string_equal(config.environment, "b");
	app_config_release(&config);
	assert_int_equal(environments_load_any("fairlead.yaml", "c", &config, &err), 0);
	assert_string_equal(config.environment, "c");
	app_config_release(&config);
	assert_int_equal(environments_load_any("fairlead.yaml", "d", &config, &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
	assert_int_equal(environments_load_any("nowhere", NULL, &config, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(what_starts_the_app_is_found),
		TEST(a_procfile_gives_a_service_per_line),
		TEST(the_health_check_of_a_container_is_taken_over),
		TEST(an_empty_folder_and_an_odd_one_will_do),
		TEST(nothing_is_overwritten),
		TEST(any_environment_will_do_to_look),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
