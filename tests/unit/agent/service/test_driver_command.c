/* The user's own scripts: their deadlines, their statuses, and how far they are believed. */
#include "agent/service/command_record.h"
#include "agent/service/command_status.h"
#include "tests/unit/agent/service/driver_bench.h"

static int setup(void **state)
{
	struct bench *b = bench_new("command");
	bench_scripts(b, "sleep 1000 & echo $! > pid");
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	bench_scripts(b, "true");
	bench_stop(b);
	bench_free(b);
	return 0;
}

static pid_t number_in(const struct bench *b, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", b->release_path, name);
	AUTO(buf) struct buf text = {0};
	if (file_read(AT_FDCWD, path, 64, &text, NULL) < 0 || !strchr(buf_str(&text), '\n'))
		return 0;
	return (pid_t)strtol(buf_str(&text), NULL, 10);
}

static void assert_says(const struct bench *b, const char *words)
{
	assert_int_not_equal(b->err.code, ERR_NONE);
	if (!strstr(b->err.message, words))
		fail_msg("'%s' does not say '%s'", b->err.message, words);
}

static void a_start_that_fails_says_its_last_words(void **state)
{
	struct bench *b = *state;
	bench_script(
		b, "bin/start", "echo first; sleep 1000 & echo $! > child; echo no disk; exit 7");
	bench_start(b);
	assert_says(b, "its start script exited with status 7: no disk");
	/* And leaves nothing. */
	WAIT_UNTIL((void)0, !bench_exists(number_in(b, "child")));
	bench_ask(b);
	assert_string_equal(b->state, "stopped");
	AUTO(buf) struct buf log = {0};
	bench_log(b, &log);
	assert_non_null(strstr(buf_str(&log), "first\nno disk\n"));
}

static void a_deadline_ends_the_whole_tree(void **state)
{
	struct bench *b = *state;
	bench_script(b, "bin/start",
		"setsid sh -c 'trap \"\" TERM; echo $$ > child; sleep 1000; sleep 1000' &\n"
		"while ! test -s child; do sleep 0.01; done; sleep 1000");
	b->command.start_timeout_ms = 3000;
	bench_start(b);
	assert_says(b, "its start script was not over in time");
	pid_t child = number_in(b, "child");
	assert_true(child > 1);
	WAIT_UNTIL((void)0, !bench_exists(child));
}

static void a_script_that_writes_without_end_is_ended(void **state)
{
	struct bench *b = *state;
	bench_start_well(b);
	bench_script(b, "bin/status", "while :; do echo much too much for anybody to read; done");
	bench_ask(b);
	assert_says(b, "its status script");
	bench_scripts(b, "true");
}

static void a_stop_that_stops_nothing_is_a_failure(void **state)
{
	struct bench *b = *state;
	bench_start_well(b);
	bench_script(b, "bin/stop", "exit 0");
	b->plan.stop_timeout_ms = 300;
	assert_int_equal(
		b->ops->stop(&b->context, &b->plan, SERVICE_ENDS, bench_on_done, b, NULL), 0);
	bench_wait(b);
	assert_says(b, "it still runs, pid");
	b->plan.stop_timeout_ms = 30000;
}

static void a_restart_counts_when_the_process_is_another_one(void **state)
{
	struct bench *b = *state;
	bench_start_well(b);
	pid_t first = b->pid;
	for (int i = 0; i < 2; i++) {
		bench_ask(b);
		assert_int_equal(b->restarts, 0);
	}
	/* Somebody else starts it again. */
	bench_script(b, "bin/again", "sleep 1000 & echo $! > pid.new; mv pid.new pid");
	AUTO_FREE char *again = xasprintf("cd %s && bin/again", b->release_path);
	FILE *run = popen(again, "r");
	assert_non_null(run);
	WAIT_UNTIL((void)0, number_in(b, "pid") && number_in(b, "pid") != first);
	kill(first, SIGKILL);
	for (int i = 0; i < 2; i++) {
		bench_ask(b);
		assert_string_equal(b->state, "running");
		assert_int_not_equal(b->pid, first);
		assert_int_equal(b->restarts, 1);
	}
	bench_stop(b);
	pclose(run);
}

