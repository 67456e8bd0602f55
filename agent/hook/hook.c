#include "agent/hook/hook.h"

#include "agent/hook/output.h"
#include "agent/hook/runner.h"
#include "agent/hook/tree.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/os/cgroup.h"
#include "common/os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

enum { SWEEP_LOOK_MS = 5, CHUNK = 4096 };

struct hook {
	uv_poll_t answer; /* first: freed when all three handles are closed */
	uv_poll_t output_poll;
	uv_timer_t timer;
	unsigned open_handles;
	struct spawned runner;
	int socket, output_fd;
	char *name, *place;
	uint64_t timeout_ms;
	struct hook_trace trace;
	struct output output;
	struct err why; /* it was stopped: this is what comes of it */
	const struct hook_ops *ops;
	void *user;
};

char *hook_place(const char *root, const char *app, const char *environment)
{
	AUTO_FREE char *whose = xasprintf("%s\n%s\n%s", root, app, environment);
	struct digest digest = digest_of(whose, strlen(whose));
	char hex[DIGEST_HEX_SIZE];
	return xasprintf("fairlead-hook-%.24s", digest_hex(&digest, hex));
}

char *hook_mark(const char *place)
{
	return xasprintf("FAIRLEAD_HOOK_PLACE=%s", place);
}

const struct hook_trace *hook_trace(const struct hook *hook)
{
	return &hook->trace;
}

/* ---- its end ---- */

static void hook_free(struct hook *hook)
{
	close(hook->socket);
	close(hook->output_fd);
	spawned_release(&hook->runner);
	output_release(&hook->output);
	free(hook->name);
	free(hook->place);
	free(hook);
}

static void on_closed(uv_handle_t *handle)
{
	struct hook *hook = handle->data;
	if (--hook->open_handles == 0)
		hook_free(hook);
}

static void close_handles(struct hook *hook)
{
	uv_close((uv_handle_t *)&hook->answer, on_closed);
	uv_close((uv_handle_t *)&hook->output_poll, on_closed);
	uv_close((uv_handle_t *)&hook->timer, on_closed);
}

static void tell_line(void *user, const char *text)
{
	struct hook *hook = user;
	hook->ops->line(hook->user, text);
}

enum { OUTPUT_NOW_EMPTY = 0, OUTPUT_READ = 1, OUTPUT_CLOSED = 2 };

static int read_output(struct hook *hook)
{
	uint8_t chunk[CHUNK];
	ssize_t n = read(hook->output_fd, chunk, sizeof(chunk));
	if (n > 0)
		output_add(&hook->output, BYTES(chunk, (size_t)n), tell_line, hook);
	if (n > 0 || (n < 0 && errno == EINTR))
		return OUTPUT_READ;
	return n < 0 && errno == EAGAIN ? OUTPUT_NOW_EMPTY : OUTPUT_CLOSED;
}

static void judge(const struct hook *hook, const struct runner_end *end, struct err *ret)
{
	char text[SPAWN_END_SIZE];
	if (end->err.code != ERR_NONE)
		*ret = end->err;
	else if (hook->why.code != ERR_NONE)
		*ret = hook->why;
	else if (end->end.status != 0 || end->end.signal != 0)
		err_set(ret, ERR_FAILED, "'%s' %s", hook->name, spawn_end_text(&end->end, text));
}

/* The runner has said its last word, or was killed: this takes no time. */
static void reap(struct hook *hook)
{
	struct spawn_end end;
	struct pollfd runner = {.fd = hook->runner.pidfd, .events = POLLIN};
	while (poll(&runner, 1, -1) < 0 && errno == EINTR)
		;
	spawn_reap(&hook->runner, &end, NULL);
}

static void finish(struct hook *hook, const struct err *err)
{
	AUTO(buf) struct buf tail = {0};
	uv_poll_stop(&hook->answer);
	uv_poll_stop(&hook->output_poll);
	while (read_output(hook) == OUTPUT_READ)
		;
	output_end(&hook->output, tell_line, hook);
	output_tail(&hook->output, &tail);
	reap(hook);
	cgroup_remove(hook->place);
	close_handles(hook);
	hook->ops->ended(hook->user, err, buf_str(&tail));
}

/* The runner itself was killed: look after what it leaves. */
static void take_over(struct hook *hook, struct err *err)
{
	if (hook_sweep(&hook->trace, hook->place, err) < 0)
		return;
	err_set(err, ERR_FAILED, "what ran '%s' was killed, and so was all it had started",
		hook->name);
	err_hint(err, "Look for an out-of-memory kill in the host's kernel log.");
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	struct hook *hook = poll->data;
	struct runner_end end;
	struct err err = ERR_INIT;
	ssize_t n = recv(hook->socket, &end, sizeof(end), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(end))
		judge(hook, &end, &err);
	else
		take_over(hook, &err);
	finish(hook, &err);
}

static void on_output(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	if (read_output(poll->data) == OUTPUT_CLOSED)
		uv_poll_stop(poll); /* nobody writes any more; the end comes over the socket */
}

/* ---- its begin ---- */

