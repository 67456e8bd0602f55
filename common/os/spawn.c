#include "common/os/spawn.h"

#include "common/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Fds being moved wait from here on, above every `to`. */
enum { FD_STAGING = 64 };

/* What the child tells through the error pipe before it gives up. */
enum stage {
	STAGE_FORK,
	STAGE_FDS,
	STAGE_SESSION,
	STAGE_LIMITS,
	STAGE_USER,
	STAGE_CWD,
	STAGE_EXEC,
	STAGE_COUNT
};
static const char *const stage_names[] = {
	[STAGE_FORK] = "fork",
	[STAGE_FDS] = "pass file descriptors",
	[STAGE_SESSION] = "start a session",
	[STAGE_LIMITS] = "set the resource limits",
	[STAGE_USER] = "change the user",
	[STAGE_CWD] = "enter the working directory",
	[STAGE_EXEC] = "execute",
};
static_assert(ARRAY_LEN(stage_names) == STAGE_COUNT, "a stage without a name");

struct failure {
	enum stage stage;
	int errnum;
};

/* All signals stay blocked from before fork until the child has default handlers: a handler of
 * the parent's that ran in the child would write into pipes the two still share. */
static pid_t fork_quietly(void)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid != 0) {
		int errnum = errno;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		errno = errnum;
		return pid;
	}
	struct sigaction plain = {.sa_handler = SIG_DFL};
	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &plain, NULL);
	return 0;
}

/* From here to exec only async-signal-safe calls: other threads of the parent may have held any
 * lock when it forked. */
static int child_fds(const struct spawn *spawn, int *error_fd)
{
	int moved[SPAWN_FDS_MAX];
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	int error_at = fcntl(*error_fd, F_DUPFD_CLOEXEC, FD_STAGING);
	if (error_at < 0)
		return -1;
	*error_fd = error_at;
	int stdin_mapped = 0;
	for (size_t i = 0; i < spawn->fd_count; i++) {
		moved[i] = fcntl(spawn->fds[i].from, F_DUPFD_CLOEXEC, FD_STAGING);
		if (moved[i] < 0)
			return -1;
		stdin_mapped |= spawn->fds[i].to == STDIN_FILENO;
	}
	for (size_t i = 0; i < spawn->fd_count; i++)
		if (dup2(moved[i], spawn->fds[i].to) < 0)
			return -1;
	if (stdin_mapped)
		return 0;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return null < 0 ? -1 : dup2(null, STDIN_FILENO);
}

static int child_limit(int resource, uint64_t value)
{
	struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
	return value ? setrlimit((__rlimit_resource_t)resource, &limit) : 0;
}

/* "0" is whoever writes (cgroups(7)). */
static int child_join(const struct spawn *spawn)
{
	for (size_t i = 0; i < spawn->join_count; i++)
		if (write(spawn->join[i], "0", 1) != 1)
			return -1;
	return 0;
}

static int child_user(const struct spawn_user *user)
{
	if (!user)
		return 0;
	if (setgroups((size_t)user->group_count, user->groups) < 0 ||
		setresgid(user->gid, user->gid, user->gid) < 0)
		return -1;
	return setresuid(user->uid, user->uid, user->uid);
}