static void the_environment_is_as_documented(void **state)
{
	struct bench *b = *state;
	bench_script(b, "bin/start",
		"{ echo $FAIRLEAD_ACTION $FAIRLEAD_SERVICE $FAIRLEAD_RELEASE; pwd -P; } > env\n"
		"sleep 1000 & echo $! > pid");
	bench_start_well(b);
	char hex[DIGEST_HEX_SIZE];
	AUTO_FREE char *path = xasprintf("%s/env", b->release_path);
	AUTO_FREE char *want =
		xasprintf("start web %s\n%s\n", digest_hex(&b->release, hex), b->release_path);
	AUTO(buf) struct buf text = {0};
	assert_int_equal(file_read(AT_FDCWD, path, 4096, &text, NULL), 0);
	assert_string_equal(buf_str(&text), want);
}

static void its_own_log_is_shown(void **state)
{
	struct bench *b = *state;
	b->command.log_file = pb_borrow("app.log", strlen("app.log"));
	bench_script(b, "bin/start",
		"echo mine > app.log; ln -s app.log app.log.1\n"
		"sleep 1000 & echo $! > pid");
	bench_start_well(b);
	AUTO(buf) struct buf log = {0};
	bench_log(b, &log);
	assert_string_equal(buf_str(&log), "mine\n");
	int fd = -1; /* a link is not followed */
	assert_int_equal(b->ops->open_log(&b->context, &b->plan, 1, &fd, NULL), -1);
}

static void statuses_mean_what_lsb_says(void **state)
{
	(void)state;
	static const struct {
		int status, signal, timed_out;
		int state; /* -1: it says nothing */
	} cases[] = {
		{0, 0, 0, COMMAND_RUNNING},
		{1, 0, 0, COMMAND_DEAD},
		{2, 0, 0, COMMAND_DEAD},
		{3, 0, 0, COMMAND_STOPPED},
		{4, 0, 0, -1},
		{127, 0, 0, -1},
		{0, 9, 0, -1},
		{0, 0, 1, -1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		Fairlead__V1__ScriptEnd end = FAIRLEAD__V1__SCRIPT_END__INIT;
		struct command_status found;
		end.status = cases[i].status;
		end.signal = cases[i].signal;
		end.timed_out = cases[i].timed_out;
		int rc = command_status_read(&end, &found, NULL);
		assert_int_equal(rc < 0 ? -1 : (int)found.state, cases[i].state);
	}
}

static void a_pid_is_a_line_of_its_own(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		pid_t pid;
	} cases[] = {
		{"pid=42\n", 42},
		{"web is running\npid=42", 42},
		{"pid=1\npid=42\nmore\n", 42},
		{"", 0},
		{"pid=\n", 0},
		{"pid=x\n", 0},
		{"pid=42 \n", 0},
		{"the pid=42\n", 0},
		{"pid=-1\n", 0},
		{"pid=99999999999999\n", 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			command_status_pid(cases[i].text, strlen(cases[i].text)), cases[i].pid);
}

static void a_torn_record_is_none(void **state)
{
	struct bench *b = *state;
	struct command_record record;
	static const char *const torn[] = {"", "\n", "abc 1 2 3 x\n", "0123456789abcdef"};
	for (size_t i = 0; i < ARRAY_LEN(torn); i++)
		assert_int_equal(command_record_parse(torn[i], &record), -1);
	bench_start_well(b);
	assert_int_equal(command_record_read(&b->store, "web", &record, NULL), 0);
	assert_int_equal(record.pid, b->pid);
	assert_true(digest_equal(&record.release, &b->release));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_start_that_fails_says_its_last_words),
		TEST(a_deadline_ends_the_whole_tree),
		TEST(a_script_that_writes_without_end_is_ended),
		TEST(a_stop_that_stops_nothing_is_a_failure),
		TEST(a_restart_counts_when_the_process_is_another_one),
		TEST(the_environment_is_as_documented),
		TEST(its_own_log_is_shown),
		cmocka_unit_test(statuses_mean_what_lsb_says),
		cmocka_unit_test(a_pid_is_a_line_of_its_own),
		TEST(a_torn_record_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
