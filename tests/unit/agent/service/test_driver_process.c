/* The process driver with the real fairlead-shim. */
#include "agent/shim/control.h"
#include "agent/shim/pidfile.h"
#include "common/os/spawn.h"
#include "tests/unit/agent/service/driver_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

static int setup(void **state)
{
	struct bench *b = bench_new("process");
	b->process.limits = &b->limits;
	b->plan.stop_timeout_ms = 10000;
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	bench_stop(*state);
	bench_free(*state);
	return 0;
}

static void shell(struct bench *b, const char *script)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	bench_command(b, argv);
}

/* A number that the service wrote to `name` in its release; 0 while it has not. */
static pid_t number_in(const struct bench *b, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", b->release_path, name);
	AUTO(buf) struct buf text = {0};
	if (file_read(AT_FDCWD, path, 64, &text, NULL) < 0 || !strchr(buf_str(&text), '\n'))
		return 0;
	return (pid_t)strtol(buf_str(&text), NULL, 10);
}

static pid_t shim_of(pid_t service)
{
	struct process process;
	assert_int_equal(process_read(service, &process, NULL), 0);
	return process.parent;
}

static void starts_says_so_and_stops(void **state)
{
	struct bench *b = *state;
	bench_ask(b);
	assert_string_equal(b->state, "stopped");
	shell(b, "echo hello from $FAIRLEAD_SERVICE in $PWD; echo err >&2; exec sleep 1000");
	bench_start_well(b);
	pid_t pid = b->pid;
	assert_int_equal(getsid(pid), pid);
	bench_ask(b);
	assert_string_equal(b->state, "running");
	assert_int_equal(b->pid, pid);
	AUTO(buf) struct buf log = {0};
	AUTO_FREE char *line = xasprintf("\nhello from web in %s\nerr\n", b->release_path);
	WAIT_UNTIL(bench_log(b, &log), strstr(buf_str(&log), line));
	pid_t shim = shim_of(pid);
	bench_stop(b);
	assert_false(bench_exists(pid));
	WAIT_UNTIL((void)0, !bench_exists(shim));
	bench_ask(b);
	assert_string_equal(b->state, "stopped");
	bench_stop(b); /* again is fine */
}

static void a_second_supervisor_is_refused(void **state)
{
	struct bench *b = *state;
	shell(b, "exec sleep 1000");
	bench_start_well(b);
	pid_t pid = b->pid;
	bench_start(b);
	assert_true(err_is_of_host(&b->err)); /* the release is not to blame */
	assert_non_null(strstr(b->err.message, "already"));
	bench_ask(b);
	assert_int_equal(b->pid, pid);
}

static void a_missing_command_is_said_at_once(void **state)
{
	struct bench *b = *state;
	static const struct {
		const char *command, *message;
	} cases[] = {
		{"bin/x", "cannot execute 'bin/x': No such file or directory"},
		{"no-such-program", "cannot execute 'no-such-program': No such file"},
		{"/etc", "cannot execute '/etc': Permission denied"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *const argv[] = {cases[i].command, NULL};
		bench_command(b, argv);
		struct err err = ERR_INIT;
		assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_non_null(strstr(err.message, cases[i].command));
		bench_start(b);
		assert_int_equal(b->err.code, ERR_FAILED);
		assert_non_null(strstr(b->err.message, cases[i].message));
		bench_ask(b);
		assert_string_equal(b->state, "stopped");
	}
}

static void bad_plans_are_refused(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	shell(b, "true");
	assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, &err), 0);
	b->plan.stop_signal = pb_str("SIGTERM");
	assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, &err), -1);
	assert_non_null(strstr(err.message, "SIGTERM"));
	b->plan.stop_signal = pb_str("INT");
	b->restart.policy = pb_str("sometimes");
	assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, &err), -1);
	assert_non_null(strstr(err.message, "sometimes"));
	b->restart.policy = pb_str("always");
	b->process.user = pb_str("no-such-user-here");
	assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, &err), 0);
	b->context.may_change_user = 1;
	assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_non_null(strstr(err.message, "no-such-user-here"));
	b->plan.name = pb_str("../evil");
	assert_int_equal(b->ops->check(&b->context, &b->plan, b->release_path, &err), -1);
	assert_int_equal(b->ops->status(&b->context, &b->plan, bench_on_done, b, &err), -1);
	b->plan.name = pb_str("web");
}

