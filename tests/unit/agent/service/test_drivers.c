/* What every driver promises (agent/service/service.h), asked of every one that is registered:
 * each has a row here that describes the same service in its own words. */
#include "tests/unit/agent/service/driver_bench.h"

#include <sys/wait.h>

/* Says hello, then sleeps. */
#define SLEEPER "echo hello from $FAIRLEAD_SERVICE; exec sleep 1000"

static void describe_process(struct bench *b)
{
	static const char *const argv[] = {"sh", "-c", SLEEPER, NULL};
	bench_command(b, argv);
}

static void describe_command(struct bench *b)
{
	bench_scripts(b, "sh -c '" SLEEPER "' & echo $! > pid");
}

static void no_command(struct bench *b)
{
	b->process.n_command = 0;
}

static void command_not_there(struct bench *b)
{
	static const char *const argv[] = {"bin/not-there", NULL};
	bench_command(b, argv);
}

static void no_status(struct bench *b)
{
	b->command.n_status = 0;
}

static void stop_not_there(struct bench *b)
{
	b->scripts[1] = pb_borrow("bin/not-there", strlen("bin/not-there"));
}

static const struct fixture {
	const char *driver;
	void (*describe)(struct bench *b);
	/* What is wrong with a plan, and the words of the refusal. */
	struct {
		void (*spoil)(struct bench *b);
		const char *words;
	} bad[2];
} fixtures[] = {
	{"process", describe_process,
		{{no_command, "command"}, {command_not_there, "command 'bin/not-there'"}}},
	{"command", describe_command,
		{{no_status, "script"}, {stop_not_there, "commands.stop 'bin/not-there'"}}},
};

static const struct fixture *fixture_of(const char *driver)
{
	for (size_t i = 0; i < ARRAY_LEN(fixtures); i++)
		if (strcmp(fixtures[i].driver, driver) == 0)
			return &fixtures[i];
	fail_msg("driver '%s' has no row in this test", driver);
	return NULL;
}

/* Each test below runs once for every driver. */
static void for_each(void (*test)(struct bench *b))
{
	for (size_t i = 0; service_drivers[i]; i++) {
		struct bench *b = bench_new(service_drivers[i]->name);
		b->plan.driver = xstrdup(service_drivers[i]->name);
		fixture_of(b->plan.driver)->describe(b);
		test(b);
		fixture_of(b->plan.driver)->describe(b);
		bench_stop(b);
		free(b->plan.driver);
		bench_free(b);
	}
}

static void starts(struct bench *b)
{
	struct err err = ERR_INIT;
	assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, &err), 0);
	bench_ask(b);
	assert_string_equal(b->state, "stopped");
	bench_start_well(b);
	pid_t pid = b->pid;
	assert_true(bench_exists(pid));
	bench_ask(b);
	assert_string_equal(b->state, "running");
	assert_int_equal(b->pid, pid);
	assert_int_equal(b->restarts, 0);
}

static void refuses_to_start_twice(struct bench *b)
{
	bench_start_well(b);
	pid_t pid = b->pid;
	bench_start(b);
	assert_int_not_equal(b->err.code, ERR_NONE);
	assert_non_null(strstr(b->err.message, "already"));
	bench_ask(b);
	assert_string_equal(b->state, "running");
	assert_int_equal(b->pid, pid);
}

static void stops_and_stops_again(struct bench *b)
{
	bench_stop(b); /* never started */
	bench_start_well(b);
	pid_t pid = b->pid;
	bench_stop(b);
	WAIT_UNTIL((void)0, !bench_exists(pid));
	bench_stop(b);
	bench_ask(b);
	assert_string_equal(b->state, "stopped");
	assert_int_equal(b->pid, 0);
}

static void sees_a_crash(struct bench *b)
{
	bench_start_well(b);
	kill(b->pid, SIGKILL);
	WAIT_UNTIL(bench_ask(b), strcmp(b->state, "running") != 0);
	assert_int_equal(b->err.code, ERR_NONE);
	assert_string_equal(b->state, "failed");
	assert_true(strlen(b->message) > 0);
	bench_stop(b);
}

static void a_restart_changes_the_identity(struct bench *b)
{
	bench_start_well(b);
	pid_t before = b->pid;
	bench_stop_for(b, SERVICE_STARTS_AGAIN);
	bench_start_well(b);
	assert_int_not_equal(b->pid, before);
	bench_ask(b);
	assert_int_equal(b->restarts, 0); /* it was asked for */
}

static void outlives_the_agent(struct bench *b)
{
	pid_t agent = fork();
	if (agent == 0) {
		/* Another agent in a process of its own, which then is killed. */
		uv_loop_t loop;
		uv_loop_init(&loop);
		b->context.loop = &loop;
		b->ops->start(&b->context, &b->plan, &b->release, bench_on_done, b, NULL);
		while (!b->answered)
			uv_run(&loop, UV_RUN_ONCE);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(agent, NULL, 0), agent);
	bench_ask(b);
	assert_string_equal(b->state, "running");
	assert_true(bench_exists(b->pid));
}

static void keeps_a_log(struct bench *b)
{
	struct err err = ERR_INIT;
	int fd = -1;
	assert_int_equal(b->ops->open_log(&b->context, &b->plan, 0, &fd, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	bench_start_well(b);
	AUTO(buf) struct buf log = {0};
	WAIT_UNTIL(bench_log(b, &log), strstr(buf_str(&log), "hello from web\n"));
	assert_int_equal(b->ops->open_log(&b->context, &b->plan, 1, &fd, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void names_what_is_wrong(struct bench *b)
{
	const struct fixture *fixture = fixture_of(b->plan.driver);
	for (size_t i = 0; i < ARRAY_LEN(fixture->bad); i++) {
		struct err err = ERR_INIT;
		fixture->describe(b);
		fixture->bad[i].spoil(b);
		assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
		if (!strstr(err.message, fixture->bad[i].words))
			fail_msg("'%s' does not say '%s'", err.message, fixture->bad[i].words);
	}
	fixture->describe(b);
	b->plan.name = pb_str("../evil");
	assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, NULL), -1);
	assert_int_equal(b->ops->status(&b->context, &b->plan, bench_on_done, b, NULL), -1);
	b->plan.name = pb_str("web");
}

#define FOR_EACH_DRIVER(test)                                                                      \
	static void every_driver_##test(void **state)                                              \
	{                                                                                          \
		(void)state;                                                                       \
		for_each(test);                                                                    \
	}
FOR_EACH_DRIVER(starts)
FOR_EACH_DRIVER(refuses_to_start_twice)
FOR_EACH_DRIVER(stops_and_stops_again)
FOR_EACH_DRIVER(sees_a_crash)
FOR_EACH_DRIVER(a_restart_changes_the_identity)
FOR_EACH_DRIVER(outlives_the_agent)
FOR_EACH_DRIVER(keeps_a_log)
FOR_EACH_DRIVER(names_what_is_wrong)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_driver_starts),
		cmocka_unit_test(every_driver_refuses_to_start_twice),
		cmocka_unit_test(every_driver_stops_and_stops_again),
		cmocka_unit_test(every_driver_sees_a_crash),
		cmocka_unit_test(every_driver_a_restart_changes_the_identity),
		cmocka_unit_test(every_driver_outlives_the_agent),
		cmocka_unit_test(every_driver_keeps_a_log),
		cmocka_unit_test(every_driver_names_what_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
