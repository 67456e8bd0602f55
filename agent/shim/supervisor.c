#include "agent/shim/supervisor.h"

#include "agent/shim/control.h"
#include "agent/shim/launch.h"
#include "agent/shim/limits.h"
#include "agent/shim/outlet.h"
#include "agent/shim/pidfile.h"
#include "agent/shim/policy.h"
#include "agent/shim/report.h"
#include "agent/shim/rotate.h"
#include "agent/shim/signals.h"
#include "agent/shim/sockets.h"
#include "agent/shim/tree.h"
#include "common/base/digest.h"
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

/* Whoever stopped a service to start it again is back within moments, also after a crash. */
enum { KEEP_MS = 5 * 60 * 1000 };

enum phase {
	PHASE_RUNNING,
	PHASE_ENDING,
	PHASE_WAITING,
	PHASE_RESTING,
	PHASE_KEEPING, /* nothing left but the sockets */
	PHASE_DONE,
};

struct supervisor {
	const Fairlead__V1__ShimSpec *spec;
	char *release_dir;
	char *pid_name; /* beside the socket */
	int stop_signal;
	struct policy policy;
	struct rotate log;
	struct control control;
	struct sockets sockets;
	struct limits limits;
	int signal_fd;
	struct outlet output;

	enum phase phase;
	enum policy_next next; /* what follows `ending`, unless stopping */
	int stopping;
	int keeps;            /* the sockets, when it has stopped */
	int gave;             /* them and the control socket's name to a successor */
	int killing;          /* `ending` has come to SIGKILL */
	uint64_t deadline_ms; /* of ending, waiting and keeping */

	pid_t pid; /* 0: the main process has ended */
	uint64_t started_mono_ms;
	uint64_t started_unix_ms;
	unsigned restarts;
	char message[256];
};

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
	ret->limits = pb_str(sup->limits.held);
}

static void begin_ending(struct supervisor *sup)
{
	sup->phase = PHASE_ENDING;
	sup->killing = 0;
	sup->deadline_ms = clock_mono_ms() + sup->spec->stop_timeout_ms;
	struct err why = ERR_INIT;
	if (tree_signal(sup->stop_signal, &why) == 0)
		return;
	rotate_note(&sup->log, "%s: only its main process is told to end: %s", sup->spec->service,
		why.message);
	if (sup->pid)
		kill(sup->pid, sup->stop_signal);
}