static void failures_are_retried_and_then_given_up(void **state)
{
	struct bench *b = *state;
	shell(b, "echo $$ >> runs; exit 3");
	b->restart.policy = pb_str("on-failure");
	b->restart.max_retries = 2;
	b->restart.backoff_ms = 60;
	uint64_t began = clock_mono_ms();
	bench_start_well(b);
	WAIT_UNTIL(bench_ask(b), strcmp(b->state, "failed") == 0);
	assert_true(clock_mono_ms() - began >= 60 + 120);
	assert_string_equal(b->message, "exited with status 3");
	assert_int_equal(b->restarts, 2);
	AUTO_FREE char *path = xasprintf("%s/runs", b->release_path);
	AUTO(buf) struct buf runs = {0};
	assert_int_equal(file_read(AT_FDCWD, path, 4096, &runs, NULL), 0);
	size_t lines = 0;
	for (size_t i = 0; i < runs.len; i++)
		lines += runs.data[i] == '\n';
	assert_int_equal(lines, 3);
}

static void a_killed_service_comes_back_another_one(void **state)
{
	struct bench *b = *state;
	shell(b, "exec sleep 1000");
	b->restart.policy = pb_str("on-failure");
	b->restart.max_retries = 3;
	b->restart.backoff_ms = 50;
	bench_start_well(b);
	pid_t before = b->pid;
	kill(before, SIGKILL);
	WAIT_UNTIL(bench_ask(b), strcmp(b->state, "running") == 0 && b->pid != before);
	assert_int_equal(b->restarts, 1);
}

static void a_good_end_rests(void **state)
{
	struct bench *b = *state;
	shell(b, "exit 0");
	b->restart.policy = pb_str("on-failure");
	b->restart.max_retries = 3;
	bench_start_well(b);
	WAIT_UNTIL(bench_ask(b), strcmp(b->state, "stopped") == 0);
	assert_string_equal(b->message, "exited with status 0");
}

static void nothing_of_a_service_is_left(void **state)
{
	struct bench *b = *state;
	/* A grandchild in a session of its own that ignores TERM. */
	shell(b, "setsid sh -c 'trap \"\" TERM; (echo $$ > inner); while :; do sleep 1; done' & "
		 "sleep 1000");
	b->plan.stop_timeout_ms = 100;
	bench_start_well(b);
	pid_t inner = 0;
	WAIT_UNTIL(inner = number_in(b, "inner"), inner);
	assert_int_not_equal(getsid(inner), b->pid);
	bench_stop(b);
	assert_false(bench_exists(inner));
}

static void one_that_ignores_term_is_killed_in_time(void **state)
{
	struct bench *b = *state;
	shell(b, "trap '' TERM; (echo $$ > ready); while :; do sleep 1; done");
	b->plan.stop_timeout_ms = 200;
	bench_start_well(b);
	WAIT_UNTIL((void)0, number_in(b, "ready"));
	uint64_t began = clock_mono_ms();
	bench_stop(b);
	uint64_t took = clock_mono_ms() - began;
	assert_true(took >= 200);
	assert_true(took < 10000); /* the time it would have without a limit of its own */
	assert_false(bench_exists(b->pid));
}

static void what_a_crash_leaves_is_gone_before_the_restart(void **state)
{
	struct bench *b = *state;
	shell(b, "sleep 1000 & echo $! >> child; test -f again && sleep 1000; touch again; exit 1");
	b->restart.policy = pb_str("on-failure");
	b->restart.max_retries = 1;
	bench_start_well(b);
	pid_t child = 0;
	WAIT_UNTIL(child = number_in(b, "child"), child);
	WAIT_UNTIL(bench_ask(b), strcmp(b->state, "running") == 0 && b->restarts == 1);
	assert_false(bench_exists(child));
}

static void it_outlives_the_agent(void **state)
{
	struct bench *b = *state;
	shell(b, "exec sleep 1000");
	pid_t agent = fork();
	if (agent == 0) {
		/* Another agent in a process of its own, which then is killed. */
		uv_loop_t loop;
		uv_loop_init(&loop);
		b->context.loop = &loop;
		b->answered = 0;
		b->ops->start(&b->context, &b->plan, &b->release, bench_on_done, b, NULL);
		while (!b->answered)
			uv_run(&loop, UV_RUN_ONCE);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(agent, NULL, 0), agent);
	bench_ask(b);
	assert_string_equal(b->state, "running");
	assert_true(bench_exists(b->pid));
	bench_stop(b);
}