static void on_time(uv_timer_t *timer)
{
	struct hook *hook = timer->data;
	struct err late = ERR_INIT;
	err_set(&late, ERR_DEADLINE, "'%s' did not end within its %llu ms", hook->name,
		(unsigned long long)hook->timeout_ms);
	err_hint(&late, "Give it more time with `timeout`, or less to do.");
	hook_stop(hook, &late);
}

static void watch(uv_loop_t *loop, struct hook *hook)
{
	hook->answer.data = hook->output_poll.data = hook->timer.data = hook;
	hook->open_handles = 3;
	uv_poll_init(loop, &hook->answer, hook->socket);
	uv_poll_init(loop, &hook->output_poll, hook->output_fd);
	uv_timer_init(loop, &hook->timer);
	uv_poll_start(&hook->answer, UV_READABLE | UV_DISCONNECT, on_answer);
	uv_poll_start(&hook->output_poll, UV_READABLE | UV_DISCONNECT, on_output);
}

/* Who it is, so that it is found again whatever happens. */
static int trace(struct hook *hook, struct err *err)
{
	struct process process;
	if (process_boot(hook->trace.boot, err) < 0 ||
		process_read(hook->runner.pid, &process, err) < 0)
		return err_wrap(err, "the runner of '%s'", hook->name);
	hook->trace.runner = process.pid;
	hook->trace.start_ticks = process.start_ticks;
	AUTO_FREE char *path = NULL;
	if (tree_may_use_cgroup())
		cgroup_enter(hook->place, hook->runner.pid, &path);
	return 0;
}

static int fork_runner(
	struct hook *hook, const struct hook_setup *setup, int socket, int output, struct err *err)
{
	struct runner runner = {.setup = setup, .socket = socket, .output = output};
	const int keep[] = {socket, output};
	return spawn_fork(runner_main, &runner, keep, ARRAY_LEN(keep), &hook->runner, err);
}

static int open_channels(int sockets[2], int output[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a socket pair");
	if (pipe2(output, O_CLOEXEC) == 0) {
		fcntl(output[0], F_SETFL, O_NONBLOCK); /* the program's own end blocks */
		return 0;
	}
	int errnum = errno;
	close(sockets[0]);
	close(sockets[1]);
	return err_errno(err, ERR_INTERNAL, errnum, "cannot make a pipe");
}

int hook_start(uv_loop_t *loop, const struct hook_setup *setup, const struct hook_ops *ops,
	void *user, struct hook **ret, struct err *err)
{
	int sockets[2], output[2];
	if (open_channels(sockets, output, err) < 0)
		return -1;
	struct hook *hook = xcalloc(1, sizeof(*hook));
	*hook = (struct hook){
		.socket = sockets[0],
		.output_fd = output[0],
		.runner = SPAWNED_INIT,
		.name = xstrdup(setup->name),
		.place = xstrdup(setup->place),
		.timeout_ms = setup->timeout_ms,
		.ops = ops,
		.user = user,
	};
	int rc = fork_runner(hook, setup, sockets[1], output[1], err);
	close(sockets[1]);
	close(output[1]);
	if (rc == 0)
		rc = trace(hook, err);
	if (rc < 0) {
		if (hook->runner.pidfd >= 0) {
			spawn_kill(&hook->runner, SIGKILL);
			reap(hook);
		}
		hook_free(hook);
		return -1;
	}
	watch(loop, hook);
	*ret = hook;
	return 0;
}

static void order(const struct hook *hook, enum runner_order order)
{
	char byte = (char)order;
	/* A runner that is gone is seen by on_answer. */
	ssize_t n = send(hook->socket, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)n;
}

void hook_go(struct hook *hook)
{
	order(hook, RUNNER_GO);
	if (hook->timeout_ms)
		uv_timer_start(&hook->timer, on_time, hook->timeout_ms, 0);
}

void hook_stop(struct hook *hook, const struct err *why)
{
	if (hook->why.code != ERR_NONE)
		return;
	hook->why = *why;
	order(hook, RUNNER_STOP);
}

void hook_abandon(struct hook *hook)
{
	if (!hook)
		return;
	uv_poll_stop(&hook->answer);
	uv_poll_stop(&hook->output_poll);
	uv_timer_stop(&hook->timer);
	shutdown(hook->socket, SHUT_RDWR);
	close_handles(hook);
}

/* ---- after a crash ---- */

int hook_sweep(const struct hook_trace *trace, const char *place, struct err *err)
{
	char boot[PROCESS_BOOT_SIZE];
	if (process_boot(boot, err) < 0)
		return -1;
	uint64_t give_up_ms = clock_mono_ms() + HOOK_SWEEP_MS;
	size_t left = 0;
	/* Of another boot nothing runs any more. */
	while (strcmp(boot, trace->boot) == 0 &&
		(left = tree_signal_left(trace, place, SIGKILL)) > 0 &&
		clock_mono_ms() < give_up_ms)
		poll(NULL, 0, SWEEP_LOOK_MS);
	if (left > 0)
		return err_set(err, ERR_FAILED, "%zu processes of a hook could not be ended", left);
	cgroup_remove(place);
	return 0;
}
