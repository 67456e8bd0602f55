#include "agent/shim/supervisor.h"

#include "agent/shim/control.h"
#include "agent/shim/launch.h"
#include "agent/shim/pidfile.h"
#include "agent/shim/policy.h"
#include "agent/shim/rotate.h"
#include "agent/shim/tree.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "common/os/file.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* While SIGKILL is at work, for what is forked meanwhile. */
enum { KILL_AGAIN_MS = 50 };

enum phase { PHASE_RUNNING, PHASE_ENDING, PHASE_WAITING, PHASE_RESTING, PHASE_DONE };

struct supervisor {
	const Fairlead__V1__ShimSpec *spec;
	char *release_dir;
	char *pid_name; /* beside the socket */
	int stop_signal;
	struct policy policy;
	struct rotate log;
	struct control control;
	int signal_fd;
	int out_read;
	int out_write;

	enum phase phase;
	enum policy_next next; /* what follows `ending`, unless stopping */
	int stopping;
	int killing;          /* `ending` has come to SIGKILL */
	uint64_t deadline_ms; /* of ending and waiting */

	pid_t pid; /* 0: the main process has ended */
	uint64_t started_mono_ms;
	uint64_t started_unix_ms;
	unsigned restarts;
	char message[256];
};

int supervisor_signal(const char *name)
{
	if (!*name)
		return SIGTERM;
	for (int signal = 1; signal < NSIG; signal++)
		if (sigabbrev_np(signal) && strcmp(sigabbrev_np(signal), name) == 0)
			return signal;
	return 0;
}

static const char *state_name(const struct supervisor *sup)
{
	static const char *const after[] = {
		[POLICY_RESTART] = "backing-off",
		[POLICY_REST] = "stopped",
		[POLICY_GIVE_UP] = "failed",
	};
	if (sup->pid)
		return "running";
	return sup->stopping ? "stopped" : after[sup->next];
}

static void fill_status(void *user, Fairlead__V1__ServiceStatus *ret)
{
	struct supervisor *sup = user;
	ret->name = pb_str(sup->spec->service);
	ret->driver = pb_str("process");
	ret->state = pb_str(state_name(sup));
	ret->pid = sup->pid;
	ret->started_unix_ms = sup->started_unix_ms;
	ret->restarts = sup->restarts;
	ret->manifest = sup->spec->manifest;
	ret->message = pb_str(sup->message);
}

static void drain_output(struct supervisor *sup)
{
	static uint8_t chunk[16 * 1024];
	/* Bounded, so that a service that writes without end does not keep us from its end. */
	for (int i = 0; i < 64; i++) {
		ssize_t n = read(sup->out_read, chunk, sizeof(chunk));
		if (n <= 0)
			return;
		rotate_write(&sup->log, BYTES(chunk, (size_t)n));
	}
}

static void begin_ending(struct supervisor *sup)
{
	sup->phase = PHASE_ENDING;
	sup->killing = 0;
	sup->deadline_ms = clock_mono_ms() + sup->spec->stop_timeout_ms;
	tree_signal(sup->stop_signal, NULL);
}

/* The main process has ended, or never began. */
static void decide_next(struct supervisor *sup, const struct spawn_end *end)
{
	char why[SPAWN_END_SIZE];
	if (!sup->message[0])
		snprintf(sup->message, sizeof(sup->message), "%s", spawn_end_text(end, why));
	sup->pid = 0;
	unlinkat(sup->control.dirfd, sup->pid_name, 0);
	if (sup->stopping) {
		rotate_note(&sup->log, "%s: stopped, %s", sup->spec->service, sup->message);
		return;
	}
	sup->next = policy_ended(&sup->policy, end, clock_mono_ms() - sup->started_mono_ms);
	char wait[TEXT_UNIT_SIZE];
	if (sup->next == POLICY_RESTART)
		rotate_note(&sup->log, "%s: %s; starting it again in %s", sup->spec->service,
			sup->message, text_duration(sup->policy.wait_ms, wait));
	else
		rotate_note(&sup->log, "%s: %s; %s", sup->spec->service, sup->message,
			sup->next == POLICY_REST ? "it rests" : "given up");
}