static void a_service_without_its_shim_is_found_and_stopped(void **state)
{
	struct bench *b = *state;
	shell(b, "trap '' TERM; sleep 1000 & echo $! > child; while :; do sleep 1; done");
	b->plan.stop_timeout_ms = 100;
	bench_start_well(b);
	pid_t pid = b->pid, child = 0, shim = shim_of(pid);
	WAIT_UNTIL(child = number_in(b, "child"), child);
	kill(shim, SIGKILL);
	WAIT_UNTIL((void)0, !bench_exists(shim));
	bench_ask(b);
	assert_string_equal(b->state, "running");
	assert_string_equal(b->message, "its supervisor is gone");
	assert_int_equal(b->pid, pid);
	bench_stop(b);
	assert_false(bench_exists(pid));
	assert_false(bench_exists(child));
}

static void say_running(void *user, Fairlead__V1__ServiceStatus *ret)
{
	(void)user;
	ret->name = pb_str("web");
	ret->driver = pb_str("process");
	ret->state = pb_str("running");
	ret->pid = getpid();
}

static void end_at_once(void *user, enum control_stop how)
{
	(void)user, (void)how;
	_exit(0);
}

/* A supervisor that hangs up on the first question unheard, and then answers. */
static void serve_all_but_the_first(struct control *control)
{
	const struct control_calls calls = {.status = say_running, .stop = end_at_once};
	close(accept(control->listen_fd, NULL, NULL));
	for (;;) {
		struct pollfd fds[CONTROL_FDS];
		control_fds(control, fds);
		if (poll(fds, CONTROL_FDS, -1) > 0)
			control_serve(control, fds, &calls);
	}
}

static void a_lost_question_is_asked_again(void **state)
{
	struct bench *b = *state;
	struct control control;
	AUTO_FREE char *folder = xasprintf("%s/state/services", b->store.path);
	AUTO_FREE char *path = xasprintf("%s/web.sock", folder);
	assert_int_equal(make_dirs(folder, 0755, NULL), 0);
	assert_int_equal(control_open(&control, path, NULL), 0);
	fcntl(control.listen_fd, F_SETFL, 0);
	pid_t supervisor = fork();
	if (supervisor == 0)
		serve_all_but_the_first(&control);
	control_release(&control);
	bench_ask(b);
	assert_string_equal(b->state, "running");
	assert_int_equal(b->pid, supervisor);
	kill(supervisor, SIGKILL);
	waitpid(supervisor, NULL, 0);
}

static void a_reused_pid_is_left_alone(void **state)
{
	struct bench *b = *state;
	/* A process that only has the pid which the file names. */
	const char *argv[] = {"sleep", "1000", NULL};
	struct spawn spawn = {.program = "/bin/sleep", .argv = argv, .place = SPAWN_SESSION};
	struct spawned other = SPAWNED_INIT;
	assert_int_equal(spawn_run(&spawn, &other, NULL), 0);
	AUTO_FREE char *dir = xasprintf("%s/state/services", b->store.path);
	assert_int_equal(make_dirs(dir, 0700, NULL), 0);
	AUTO_CLOSE int dirfd = open_dir(dir, NULL);
	assert_int_equal(pidfile_write(dirfd, "web.pid", other.pid, "x", NULL), 0);
	bench_ask(b);
	assert_string_equal(b->state, "running"); /* the file is understood */

	struct pidfile file;
	assert_int_equal(pidfile_read(dirfd, "web.pid", &file, NULL), 0);
	AUTO_FREE char *earlier = xasprintf(
		"%d %llu %s x\n", file.pid, (unsigned long long)file.start_ticks - 1, file.boot);
	AUTO_FREE char *other_boot = xasprintf("%d %llu 00000000-0000-0000-0000-000000000000 x\n",
		file.pid, (unsigned long long)file.start_ticks);
	const char *const lines[] = {earlier, other_boot};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		assert_int_equal(
			file_write_atomic(dirfd, "web.pid", BYTES_STR(lines[i]), 0600, NULL), 0);
		bench_stop(b);
		assert_true(bench_exists(other.pid));
	}
	spawn_kill(&other, SIGKILL);
	waitpid(other.pid, NULL, 0);
	spawned_release(&other);
}

