#include "agent/shim/script.h"

#include "agent/shim/launch.h"
#include "agent/shim/report.h"
#include "agent/shim/rotate.h"
#include "agent/shim/signals.h"
#include "agent/shim/tree.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
	LOCK_POLL_MS = 20,
	LOOK_MS = 100, /* at how much it has written, and while SIGKILL is at work */
};

enum script_state { SCRIPT_RUNS, SCRIPT_ENDED, SCRIPT_KILLING };

struct script {
	const Fairlead__V1__ShimSpec *spec;
	int is_start;
	struct rotate log;
	int lock_fd, signal_fd, out_fd;
	int read_fd;    /* of the same file: a log is open for writing only */
	off_t out_from; /* what it writes begins here */
	off_t out_max;
	uint64_t deadline_ms;
	pid_t pid;
	enum script_state state;
	Fairlead__V1__ScriptEnd end;
};

static int take_lock(struct script *script, struct err *err)
{
	AUTO_FREE char *path = launch_string(script->spec->socket_path);
	script->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (script->lock_fd < 0)
		return err_errno(err, ERR_IO, errno, "cannot open '%s'", path);
	while (flock(script->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (clock_mono_ms() >= script->deadline_ms)
			return err_set(err, ERR_DEADLINE, "another script of it still runs");
		poll(NULL, 0, LOCK_POLL_MS);
	}
	return 0;
}

static int open_output(struct script *script, struct err *err)
{
	struct stat st;
	/* Room first, so that the log is not rotated under a service that goes on writing. */
	if (strcmp(script->spec->script_action, "status") != 0)
		rotate_note(
			&script->log, "%s: %s", script->spec->service, script->spec->script_action);
	script->out_max = SCRIPT_OUTPUT_MAX;
	if (!script->is_start)
		script->out_fd = memfd_create("script-output", MFD_CLOEXEC);
	else if (script->log.fd >= 0)
		script->out_fd = fcntl(script->log.fd, F_DUPFD_CLOEXEC, 0);
	script->read_fd = script->is_start ? openat(script->log.dirfd, script->log.name,
						     O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
					   : fcntl(script->out_fd, F_DUPFD_CLOEXEC, 0);
	if (script->out_fd < 0 || script->read_fd < 0 || fstat(script->out_fd, &st) < 0)
		return err_errno(err, ERR_IO, errno, "cannot keep what it writes");
	script->out_from = st.st_size;
	if (script->is_start && script->spec->log_max_bytes)
		script->out_max = (off_t)script->spec->log_max_bytes;
	return 0;
}

static int script_open(struct script *script, struct err *err)
{
	AUTO_FREE char *log_path = launch_string(script->spec->log_path);
	script->deadline_ms = clock_mono_ms() + script->spec->script_timeout_ms;
	if (!script->spec->process || script->spec->process->n_command == 0)
		return err_set(err, ERR_CONFIG, "there is no script to run");
	if (take_lock(script, err) < 0 || tree_adopt(err) < 0 ||
		(script->signal_fd = signals_open(err)) < 0 ||
		rotate_open(&script->log, log_path, script->spec->log_max_bytes,
			script->spec->log_keep, err) < 0)
		return -1;
	return open_output(script, err);
}

static void script_release(struct script *script)
{
	const int fds[] = {script->signal_fd, script->out_fd, script->read_fd, script->lock_fd};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	rotate_release(&script->log);
}

static void kill_tree(struct script *script)
{
	script->state = SCRIPT_KILLING;
	tree_signal(SIGKILL, NULL);
}

static off_t written(const struct script *script)
{
	struct stat st;
	return fstat(script->out_fd, &st) == 0 ? st.st_size - script->out_from : 0;
}

/* The script itself has ended. */
static void ended(struct script *script, const siginfo_t *info)
{
	script->pid = 0;
	if (info->si_code == CLD_EXITED)
		script->end.status = info->si_status;
	else
		script->end.signal = info->si_status;
	if (script->state != SCRIPT_RUNS)
		return;
	script->state = SCRIPT_ENDED;
	if (!script->is_start || script->end.status || script->end.signal)
		kill_tree(script);
}

/* 1: there is nothing more to wait for. */
static int reap(struct script *script)
{
	for (;;) {
		siginfo_t info = {0};
		int rc = waitid(P_ALL, 0, &info, WEXITED | WNOHANG);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0 || info.si_pid == 0)
			return rc < 0 || script->state == SCRIPT_ENDED;
		if (info.si_pid == script->pid)
			ended(script, &info);
	}
}

static void give_up(struct script *script, const char *why)
{
	rotate_note(&script->log, "%s: %s %s, killed", script->spec->service,
		script->spec->script_action, why);
	kill_tree(script);
}

static void wait_for_end(struct script *script)
{
	for (;;) {
		struct pollfd fd = {.fd = script->signal_fd, .events = POLLIN};
		struct signalfd_siginfo info;
		poll(&fd, 1, LOOK_MS);
		while (read(script->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
			if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGHUP)
				kill_tree(script);
		if (reap(script))
			return;
		if (script->state == SCRIPT_KILLING) {
			tree_signal(SIGKILL, NULL);
		} else if (clock_mono_ms() >= script->deadline_ms) {
			script->end.timed_out = 1;
			give_up(script, "is not over at its deadline");
		} else if (written(script) > script->out_max) {
			give_up(script, "writes too much");
		}
	}
}

static void read_tail(const struct script *script, struct buf *tail)
{
	off_t len = written(script);
	off_t skip = len > SCRIPT_TAIL ? len - SCRIPT_TAIL : 0;
	size_t want = len > 0 ? (size_t)(len - skip) : 0;
	ssize_t n = want ? pread(script->read_fd, buf_reserve(tail, want), want,
				   script->out_from + skip)
			 : 0;
	if (n > 0)
		tail->len += (size_t)n;
}

int script_run(const Fairlead__V1__ShimSpec *spec, int *ready_fd, struct err *err)
{
	static const struct sockets none;
	static const struct limits unlimited;
	AUTO(script)
	struct script script = {
		.spec = spec,
		.is_start = strcmp(spec->script_action, "start") == 0,
		.lock_fd = -1,
		.signal_fd = -1,
		.out_fd = -1,
		.read_fd = -1,
		.log = {.fd = -1, .dirfd = -1},
		.end = FAIRLEAD__V1__SCRIPT_END__INIT,
	};
	if (script_open(&script, err) < 0 ||
		launch_service(spec, &none, &unlimited, script.out_fd, &script.pid, err) < 0)
		return -1;
	wait_for_end(&script);
	AUTO(buf) struct buf tail = {0};
	read_tail(&script, &tail);
	if (strcmp(spec->script_action, "stop") == 0 && tail.len)
		rotate_write(&script.log, buf_bytes(&tail));
	script.end.output = pb_borrow(tail.data, tail.len);
	report_script(ready_fd, &script.end);
	return 0;
}
