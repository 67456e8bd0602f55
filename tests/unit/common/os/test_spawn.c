#include "common/base/mem.h"
#include "common/os/file.h"
#include "common/os/process.h"
#include "common/os/spawn.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct spawn_end wait_end(struct spawned *spawned)
{
	struct pollfd poll_fd = {.fd = spawned->pidfd, .events = POLLIN};
	assert_int_equal(poll(&poll_fd, 1, 10000), 1);
	struct spawn_end end = {-1, -1};
	assert_int_equal(spawn_reap(spawned, &end, NULL), SPAWN_ENDED);
	assert_int_equal(spawned->pidfd, -1);
	return end;
}

/* Run `script` in sh with a pipe as fd 9; what it wrote there, as a string. */
static void run_script(struct spawn spawn, const char *script, struct buf *out)
{
	int pipe_fds[2];
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	const char *argv[] = {"sh", "-c", script, NULL};
	struct spawn_fd fds[] = {{pipe_fds[1], 9}};
	spawn.program = "/bin/sh";
	spawn.argv = argv;
	spawn.fds = fds;
	spawn.fd_count = 1;
	struct spawned spawned = SPAWNED_INIT;
	struct err err = ERR_INIT;
	if (spawn_run(&spawn, &spawned, &err) < 0)
		fail_msg("%s", err.message);
	close(pipe_fds[1]);
	for (ssize_t n = 1; n > 0; out->len += (size_t)n)
		n = read(pipe_fds[0], buf_reserve(out, 1024), 1024);
	close(pipe_fds[0]);
	if (spawn.place != SPAWN_DETACHED)
		wait_end(&spawned);
}

static void passes_only_what_is_named(void **state)
{
	(void)state;
	int other = fcntl(STDERR_FILENO, F_DUPFD, 33); /* on purpose without O_CLOEXEC */
	const char *env[] = {"ONLY=this", NULL};
	AUTO(buf) struct buf out = {0};
	run_script((struct spawn){.env = env, .cwd = "/"},
		"for f in /proc/$$/fd/*; do echo -n \"${f##*/} \"; done >&9; echo \"$PWD $ONLY\" "
		">&9; "
		"readlink /proc/$$/fd/0 >&9",
		&out);
	close(other);
	/* Low numbers may be the shell's own: it opens the directory, and saves fd 1 at 10. */
	assert_non_null(strstr(buf_str(&out), "/ this\n/dev/null\n"));
	AUTO_FREE char *other_text = xasprintf(" %d ", other);
	assert_null(strstr(buf_str(&out), other_text));
	assert_memory_equal(out.data, "0 1 ", 4);
}