static void a_limit_of_memory_holds_and_is_said(void **state)
{
	struct bench *b = *state;
	b->limits.memory_bytes = UINT64_C(48) << 20;
	const char *const argv[] = {"tail", "/dev/zero", NULL}; /* without an end, it keeps all */
	bench_command(b, argv);
	bench_start_well(b);
	bench_ask(b);
	if (strcmp(b->state, "running") == 0)
		assert_non_null(strstr(b->held, "memory 50.3 MB ("));
	WAIT_UNTIL(bench_ask(b), strcmp(b->state, "failed") == 0);
	/* By whom depends on the host; that it was killed for memory is said. */
	if (strstr(b->message, "killed"))
		assert_non_null(strstr(b->message, "more than its limit of memory"));
	else
		assert_non_null(strstr(b->message, "exited with status 1"));
}

static void limits_that_nobody_holds_are_said(void **state)
{
	struct bench *b = *state;
	b->limits.cpu_percent = 50;
	b->limits.processes = 64;
	b->limits.open_files = 77;
	shell(b, "exec sleep 1000");
	bench_start_well(b);
	bench_ask(b);
	assert_non_null(strstr(b->held, "cpu 50% ("));
	assert_non_null(strstr(b->held, "processes 64 ("));
	assert_non_null(strstr(b->held, "open files 77 (rlimit)"));
	bench_stop(b); /* and again: the groups are made anew */
	bench_start_well(b);
}

static void limits_and_environment_reach_the_service(void **state)
{
	struct bench *b = *state;
	b->limits.open_files = 99;
	Fairlead__V1__EnvVar lang = FAIRLEAD__V1__ENV_VAR__INIT;
	lang.name = pb_str("LANG");
	lang.value = pb_borrow("xx", 2);
	Fairlead__V1__EnvVar *env[] = {&lang};
	b->process.n_env = 1;
	b->process.env = env;
	setenv("SECRET_OF_THE_AGENT", "1", 1);
	shell(b, "ulimit -n; env; echo done; sleep 1000");
	bench_start_well(b);
	AUTO(buf) struct buf log = {0};
	WAIT_UNTIL(bench_log(b, &log), strstr(buf_str(&log), "\ndone\n"));
	const char *text = buf_str(&log);
	assert_non_null(strstr(text, "\n99\n"));
	assert_non_null(strstr(text, "\nLANG=xx\n"));
	assert_non_null(strstr(text, "\nFAIRLEAD_RELEASE=abab"));
	assert_non_null(strstr(text, "\nPATH=/usr/local/sbin:"));
	assert_null(strstr(text, "SECRET"));
	assert_null(strstr(text, "C.UTF-8"));
	unsetenv("SECRET_OF_THE_AGENT");
}

static void it_runs_as_its_user(void **state)
{
	struct bench *b = *state;
	if (getuid() != 0)
		skip();
	b->context.may_change_user = 1;
	b->process.user = pb_str("nobody");
	assert_int_equal(chmod(b->root, 0755), 0);
	shell(b, "id -un; grep -E '^(CapEff|Uid)' /proc/self/status; echo done; sleep 1000");
	bench_start_well(b);
	AUTO(buf) struct buf log = {0};
	WAIT_UNTIL(bench_log(b, &log), strstr(buf_str(&log), "\ndone\n"));
	assert_non_null(strstr(buf_str(&log), "\nnobody\n"));
	assert_non_null(strstr(buf_str(&log), "CapEff:\\x090000000000000000\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(starts_says_so_and_stops),
		TEST(a_second_supervisor_is_refused),
		TEST(a_missing_command_is_said_at_once),
		TEST(bad_plans_are_refused),
		TEST(failures_are_retried_and_then_given_up),
		TEST(a_killed_service_comes_back_another_one),
		TEST(a_good_end_rests),
		TEST(nothing_of_a_service_is_left),
		TEST(one_that_ignores_term_is_killed_in_time),
		TEST(what_a_crash_leaves_is_gone_before_the_restart),
		TEST(it_outlives_the_agent),
		TEST(a_service_without_its_shim_is_found_and_stopped),
		TEST(a_lost_question_is_asked_again),
		TEST(a_reused_pid_is_left_alone),
		TEST(a_limit_of_memory_holds_and_is_said),
		TEST(limits_that_nobody_holds_are_said),
		TEST(limits_and_environment_reach_the_service),
		TEST(it_runs_as_its_user),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
