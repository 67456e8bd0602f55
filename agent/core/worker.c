#include "agent/core/worker.h"

#include "agent/core/core.h"
#include "common/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* One packet over the pipe (O_DIRECT: a write is read whole). */
struct report {
	enum { REPORT_PROGRESS, REPORT_END } kind;
	uint64_t done, total;
	struct err err;
};
static_assert(sizeof(struct report) <= 4096, "larger than PIPE_BUF");

struct worker_pipe {
	int fd;
};

struct worker {
	uv_poll_t poll; /* first: freed through its close callback */
	int fd;
	pid_t pid;
	worker_progress_fn *progress;
	worker_done_fn *done;
	void *user;
};

void worker_report(struct worker_pipe *pipe, uint64_t done, uint64_t total)
{
	struct report report = {.kind = REPORT_PROGRESS, .done = done, .total = total};
	ssize_t n = write(pipe->fd, &report, sizeof(report));
	(void)n; /* a full pipe drops progress, never the work */
}

static _Noreturn void child(int fd, worker_fn *work, void *user, pid_t parent)
{
	/* A core that is killed takes its workers along: recovery must find nobody at work. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_IGN);
	struct worker_pipe pipe = {fd};
	struct report report = {.kind = REPORT_END};
	if (work(user, &pipe, &report.err) < 0 && report.err.code == ERR_NONE)
		err_set(&report.err, ERR_INTERNAL, "the worker failed without a reason");
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags & ~O_NONBLOCK); /* the end must arrive */
	ssize_t n;
	do
		n = write(fd, &report, sizeof(report));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(report))
		core_log("a worker cannot report: %s", strerror(errno));
	_exit(n == sizeof(report) ? 0 : 1);
}

static void on_closed(uv_handle_t *handle)
{
	struct worker *worker = (struct worker *)handle;
	close(worker->fd);
	free(worker);
}

static void reap(struct worker *worker)
{
	while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void finish(struct worker *worker, const struct err *err)
{
	uv_poll_stop(&worker->poll);
	reap(worker);
	worker_done_fn *done = worker->done;
	void *user = worker->user;
	uv_close((uv_handle_t *)&worker->poll, on_closed);
	if (done)
		done(user, err);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	struct worker *worker = (struct worker *)poll;
	struct report report;
	ssize_t n = read(worker->fd, &report, sizeof(report));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		struct err err = ERR_INIT;
		err_errno(&err, ERR_INTERNAL, errno, "cannot hear of the staging worker");
		kill(worker->pid, SIGKILL);
		finish(worker, &err);
		return;
	}
	if (n != sizeof(report)) {
		struct err err = ERR_INIT;
		err_set(&err, ERR_INTERNAL, "the staging worker died");
		err_hint(&err, "Look for an out-of-memory kill in the host's kernel log.");
		finish(worker, &err);
		return;
	}
	if (report.kind == REPORT_END)
		finish(worker, &report.err);
	else if (worker->progress)
		worker->progress(worker->user, report.done, report.total);
}

int worker_start(uv_loop_t *loop, worker_fn *work, worker_progress_fn *progress,
	worker_done_fn *done, void *user, struct worker **ret, struct err *err)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC | O_DIRECT | O_NONBLOCK) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a pipe");
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0) {
		int errnum = errno;
		close(fds[0]);
		close(fds[1]);
		return err_errno(err, ERR_INTERNAL, errnum, "cannot fork a worker");
	}
	if (pid == 0)
		child(fds[1], work, user, parent);
	close(fds[1]);
	struct worker *worker = xcalloc(1, sizeof(*worker));
	worker->fd = fds[0];
	worker->pid = pid;
	worker->progress = progress;
	worker->done = done;
	worker->user = user;
	uv_poll_init(loop, &worker->poll, worker->fd);
	uv_poll_start(&worker->poll, UV_READABLE | UV_DISCONNECT, on_readable);
	*ret = worker;
	return 0;
}

void worker_kill(struct worker *worker)
{
	if (!worker)
		return;
	kill(worker->pid, SIGKILL);
	reap(worker);
	uv_poll_stop(&worker->poll);
	uv_close((uv_handle_t *)&worker->poll, on_closed);
}

/* The pipe closes when the child has ended, which on_readable sees. */
void worker_drop(struct worker *worker)
{
	if (!worker)
		return;
	kill(worker->pid, SIGKILL);
	worker->done = NULL;
	worker->progress = NULL;
}