static int start(struct supervisor *sup, struct err *err)
{
	sup->message[0] = '\0';
	sup->started_mono_ms = clock_mono_ms();
	sup->started_unix_ms = clock_unix_ms();
	if (launch_service(sup->spec, sup->out_write, &sup->pid, err) < 0) {
		snprintf(sup->message, sizeof(sup->message), "%s", err->message);
		return -1;
	}
	sup->phase = PHASE_RUNNING;
	rotate_note(&sup->log, "%s: started, pid %d", sup->spec->service, sup->pid);
	/* Only a convenience for the day we are killed: no reason to stop a good service. */
	struct err why = ERR_INIT;
	if (pidfile_write(sup->control.dirfd, sup->pid_name, sup->pid,
		    launch_release(sup->release_dir), &why) < 0 &&
		why.code != ERR_NOT_FOUND)
		rotate_note(&sup->log, "%s: no pid file: %s", sup->spec->service, why.message);
	return 0;
}

static void nothing_left(struct supervisor *sup)
{
	drain_output(sup);
	sup->phase = PHASE_RESTING;
	if (sup->stopping)
		sup->phase = PHASE_DONE;
	else if (sup->next == POLICY_RESTART) {
		sup->phase = PHASE_WAITING;
		sup->deadline_ms = clock_mono_ms() + sup->policy.wait_ms;
	}
}

static void reap(struct supervisor *sup)
{
	for (;;) {
		siginfo_t info = {0};
		int rc = waitid(P_ALL, 0, &info, WEXITED | WNOHANG);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0 && sup->phase == PHASE_ENDING)
			nothing_left(sup);
		if (rc < 0 || info.si_pid == 0)
			return;
		if (info.si_pid != sup->pid)
			continue;
		int exited = info.si_code == CLD_EXITED;
		struct spawn_end end = {exited ? info.si_status : 0, exited ? 0 : info.si_status};
		decide_next(sup, &end);
		if (sup->phase == PHASE_RUNNING)
			begin_ending(sup);
	}
}

static void start_again(struct supervisor *sup)
{
	struct err err = ERR_INIT;
	sup->restarts++;
	if (start(sup, &err) == 0)
		return;
	decide_next(sup, &(struct spawn_end){.status = 127});
	nothing_left(sup);
}

static void on_deadline(struct supervisor *sup)
{
	switch (sup->phase) {
	case PHASE_WAITING:
		start_again(sup);
		break;
	case PHASE_ENDING:
		if (!sup->killing)
			rotate_note(&sup->log, "%s: did not end in time, killing it",
				sup->spec->service);
		sup->killing = 1;
		tree_signal(SIGKILL, NULL);
		sup->deadline_ms = clock_mono_ms() + KILL_AGAIN_MS;
		break;
	case PHASE_RUNNING:
	case PHASE_RESTING:
	case PHASE_DONE:
		break;
	}
}

static void stop(void *user)
{
	struct supervisor *sup = user;
	if (sup->stopping)
		return;
	sup->stopping = 1;
	if (sup->phase == PHASE_RUNNING)
		begin_ending(sup);
	else if (sup->phase != PHASE_ENDING)
		sup->phase = PHASE_DONE;
}

static void on_signals(struct supervisor *sup)
{
	struct signalfd_siginfo info;
	while (read(sup->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGHUP)
			stop(sup);
	reap(sup);
}

static int poll_timeout(const struct supervisor *sup)
{
	if (sup->phase != PHASE_ENDING && sup->phase != PHASE_WAITING)
		return -1;
	uint64_t now = clock_mono_ms();
	uint64_t left = sup->deadline_ms > now ? sup->deadline_ms - now : 0;
	return left > INT32_MAX ? INT32_MAX : (int)left;
}

static void loop(struct supervisor *sup)
{
	const struct control_calls calls = {.status = fill_status, .stop = stop, .user = sup};
	while (sup->phase != PHASE_DONE) {
		struct pollfd fds[2 + CONTROL_FDS] = {
			{.fd = sup->signal_fd, .events = POLLIN},
			{.fd = sup->out_read, .events = POLLIN},
		};
		control_fds(&sup->control, fds + 2);
		int ready = poll(fds, ARRAY_LEN(fds), poll_timeout(sup));
		if (ready > 0 && fds[1].revents)
			drain_output(sup);
		if (ready > 0 && fds[0].revents)
			on_signals(sup);
		if (ready > 0)
			control_serve(&sup->control, fds + 2, &calls);
		if (poll_timeout(sup) == 0)
			on_deadline(sup);
	}
}

static int open_signals(struct supervisor *sup, struct err *err)
{
	sigset_t set;
	sigemptyset(&set);
	static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN); /* the agent that started us may be gone */
	sup->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sup->signal_fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot wait for signals");
	return 0;
}