static _Noreturn void child_give_up(int error_fd, enum stage stage)
{
	struct failure failure = {stage, errno};
	/* A pipe takes so little whole or not at all; nobody is left to tell otherwise. */
	if (write(error_fd, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

/* execve writes through neither; its signature is older than const. */
static char *const *strings(const char *const *in)
{
	union {
		const char *const *in;
		char *const *out;
	} borrowed = {.in = in};
	return borrowed.out;
}

/* With zeros in front, as strtoul(3) of base 10 reads it. */
static void child_pid(char *slot)
{
	pid_t pid = getpid();
	for (int i = SPAWN_PID_DIGITS; slot && i > 0; pid /= 10)
		slot[--i] = (char)('0' + pid % 10);
}

static _Noreturn void child_main(const struct spawn *spawn, int error_fd)
{
	/* First, while the fds have the numbers they had. */
	if (child_join(spawn) < 0)
		child_give_up(error_fd, STAGE_LIMITS);
	if (child_fds(spawn, &error_fd) < 0)
		child_give_up(error_fd, STAGE_FDS);
	if (spawn->place != SPAWN_CHILD && setsid() < 0)
		child_give_up(error_fd, STAGE_SESSION);
	if (spawn->place == SPAWN_DETACHED) {
		pid_t pid = fork();
		if (pid < 0)
			child_give_up(error_fd, STAGE_FORK);
		if (pid > 0)
			_exit(0);
	}
	/* Limits may need the rights that the next step gives away. */
	if (child_limit(RLIMIT_AS, spawn->memory_bytes) < 0 ||
		child_limit(RLIMIT_NOFILE, spawn->open_files) < 0 ||
		child_limit(RLIMIT_NPROC, spawn->processes) < 0)
		child_give_up(error_fd, STAGE_LIMITS);
	if (child_user(spawn->user) < 0 || (spawn->privileges == SPAWN_NO_NEW_PRIVILEGES &&
						   prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		child_give_up(error_fd, STAGE_USER);
	if (spawn->cwd && chdir(spawn->cwd) < 0)
		child_give_up(error_fd, STAGE_CWD);
	child_pid(spawn->pid_slot);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(spawn->program, strings(spawn->argv), spawn->env ? strings(spawn->env) : environ);
	child_give_up(error_fd, STAGE_EXEC);
}

/* The host's trouble, whatever the program is like. */
static bool is_hosts(int errnum)
{
	return errnum == EIO || errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM ||
	       errnum == EAGAIN || errnum == ENOSPC || errnum == EINTR;
}

static int explain(const struct spawn *spawn, const struct failure *failure, struct err *err)
{
	const char *name = spawn->argv[0];
	int errnum = failure->errnum;
	if (is_hosts(errnum) && failure->stage < STAGE_COUNT)
		return err_errno(err, ERR_INTERNAL, errnum, "cannot start '%s': cannot %s", name,
			stage_names[failure->stage]);
	switch (failure->stage) {
	case STAGE_EXEC:
		err_errno(err, ERR_FAILED, errnum, "cannot execute '%s'", name);
		if (errnum == ENOENT && access(spawn->program, F_OK) == 0)
			return err_hint(err,
				"The file is there; the interpreter on its first line is not.");
		if (errnum == EACCES)
			return err_hint(err, "Make it executable (git keeps the mode: git "
					     "update-index --chmod=+x), and the way to it too.");
		if (errnum == ENOEXEC)
			return err_hint(err, "Begin a script with a line such as #!/bin/sh.");
		return -1;
	case STAGE_CWD:
		return err_errno(
			err, ERR_FAILED, errnum, "cannot start '%s' in '%s'", name, spawn->cwd);
	case STAGE_USER:
		return err_errno(err, ERR_FAILED, errnum, "cannot start '%s' as user '%s'", name,
			spawn->user ? spawn->user->name : "");
	case STAGE_FORK:
	case STAGE_FDS:
	case STAGE_SESSION:
	case STAGE_LIMITS:
	case STAGE_COUNT:
		break;
	}
	return err_errno(err, ERR_FAILED, errnum, "cannot start '%s': cannot %s", name,
		failure->stage < STAGE_COUNT ? stage_names[failure->stage] : "start");
}

/* Blocks until exec (the pipe closes) or its failure. */
static int read_failure(int fd, struct failure *ret)
{
	ssize_t n;
	do
		n = read(fd, ret, sizeof(*ret));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*ret);
}

static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int adopt(pid_t pid, struct spawned *ret, struct err *err)
{
	int pidfd = pidfd_open(pid, 0); /* close-on-exec by nature */
	if (pidfd < 0) {
		int errnum = errno;
		kill(pid, SIGKILL);
		wait_for(pid);
		return err_errno(err, ERR_INTERNAL, errnum, "cannot watch process %d", pid);
	}
	*ret = (struct spawned){.pid = pid, .pidfd = pidfd};
	return 0;
}

int spawn_run(const struct spawn *spawn, struct spawned *ret, struct err *err)
{
	assert(spawn->fd_count <= SPAWN_FDS_MAX);
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a pipe");
	AUTO_CLOSE int error_read = pipe_fds[0];
	AUTO_CLOSE int error_write = pipe_fds[1];
	pid_t pid = fork_quietly();
	if (pid == 0)
		child_main(spawn, error_write);
	if (pid < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot start '%s'", spawn->argv[0]);
	close(TAKE_FD(error_write));
	struct failure failure;
	int failed = read_failure(error_read, &failure);
	if (failed || spawn->place == SPAWN_DETACHED)
		wait_for(pid);
	if (failed)
		return explain(spawn, &failure, err);
	if (spawn->place == SPAWN_DETACHED) {
		*ret = SPAWNED_INIT;
		return 0;
	}
	return adopt(pid, ret, err);
}

static void close_all_but(const int *keep, size_t count)
{
	unsigned from = 3;
	for (;;) {
		unsigned next = ~0U; /* the smallest fd kept, from `from` on */
		for (size_t i = 0; i < count; i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next > from)
			close_range(from, next == ~0U ? next : next - 1, 0);
		if (next == ~0U)
			return;
		from = next + 1;
	}
}

int spawn_fork(int (*run)(void *user), void *user, const int *keep, size_t keep_count,
	struct spawned *ret, struct err *err)
{
	pid_t pid = fork_quietly();
	if (pid == 0) {
		close_all_but(keep, keep_count);
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		_exit(run(user));
	}
	if (pid < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot fork a worker");
	return adopt(pid, ret, err);
}

int spawn_reap(struct spawned *spawned, struct spawn_end *ret, struct err *err)
{
	siginfo_t info = {0};
	int rc;
	do
		rc = waitid(P_PIDFD, (id_t)spawned->pidfd, &info, WEXITED | WNOHANG);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return err_errno(
			err, ERR_INTERNAL, errno, "cannot wait for process %d", spawned->pid);
	if (info.si_pid == 0)
		return SPAWN_RUNNING;
	int exited = info.si_code == CLD_EXITED;
	*ret = (struct spawn_end){
		.status = exited ? info.si_status : 0,
		.signal = exited ? 0 : info.si_status,
	};
	spawned_release(spawned);
	return SPAWN_ENDED;
}

void spawn_kill(const struct spawned *spawned, int signal)
{
	if (spawned->pidfd >= 0)
		pidfd_send_signal(spawned->pidfd, signal, NULL, 0);
}

void spawned_release(struct spawned *spawned)
{
	if (spawned->pidfd >= 0)
		close(spawned->pidfd);
	*spawned = SPAWNED_INIT;
}

char *spawn_end_text(const struct spawn_end *end, char out[static SPAWN_END_SIZE])
{
	if (end->signal)
		snprintf(out, SPAWN_END_SIZE, "killed by signal %d (%s)", end->signal,
			sigdescr_np(end->signal) ? sigdescr_np(end->signal) : "unknown");
	else
		snprintf(out, SPAWN_END_SIZE, "exited with status %d", end->status);
	return out;
}

static char *executable(char *path)
{
	struct stat st;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

char *spawn_find(const char *path, const char *base, const char *name)
{
	if (name[0] == '/')
		return executable(xstrdup(name));
	if (strchr(name, '/'))
		return executable(xasprintf("%s/%s", base, name));
	for (const char *at = path;; at++) {
		size_t len = strcspn(at, ":");
		char *found = len ? executable(xasprintf("%.*s/%s", (int)len, at, name)) : NULL;
		at += len;
		if (found || !*at)
			return found;
	}
}

static int copy_user(const struct passwd *pw, struct spawn_user *ret, struct err *err)
{
	struct spawn_user user = {
		.name = xstrdup(pw->pw_name),
		.home = xstrdup(pw->pw_dir),
		.uid = pw->pw_uid,
		.gid = pw->pw_gid,
		.group_count = 16,
	};
	for (;;) {
		int room = user.group_count;
		user.groups = xrealloc(user.groups, (size_t)room * sizeof(gid_t));
		if (getgrouplist(user.name, user.gid, user.groups, &user.group_count) >= 0)
			break;
		if (user.group_count <= room) {
			err_set(err, ERR_INTERNAL, "cannot list the groups of user '%s'",
				user.name);
			spawn_user_release(&user);
			return -1;
		}
	}
	*ret = user;
	return 0;
}

int spawn_user_find(const char *name, struct spawn_user *ret, struct err *err)
{
	errno = 0;
	const struct passwd *pw = name ? getpwnam(name) : getpwuid(getuid());
	if (pw)
		return copy_user(pw, ret, err);
	if (errno && errno != ENOENT && errno != ESRCH)
		return err_errno(err, ERR_INTERNAL, errno, "cannot look up user '%s'",
			name ? name : "(own)");
	if (name) {
		err_set(err, ERR_CONFIG, "there is no user '%s' on this host", name);
		return err_hint(err, "Create it, or name another user for the service.");
	}
	/* A container may run under a number without an entry. */
	*ret = (struct spawn_user){
		.name = xasprintf("%u", (unsigned)getuid()),
		.home = xstrdup("/"),
		.uid = getuid(),
		.gid = getgid(),
	};
	return 0;
}

void spawn_user_release(struct spawn_user *user)
{
	free(user->name);
	free(user->home);
	free(user->groups);
	*user = (struct spawn_user){0};
}
