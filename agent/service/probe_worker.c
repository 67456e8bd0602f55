#include "agent/service/probe_worker.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/packet.h"
#include "common/os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* What the loop still holds after the program is gone. */
struct line {
	uv_poll_t poll;
	struct probe_worker *worker;
};

struct probe_worker {
	uv_loop_t *loop;
	char *path;
	struct spawn_user user;
	int change_user;
	probe_answer_fn *answered;
	void *answered_user;
	struct spawned program;
	struct line *line; /* NULL: not running */
	int fd;
	struct buf packet;
};

int probe_worker_new(uv_loop_t *loop, const char *path, const char *run_as,
	probe_answer_fn *answered, void *user, struct probe_worker **ret, struct err *err)
{
	struct spawn_user who = {0};
	if (run_as && spawn_user_find(run_as, &who, err) < 0)
		return err_wrap(err, "user of the probe worker");
	struct probe_worker *worker = xcalloc(1, sizeof(*worker));
	*worker = (struct probe_worker){
		.loop = loop,
		.path = xstrdup(path),
		.user = who,
		.change_user = run_as != NULL,
		.answered = answered,
		.answered_user = user,
		.program = SPAWNED_INIT,
		.fd = -1,
	};
	*ret = worker;
	return 0;
}

static void line_closed(uv_handle_t *handle)
{
	free(handle);
}

static void end_program(struct probe_worker *worker)
{
	if (worker->line)
		uv_close((uv_handle_t *)&TAKE(worker->line)->poll, line_closed);
	if (worker->fd >= 0)
		close(TAKE_FD(worker->fd));
	/* It has nothing to lose, and a killed process is gone in no time. */
	pid_t pid = worker->program.pid;
	spawn_kill(&worker->program, SIGKILL);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	spawned_release(&worker->program);
}

void probe_worker_free(struct probe_worker *worker)
{
	if (!worker)
		return;
	end_program(worker);
	spawn_user_release(&worker->user);
	buf_release(&worker->packet);
	free(worker->path);
	free(worker);
}

/* Not until there is no more: a worker that floods us gets its turn like everybody else. */
enum { ANSWERS_AT_ONCE = 16 };

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	struct probe_worker *worker = ((struct line *)poll)->worker;
	for (int i = 0; i < ANSWERS_AT_ONCE && worker->line; i++) {
		int rc = packet_recv(worker->fd, &worker->packet, NULL, NULL);
		if (rc == PACKET_EMPTY)
			return;
		Fairlead__V1__ProbeReply *reply = NULL;
		/* One that sends what does not parse is not ours any more. */
		if (rc != PACKET_RECEIVED || PB_UNPACK(fairlead__v1__probe_reply,
						     buf_bytes(&worker->packet), &reply, NULL) < 0)
			end_program(worker);
		worker->answered(worker->answered_user, reply);
		if (reply)
			pb_free(&reply->base);
	}
}

static int run(struct probe_worker *worker, int fd, struct err *err)
{
	static const char *const argv[] = {"fairlead-probe", NULL};
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	const struct spawn_fd fds[] = {{fd, 3}};
	const struct spawn spawn = {
		.program = worker->path,
		.argv = argv,
		.env = env,
		.cwd = "/",
		.fds = fds,
		.fd_count = ARRAY_LEN(fds),
		.user = worker->change_user ? &worker->user : NULL,
		.place = SPAWN_SESSION,
		.privileges = SPAWN_NO_NEW_PRIVILEGES,
	};
	return spawn_run(&spawn, &worker->program, err);
}

static int start(struct probe_worker *worker, struct err *err)
{
	int pair[2];
	if (packet_pair(pair, err) < 0)
		return -1;
	int rc = run(worker, pair[1], err);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		return -1;
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	worker->fd = pair[0];
	worker->line = xcalloc(1, sizeof(*worker->line));
	worker->line->worker = worker;
	rc = uv_poll_init(worker->loop, &worker->line->poll, worker->fd);
	if (rc < 0) {
		free(TAKE(worker->line));
		end_program(worker);
		return err_set(
			err, ERR_INTERNAL, "cannot wait for the probe worker: %s", uv_strerror(rc));
	}
	uv_poll_start(&worker->line->poll, UV_READABLE | UV_DISCONNECT, on_readable);
	/* An idle worker is no reason to keep the loop running. */
	uv_unref((uv_handle_t *)&worker->line->poll);
	return 0;
}

int probe_worker_ask(
	struct probe_worker *worker, const Fairlead__V1__ProbeRequest *request, struct err *err)
{
	if (!worker->line && start(worker, err) < 0)
		return err_wrap(err, "probe worker");
	AUTO(buf) struct buf packet = {0};
	PB_PACK(request, &packet);
	if (packet_send(worker->fd, buf_bytes(&packet), -1, err) == PACKET_SENT)
		return 0;
	return err_set(err, ERR_UNREACHABLE, "the probe worker takes no question");
}