static int open_output(struct supervisor *sup, struct err *err)
{
	int fds[2];
	/* The service gets an ordinary blocking end: only ours must not wait. */
	if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a pipe");
	sup->out_read = fds[0];
	sup->out_write = fds[1];
	return 0;
}

static char *path_of(ProtobufCBinaryData field)
{
	return xstrndup(field.data ? (const char *)field.data : "", field.len);
}

static int supervisor_open(
	struct supervisor *sup, const Fairlead__V1__ShimSpec *spec, struct err *err)
{
	AUTO_FREE char *log_path = path_of(spec->log_path);
	AUTO_FREE char *socket_path = path_of(spec->socket_path);
	sup->spec = spec;
	sup->release_dir = path_of(spec->release_dir);
	sup->pid_name = xasprintf("%s.pid", spec->service);
	sup->stop_signal = supervisor_signal(spec->stop_signal);
	if (!sup->stop_signal)
		return err_set(err, ERR_CONFIG, "there is no signal '%s'", spec->stop_signal);
	if (!spec->process || spec->process->n_command == 0)
		return err_set(err, ERR_CONFIG, "service '%s' has no command", spec->service);
	if (policy_init(&sup->policy, spec->process->restart, err) < 0 || tree_adopt(err) < 0 ||
		open_signals(sup, err) < 0 || open_output(sup, err) < 0 ||
		rotate_open(&sup->log, log_path, spec->log_max_bytes, spec->log_keep, err) < 0)
		return -1;
	return control_open(&sup->control, socket_path, err);
}

static void supervisor_release(struct supervisor *sup)
{
	const int fds[] = {sup->signal_fd, sup->out_read, sup->out_write};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	rotate_release(&sup->log);
	control_release(&sup->control);
	free(sup->release_dir);
	free(sup->pid_name);
}

static void report(struct supervisor *sup, int *ready_fd)
{
	Fairlead__V1__ServiceStatus status = FAIRLEAD__V1__SERVICE_STATUS__INIT;
	fill_status(sup, &status);
	Fairlead__V1__ShimReply reply = FAIRLEAD__V1__SHIM_REPLY__INIT;
	reply.status = &status;
	AUTO(buf) struct buf packed = {0};
	PB_PACK(&reply, &packed);
	/* Nobody listening any more is no reason to stop a good service. */
	fd_write_all(*ready_fd, packed.data, packed.len, NULL);
	close(TAKE_FD(*ready_fd));
}

int supervisor_run(const Fairlead__V1__ShimSpec *spec, int *ready_fd, struct err *err)
{
	AUTO(supervisor)
	struct supervisor sup = {
		.signal_fd = -1,
		.out_read = -1,
		.out_write = -1,
		.log = {.fd = -1, .dirfd = -1},
		.control = {.dirfd = -1, .listen_fd = -1},
	};
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		sup.control.clients[i] = -1;
	if (supervisor_open(&sup, spec, err) < 0)
		return -1;
	if (start(&sup, err) < 0) {
		rotate_note(&sup.log, "%s: %s", spec->service, sup.message);
		control_unlink(&sup.control);
		return -1;
	}
	report(&sup, ready_fd);
	loop(&sup);
	/* First away with the name, then the answer: who hears it may start a new shim there. */
	control_unlink(&sup.control);
	Fairlead__V1__ServiceStatus status = FAIRLEAD__V1__SERVICE_STATUS__INIT;
	fill_status(&sup, &status);
	control_stopped(&sup.control, &status);
	return 0;
}