/* The main process has ended, or never began. */
static void decide_next(struct supervisor *sup, const struct spawn_end *end)
{
	char why[SPAWN_END_SIZE];
	if (limits_memory_kill(&sup->limits) && end->signal == SIGKILL)
		snprintf(sup->message, sizeof(sup->message),
			"killed by the kernel: it used more than its limit of memory");
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
	if (launch_service(sup->spec, &sup->sockets, &sup->limits, sup->output.write_fd, &sup->pid,
		    err) < 0) {
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

static void answer_stopped(struct supervisor *sup)
{
	Fairlead__V1__ServiceStatus status = FAIRLEAD__V1__SERVICE_STATUS__INIT;
	fill_status(sup, &status);
	control_stopped(&sup->control, &status);
}

static void stopped(struct supervisor *sup)
{
	/* Before anybody hears of the end: the next shim makes groups of the same names. */
	limits_release(&sup->limits);
	sup->phase = PHASE_DONE;
	if (!sup->keeps || sup->sockets.count == 0)
		return;
	sup->phase = PHASE_KEEPING;
	sup->deadline_ms = clock_mono_ms() + KEEP_MS;
	rotate_note(&sup->log, "%s: its sockets wait for its next start", sup->spec->service);
	answer_stopped(sup);
}

static void nothing_left(struct supervisor *sup)
{
	outlet_drain(&sup->output, &sup->log);
	sup->phase = PHASE_RESTING;
	if (sup->stopping)
		stopped(sup);
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
		/* When the tree cannot be walked now, it is walked the next time. */
		tree_signal(SIGKILL, NULL);
		sup->deadline_ms = clock_mono_ms() + KILL_AGAIN_MS;
		break;
	case PHASE_KEEPING:
		sup->phase = PHASE_DONE;
		break;
	case PHASE_RUNNING:
	case PHASE_RESTING:
	case PHASE_DONE:
		break;
	}
}

/* The last word on the sockets counts. */
static void stop(void *user, enum control_stop how)
{
	struct supervisor *sup = user;
	sup->keeps = how == CONTROL_STOP_KEEPING;
	int began = sup->stopping;
	sup->stopping = 1;
	if (sup->phase == PHASE_RUNNING && !began)
		begin_ending(sup);
	else if (sup->phase != PHASE_ENDING)
		stopped(sup);
}

static const struct sockets *give(void *user)
{
	struct supervisor *sup = user;
	if (sup->phase != PHASE_KEEPING)
		return NULL;
	sup->phase = PHASE_DONE;
	sup->gave = 1;
	return &sup->sockets;
}

static void on_signals(struct supervisor *sup)
{
	struct signalfd_siginfo info;
	while (read(sup->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGHUP)
			stop(sup, CONTROL_STOP);
	reap(sup);
}

static int poll_timeout(const struct supervisor *sup)
{
	if (sup->phase != PHASE_ENDING && sup->phase != PHASE_WAITING &&
		sup->phase != PHASE_KEEPING)
		return -1;
	uint64_t now = clock_mono_ms();
	uint64_t left = sup->deadline_ms > now ? sup->deadline_ms - now : 0;
	return left > INT32_MAX ? INT32_MAX : (int)left;
}

/* Until the next deadline, or until the control socket may be accepted from again. */
static int wait_ms(const struct supervisor *sup)
{
	int deadline = poll_timeout(sup), control = control_timeout_ms(&sup->control);
	return control >= 0 && (deadline < 0 || control < deadline) ? control : deadline;
}

static void loop(struct supervisor *sup)
{
	const struct control_calls calls = {
		.status = fill_status, .stop = stop, .give = give, .user = sup};
	while (sup->phase != PHASE_DONE) {
		struct pollfd fds[2 + CONTROL_FDS] = {
			{.fd = sup->signal_fd, .events = POLLIN},
			{.fd = sup->output.read_fd, .events = POLLIN},
		};
		control_fds(&sup->control, fds + 2);
		int ready = poll(fds, ARRAY_LEN(fds), wait_ms(sup));
		if (ready > 0 && fds[1].revents)
			outlet_drain(&sup->output, &sup->log);
		if (ready > 0 && fds[0].revents)
			on_signals(sup);
		if (ready > 0)
			control_serve(&sup->control, fds + 2, &calls);
		if (poll_timeout(sup) == 0)
			on_deadline(sup);
	}
}

/* Named by where the service is, which no other one on this host shares. */
static void open_limits(struct supervisor *sup, const char *place)
{
	struct digest digest = digest_of(place, strlen(place));
	char hex[DIGEST_HEX_SIZE];
	AUTO_FREE char *name =
		xasprintf("fairlead-%s-%.16s", sup->spec->service, digest_hex(&digest, hex));
	limits_open(&sup->limits, sup->spec->process->limits, name,
		geteuid() == 0 && !*sup->spec->process->user);
}

static int supervisor_open(
	struct supervisor *sup, const Fairlead__V1__ShimSpec *spec, struct err *err)
{
	AUTO_FREE char *log_path = launch_string(spec->log_path);
	AUTO_FREE char *socket_path = launch_string(spec->socket_path);
	sup->spec = spec;
	sup->release_dir = launch_string(spec->release_dir);
	sup->pid_name = xasprintf("%s.pid", spec->service);
	sup->stop_signal = signals_number(spec->stop_signal);
	if (!sup->stop_signal)
		return err_set(err, ERR_CONFIG, "there is no signal '%s'", spec->stop_signal);
	if (!spec->process || spec->process->n_command == 0)
		return err_set(err, ERR_CONFIG, "service '%s' has no command", spec->service);
	if (policy_init(&sup->policy, spec->process->restart, err) < 0 || tree_adopt(err) < 0 ||
		(sup->signal_fd = signals_open(err)) < 0 || outlet_open(&sup->output, err) < 0 ||
		rotate_open(&sup->log, log_path, spec->log_max_bytes, spec->log_keep, err) < 0 ||
		sockets_open(&sup->sockets, spec->process, spec->service, socket_path, err) < 0)
		return -1;
	if (control_open(&sup->control, socket_path, err) < 0)
		return -1;
	open_limits(sup, socket_path);
	return 0;
}

static void supervisor_release(struct supervisor *sup)
{
	const int fds[] = {sup->signal_fd, sup->output.read_fd, sup->output.write_fd};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	rotate_release(&sup->log);
	control_release(&sup->control);
	sockets_release(&sup->sockets);
	limits_release(&sup->limits);
	free(sup->release_dir);
	free(sup->pid_name);
}

static int begin(struct supervisor *sup, int *ready_fd, struct err *err)
{
	if (start(sup, err) < 0) {
		rotate_note(&sup->log, "%s: %s", sup->spec->service, sup->message);
		if (sup->sockets.count == 0)
			return -1;
		sup->phase = PHASE_RESTING;
		report_failure(ready_fd, err);
		stop(sup, CONTROL_STOP_KEEPING);
		return 0;
	}
	Fairlead__V1__ServiceStatus status = FAIRLEAD__V1__SERVICE_STATUS__INIT;
	fill_status(sup, &status);
	report_status(ready_fd, &status);
	return 0;
}

int supervisor_run(const Fairlead__V1__ShimSpec *spec, int *ready_fd, struct err *err)
{
	AUTO(supervisor)
	struct supervisor sup = {
		.signal_fd = -1,
		.output = {-1, -1},
		.log = {.fd = -1, .dirfd = -1},
		.control = {.dirfd = -1, .listen_fd = -1},
	};
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		sup.control.clients[i] = -1;
	/* Before anything of ours can be met: the next agent may be looking for who runs here. */
	if (!report_is_awaited(*ready_fd))
		return err_set(err, ERR_CANCELLED, "the agent that asked for it has ended");
	if (supervisor_open(&sup, spec, err) < 0)
		return -1;
	if (begin(&sup, ready_fd, err) < 0) {
		control_unlink(&sup.control);
		return -1;
	}
	loop(&sup);
	/* First away with the name, then the answer: who hears it may start a new shim there. */
	if (!sup.gave)
		control_unlink(&sup.control);
	answer_stopped(&sup);
	return 0;
}
