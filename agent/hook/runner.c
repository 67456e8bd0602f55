#include "agent/hook/runner.h"

#include "agent/hook/tree.h"
#include "common/base/mem.h"
#include "common/os/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { LOOK_MS = 20, UNKILLABLE_MS = 8000 };

enum mood {
	RUNNING,
	STOPPING, /* TERM was sent */
	KILLING,
};

struct state {
	const struct runner *runner;
	int signals; /* signalfd of SIGCHLD */
	struct spawned program;
	struct runner_end result;
	bool ended; /* the program has; the rest of its tree perhaps not */
	enum mood mood;
	uint64_t since_ms; /* of the mood */
};

static void turn(struct state *state, enum mood mood)
{
	if (mood <= state->mood)
		return;
	state->mood = mood;
	state->since_ms = clock_mono_ms();
	if (mood == STOPPING)
		tree_signal_below(getpid(), state->runner->setup->place, SIGTERM);
}

/* The core's next word. Without a core there is no grace: the next one waits. */
static void obey(struct state *state)
{
	char order;
	ssize_t n;
	do
		n = recv(state->runner->socket, &order, 1, 0);
	while (n < 0 && errno == EINTR);
	turn(state, n == 1 && order == RUNNER_STOP ? STOPPING : KILLING);
}

static int begin(struct state *state)
{
	const struct hook_setup *setup = state->runner->setup;
	const struct spawn_fd fds[] = {
		{state->runner->output, STDOUT_FILENO}, {state->runner->output, STDERR_FILENO}};
	const struct spawn spawn = {
		.program = setup->program,
		.argv = setup->argv,
		.env = setup->env,
		.cwd = setup->cwd,
		.fds = fds,
		.fd_count = ARRAY_LEN(fds),
		.user = setup->user,
		.place = SPAWN_SESSION,
	};
	return spawn_run(&spawn, &state->program, &state->result.err);
}

/* Everything that has ended: the program, and what was left to us by its parents. */
static void reap(struct state *state)
{
	struct signalfd_siginfo info;
	while (read(state->signals, &info, sizeof(info)) > 0)
		;
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (pid != state->program.pid)
			continue;
		state->ended = true;
		state->result.end = (struct spawn_end){
			.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
			.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		};
	}
}

/* Nothing is left, or nothing can be done about it. */
static bool is_over(struct state *state)
{
	const struct hook_setup *setup = state->runner->setup;
	reap(state);
	if (state->ended)
		turn(state, STOPPING); /* what the program left behind */
	if (state->mood == RUNNING)
		return false;
	uint64_t age_ms = clock_mono_ms() - state->since_ms;
	if (state->mood == STOPPING && age_ms >= HOOK_GRACE_MS)
		turn(state, KILLING);
	size_t left =
		tree_signal_below(getpid(), setup->place, state->mood == KILLING ? SIGKILL : 0);
	if (left == 0 && state->ended)
		return true;
	if (state->mood != KILLING || age_ms < UNKILLABLE_MS)
		return false;
	err_set(&state->result.err, ERR_FAILED, "%zu processes of '%s' could not be ended", left,
		setup->name);
	return true;
}

static void watch(struct state *state)
{
	while (!is_over(state)) {
		struct pollfd fds[] = {{.fd = state->runner->socket, .events = POLLIN},
			{.fd = state->signals, .events = POLLIN}};
		/* Nothing more can be heard of a core that is gone. */
		nfds_t first = state->mood == KILLING ? 1 : 0;
		int n = poll(
			fds + first, ARRAY_LEN(fds) - first, state->mood == RUNNING ? -1 : LOOK_MS);
		if (n > 0 && first == 0 && fds[0].revents)
			obey(state);
	}
}

static int signals_of_children(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int runner_main(void *user)
{
	struct state state = {.runner = user, .program = SPAWNED_INIT};
	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, "fairlead-hook");
	signal(SIGPIPE, SIG_IGN);
	state.signals = signals_of_children();
	char order = 0;
	ssize_t n = recv(state.runner->socket, &order, 1, 0);
	if (n != 1 || order != RUNNER_GO || state.signals < 0)
		return 1; /* the core is gone, and nothing was begun */
	if (begin(&state) == 0) {
		close(state.runner->output);
		watch(&state);
	}
	n = send(state.runner->socket, &state.result, sizeof(state.result), MSG_NOSIGNAL);
	return n == sizeof(state.result) ? 0 : 1;
}