static void mapped_fds_may_cross(void **state)
{
	(void)state;
	int a[2], b[2];
	assert_int_equal(pipe2(a, O_CLOEXEC) | pipe2(b, O_CLOEXEC), 0);
	/* Each is told to be the other one. */
	struct spawn_fd fds[] = {{a[1], b[1]}, {b[1], a[1]}};
	AUTO_FREE char *script = xasprintf("echo A >&%d; echo B >&%d", b[1], a[1]);
	const char *argv[] = {"sh", "-c", script, NULL};
	struct spawn spawn = {
		.program = "/bin/sh", .argv = argv, .fds = fds, .fd_count = ARRAY_LEN(fds)};
	struct spawned spawned = SPAWNED_INIT;
	assert_int_equal(spawn_run(&spawn, &spawned, NULL), 0);
	assert_int_equal(wait_end(&spawned).status, 0);
	char text[4] = "";
	assert_int_equal(read(a[0], text, sizeof(text)), 2);
	assert_int_equal(text[0], 'A');
	assert_int_equal(read(b[0], text, sizeof(text)), 2);
	assert_int_equal(text[0], 'B');
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static void tells_why_not(void **state)
{
	(void)state;
	char dir[] = "/tmp/fairlead-spawn-XXXXXX";
	assert_non_null(mkdtemp(dir));
	AUTO_FREE char *script = xasprintf("%s/script", dir);
	AUTO_CLOSE int fd = open(script, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_int_equal(fd_write_all(fd, "#!/no/such/interpreter\n", 23, NULL), 0);
	close(TAKE_FD(fd));
	const struct {
		struct spawn spawn;
		int errnum;
		const char *message;
		const char *hint;
	} cases[] = {
		{{.program = "/no/such"}, ENOENT, "cannot execute 'shown'", ""},
		{{.program = script}, ENOENT, "cannot execute 'shown'", "interpreter"},
		{{.program = "/etc"}, EACCES, "cannot execute 'shown'", "chmod"},
		{{.program = "/bin/true", .cwd = "/no/such"}, ENOENT, "'/no/such'", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *argv[] = {"shown", NULL};
		struct spawn spawn = cases[i].spawn;
		spawn.argv = argv;
		struct err err = ERR_INIT;
		struct spawned spawned = SPAWNED_INIT;
		assert_int_equal(spawn_run(&spawn, &spawned, &err), -1);
		assert_int_equal(err.code, ERR_FAILED);
		assert_int_equal(err.errnum, cases[i].errnum);
		assert_non_null(strstr(err.message, cases[i].message));
		assert_non_null(strstr(err.hint, cases[i].hint));
		assert_int_equal(spawned.pidfd, -1);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left */
	}
	assert_int_equal(tree_remove(AT_FDCWD, dir, NULL), 0);
}

static void signals_begin_afresh(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sigset_t term, before;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	AUTO(buf) struct buf out = {0};
	run_script((struct spawn){0}, "grep -E '^Sig(Blk|Ign):' /proc/self/status >&9", &out);
	assert_string_equal(
		buf_str(&out), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void limits_hold(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = {0};
	run_script((struct spawn){.open_files = 77, .memory_bytes = 1UL << 30},
		"ulimit -n >&9; ulimit -v >&9", &out);
	assert_string_equal(buf_str(&out), "77\n1048576\n");
}

static void sessions_and_detached(void **state)
{
	(void)state;
	AUTO(buf) struct buf out = {0};
	run_script((struct spawn){.place = SPAWN_SESSION}, "cat /proc/$$/stat >&9", &out);
	struct process process;
	assert_int_equal(process_parse(buf_str(&out), &process), 0);
	assert_int_equal(process.parent, getpid());
	assert_int_equal(process.session, process.pid);
	assert_int_equal(process.group, process.pid);
	buf_clear(&out);
	run_script((struct spawn){.place = SPAWN_DETACHED}, "cat /proc/$$/stat >&9", &out);
	assert_int_equal(process_parse(buf_str(&out), &process), 0);
	assert_int_not_equal(process.parent, getpid());
	assert_int_not_equal(process.session, getsid(0));
}

static void drops_to_a_user(void **state)
{
	(void)state;
	struct spawn_user user = {0};
	struct err err = ERR_INIT;
	assert_int_equal(spawn_user_find("no-such-user-here", &user, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	if (getuid() != 0)
		skip();
	assert_int_equal(spawn_user_find("nobody", &user, NULL), 0);
	AUTO(buf) struct buf out = {0};
	run_script((struct spawn){.user = &user, .privileges = SPAWN_NO_NEW_PRIVILEGES},
		"grep -E '^(Uid|Groups|NoNewPrivs|CapEff):' /proc/self/status >&9", &out);
	AUTO_FREE char *uid = xasprintf("Uid:\t%u\t%u\t%u\t%u\n", (unsigned)user.uid,
		(unsigned)user.uid, (unsigned)user.uid, (unsigned)user.uid);
	assert_non_null(strstr(buf_str(&out), uid));
	assert_non_null(strstr(buf_str(&out), "CapEff:\t0000000000000000\n"));
	assert_non_null(strstr(buf_str(&out), "NoNewPrivs:\t1\n"));
	AUTO_FREE char *groups = xasprintf("Groups:\t%u \n", (unsigned)user.gid);
	assert_non_null(strstr(buf_str(&out), groups));
	spawn_user_release(&user);
}

struct job {
	int in, out, other;
};

static int work(void *data)
{
	const struct job *job = data;
	char c = fcntl(job->other, F_GETFD) < 0 && errno == EBADF ? 'y' : 'n';
	return write(job->out, &c, 1) == 1 ? 5 : 6;
}

static void a_forked_worker_keeps_what_it_was_given(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	struct job job = {fds[0], fds[1], open("/dev/null", O_RDONLY | O_CLOEXEC)};
	const int keep[] = {job.out, job.in};
	struct spawned spawned = SPAWNED_INIT;
	assert_int_equal(spawn_fork(work, &job, keep, ARRAY_LEN(keep), &spawned, NULL), 0);
	struct spawn_end end = wait_end(&spawned);
	char c = 0, text[SPAWN_END_SIZE];
	assert_int_equal(read(job.in, &c, 1), 1);
	assert_int_equal(c, 'y');
	assert_string_equal(spawn_end_text(&end, text), "exited with status 5");
	close(job.in);
	close(job.out);
	close(job.other);
}

static void killed_is_told_from_exited(void **state)
{
	(void)state;
	const char *argv[] = {"sleep", "60", NULL};
	char text[SPAWN_END_SIZE];
	struct spawn spawn = {.program = "/bin/sleep", .argv = argv};
	struct spawned spawned = SPAWNED_INIT;
	struct spawn_end end;
	assert_int_equal(spawn_run(&spawn, &spawned, NULL), 0);
	assert_int_equal(spawn_reap(&spawned, &end, NULL), SPAWN_RUNNING);
	spawn_kill(&spawned, SIGKILL);
	end = wait_end(&spawned);
	assert_string_equal(spawn_end_text(&end, text), "killed by signal 9 (Killed)");
	spawn_kill(&spawned, SIGKILL); /* nobody */
}

static void programs_are_found(void **state)
{
	(void)state;
	static const struct {
		const char *base, *name, *path;
	} cases[] = {
		{"/nowhere", "sh", "/bin/sh"},
		{"/bin", "./sh", "/bin/./sh"},
		{"/", "bin/sh", "//bin/sh"},
		{"/nowhere", "/bin/sh", "/bin/sh"},
		{"/", "etc", NULL},
		{"/", "etc/passwd", NULL},
		{"/", "no-such-program", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *found = spawn_find("/no/such::/bin", cases[i].base, cases[i].name);
		if (cases[i].path)
			assert_string_equal(found, cases[i].path);
		else
			assert_null(found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_only_what_is_named),
		cmocka_unit_test(mapped_fds_may_cross),
		cmocka_unit_test(tells_why_not),
		cmocka_unit_test(signals_begin_afresh),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(sessions_and_detached),
		cmocka_unit_test(drops_to_a_user),
		cmocka_unit_test(a_forked_worker_keeps_what_it_was_given),
		cmocka_unit_test(killed_is_told_from_exited),
		cmocka_unit_test(programs_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
