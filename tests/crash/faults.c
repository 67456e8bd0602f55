/* Preloaded into fairlead-agent (its workers and supervisors inherit it) and into fairlead by the
 * fault tests: counts the calls of each program to the system, and makes one of them fail once.
 *
 * The control file, mapped here and by the test (faults.py), is struct control. Only calls that
 * a program makes itself are seen, not what the C library does inside of another one. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What fails with -1. CALL(name, result, parameters, arguments, what it is about). */
#define CALLS(CALL)                                                                                \
	CALL(fsync, int, (int fd), (fd), by_fd(fd))                                                \
	CALL(fdatasync, int, (int fd), (fd), by_fd(fd))                                            \
	CALL(syncfs, int, (int fd), (fd), by_fd(fd))                                               \
	CALL(ftruncate, int, (int fd, off_t length), (fd, length), by_fd(fd))                      \
	CALL(lseek, off_t, (int fd, off_t offset, int whence), (fd, offset, whence), by_fd(fd))    \
	CALL(rename, int, (const char *from, const char *to), (from, to), to)                      \
	CALL(renameat, int, (int from_fd, const char *from, int to_fd, const char *to),            \
		(from_fd, from, to_fd, to), to)                                                    \
	CALL(unlink, int, (const char *path), (path), path)                                        \
	CALL(unlinkat, int, (int fd, const char *path, int flags), (fd, path, flags), path)        \
	CALL(rmdir, int, (const char *path), (path), path)                                         \
	CALL(symlinkat, int, (const char *target, int fd, const char *path), (target, fd, path),   \
		path)                                                                              \
	CALL(linkat, int, (int from_fd, const char *from, int to_fd, const char *to, int flags),   \
		(from_fd, from, to_fd, to, flags), to)                                             \
	CALL(mkdir, int, (const char *path, mode_t mode), (path, mode), path)                      \
	CALL(mkdirat, int, (int fd, const char *path, mode_t mode), (fd, path, mode), path)        \
	CALL(chmod, int, (const char *path, mode_t mode), (path, mode), path)                      \
	CALL(fchmod, int, (int fd, mode_t mode), (fd, mode), by_fd(fd))                            \
	CALL(fchmodat, int, (int fd, const char *path, mode_t mode, int flags),                    \
		(fd, path, mode, flags), path)                                                     \
	CALL(fchownat, int, (int fd, const char *path, uid_t uid, gid_t gid, int flags),           \
		(fd, path, uid, gid, flags), path)                                                 \
	CALL(stat, int, (const char *path, struct stat *st), (path, st), path)                     \
	CALL(lstat, int, (const char *path, struct stat *st), (path, st), path)                    \
	CALL(fstat, int, (int fd, struct stat *st), (fd, st), by_fd(fd))                           \
	CALL(fstatat, int, (int fd, const char *path, struct stat *st, int flags),                 \
		(fd, path, st, flags), path)                                                       \
	CALL(access, int, (const char *path, int mode), (path, mode), path)                        \
	CALL(faccessat, int, (int fd, const char *path, int mode, int flags),                      \
		(fd, path, mode, flags), path)                                                     \
	CALL(readlink, ssize_t, (const char *path, char *out, size_t len), (path, out, len), path) \
	CALL(readlinkat, ssize_t, (int fd, const char *path, char *out, size_t len),               \
		(fd, path, out, len), path)                                                        \
	CALL(chdir, int, (const char *path), (path), path)                                         \
	CALL(flock, int, (int fd, int how), (fd, how), by_fd(fd))                                  \
	CALL(memfd_create, int, (const char *name, unsigned flags), (name, flags), name)           \
	CALL(dup2, int, (int from, int to), (from, to), by_fd(from))                               \
	CALL(pipe2, int, (int fds[2], int flags), (fds, flags), "")                                \
	CALL(socket, int, (int domain, int type, int protocol), (domain, type, protocol), "")      \
	CALL(socketpair, int, (int domain, int type, int protocol, int fds[2]),                    \
		(domain, type, protocol, fds), "")                                                 \
	CALL(listen, int, (int fd, int backlog), (fd, backlog), by_fd(fd))                         \
	CALL(setsockopt, int, (int fd, int level, int name, const void *value, socklen_t len),     \
		(fd, level, name, value, len), by_fd(fd))                                          \
	CALL(epoll_create1, int, (int flags), (flags), "")                                         \
	CALL(eventfd, int, (unsigned value, int flags), (value, flags), "")                        \
	CALL(signalfd, int, (int fd, const sigset_t *set, int flags), (fd, set, flags), "")        \
	CALL(epoll_wait, int, (int fd, struct epoll_event *events, int count, int ms),             \
		(fd, events, count, ms), "")                                                       \
	CALL(epoll_pwait, int,                                                                     \
		(int fd, struct epoll_event *events, int count, int ms, const sigset_t *set),      \
		(fd, events, count, ms, set), "")                                                  \
	CALL(poll, int, (struct pollfd * fds, nfds_t count, int ms), (fds, count, ms), "")         \
	CALL(sendmsg, ssize_t, (int fd, const struct msghdr *message, int flags),                  \
		(fd, message, flags), by_fd(fd))                                                   \
	CALL(recvmsg, ssize_t, (int fd, struct msghdr *message, int flags), (fd, message, flags),  \
		by_fd(fd))                                                                         \
	CALL(pidfd_open, int, (pid_t pid, unsigned flags), (pid, flags), "")                       \
	CALL(waitpid, pid_t, (pid_t pid, int *status, int options), (pid, status, options), "")    \
	CALL(waitid, int, (idtype_t type, id_t id, siginfo_t * info, int options),                 \
		(type, id, info, options), "")                                                     \
	CALL(execve, int, (const char *path, char *const *argv, char *const *env),                 \
		(path, argv, env), path)

/* As above, and with data that may go only in part: by CALL's last two, the arguments with `len`
 * as the variable that is cut. */
#define CALLS_IN_PART(CALL)                                                                        \
	CALL(read, (int fd, void *data, size_t len), (fd, data, len))                              \
	CALL(write, (int fd, const void *data, size_t len), (fd, data, len))                       \
	CALL(pread, (int fd, void *data, size_t len, off_t offset), (fd, data, len, offset))       \
	CALL(pwrite, (int fd, const void *data, size_t len, off_t offset),                         \
		(fd, data, len, offset))                                                           \
	CALL(send, (int fd, const void *data, size_t len, int flags), (fd, data, len, flags))      \
	CALL(recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags))

/* Those with a function of their own, below. */
#define OTHER_CALLS(CALL)                                                                          \
	CALL(open)                                                                                 \
	CALL(openat)                                                                               \
	CALL(openat2)                                                                              \
	CALL(close)                                                                                \
	CALL(fcntl)                                                                                \
	CALL(bind)                                                                                 \
	CALL(connect)                                                                              \
	CALL(accept4)                                                                              \
	CALL(fork)                                                                                 \
	CALL(mmap)                                                                                 \
	CALL(opendir)                                                                              \
	CALL(fdopendir)                                                                            \
	CALL(readdir)                                                                              \
	CALL(getpwnam)                                                                             \
	CALL(proc_open)                                                                            \
	CALL(proc_read)                                                                            \
	CALL(proc_close)                                                                           \
	CALL(proc_readdir)

#define NUMBER(name, ...) CALL_##name,
enum call { CALLS(NUMBER) CALLS_IN_PART(NUMBER) OTHER_CALLS(NUMBER) CALL_COUNT };
#define NAME(name, ...) [CALL_##name] = #name,
static const char *const names[] = {CALLS(NAME) CALLS_IN_PART(NAME) OTHER_CALLS(NAME)};

/* A child is what a program forks, until it becomes another one. */
enum program { CORE, CORE_CHILD, SHIM, SHIM_CHILD, COORDINATOR, PROGRAM_COUNT };

enum { CALLS_MAX = 96, NAME_SIZE = 24, SHORT = 9999, WHERE_SIZE = 256 };

struct control {
	atomic_uint activity;              /* calls of all programs */
	atomic_uint armed;                 /* 0: neither count nor fail */
	atomic_uint program, call, number; /* which is to fail: the number-th of this kind */
	atomic_uint how;                   /* its errno, or SHORT */
	atomic_uint struck;
	atomic_uint counts[PROGRAM_COUNT][CALLS_MAX];
	char where[WHERE_SIZE];
	char names[CALLS_MAX][NAME_SIZE];
};
_Static_assert((int)CALL_COUNT <= (int)CALLS_MAX, "the control file has no room");

static struct control *control;
static pid_t self;
static enum program program;

static void *real(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);
	if (!found)
		abort();
	return found;
}
#define REAL(name) ((__typeof__(&name))real(#name))

__attribute__((constructor)) static void attach(void)
{
	static const struct {
		const char *name;
		enum program program;
	} programs[] = {
		{"fairlead-agent", CORE}, {"fairlead-shim", SHIM}, {"fairlead", COORDINATOR}};
	const char *path = getenv("FAIRLEAD_FAULTS_CONTROL");
	size_t i = 0;
	while (i < 3 && strcmp(programs[i].name, program_invocation_short_name) != 0)
		i++;
	if (!path || i == 3)
		return;
	int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
	void *map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		abort();
	REAL(close)(fd);
	self = getpid();
	program = programs[i].program;
	control = map;
	for (size_t call = 0; call < CALL_COUNT; call++)
		snprintf(control->names[call], NAME_SIZE, "%s", names[call]);
}

/* The path behind an fd, in a buffer that the next call of a thread overwrites. */
static const char *by_fd(int fd)
{
	static __thread char out[WHERE_SIZE];
	char link[32];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = REAL(readlink)(link, out, sizeof(out) - 1);
	out[n > 0 ? n : 0] = '\0';
	return out;
}

/* How many processes there are depends on the machine: the calls of a walk over them are counted
 * apart, so that those that follow have the same numbers everywhere. */
static enum call apart(enum call call, const char *path, enum call instead)
{
	return strncmp(path, "/proc", 5) == 0 && strncmp(path, "/proc/self", 10) != 0 &&
			       strncmp(path, "/proc/sys", 9) != 0
		       ? instead
		       : call;
}

/* How this call is to end: 0 as it does, SHORT in part, else with that errno. */
static unsigned verdict(enum call call)
{
	if (!control)
		return 0;
	atomic_fetch_add(&control->activity, 1);
	if (!atomic_load(&control->armed))
		return 0;
	enum program here = program;
	if (program != COORDINATOR && getpid() != self)
		here++;
	unsigned number = atomic_fetch_add(&control->counts[here][call], 1) + 1;
	if (number != atomic_load(&control->number) || call != atomic_load(&control->call) ||
		here != atomic_load(&control->program))
		return 0;
	return atomic_load(&control->how);
}

static void note(const char *what)
{
	snprintf(control->where, WHERE_SIZE, "%s", what ? what : "");
	atomic_store(&control->struck, 1);
}

/* True when the call fails; errno is set then. */
static int fails(enum call call, const char *what)
{
	unsigned how = verdict(call);
	if (!how)
		return 0;
	note(what);
	errno = (int)how;
	return 1;
}

#define DEFINE(name, result, parameters, arguments, what)                                          \
	result name parameters                                                                     \
	{                                                                                          \
		static __typeof__(&name) next_;                                                    \
		int errnum_ = errno;                                                               \
		if (!next_)                                                                        \
			next_ = REAL(name);                                                        \
		unsigned verdict_ = verdict(CALL_##name);                                          \
		if (verdict_) {                                                                    \
			note(what);                                                                \
			errno = (int)verdict_;                                                     \
			return -1;                                                                 \
		}                                                                                  \
		errno = errnum_;                                                                   \
		return next_ arguments;                                                            \
	}
CALLS(DEFINE)

/* What the kernel does not do: a packet or a small write to a pipe goes whole (pipe(7)), only a
 * disk has no space, and neither a pipe nor what is no socket either (an eventfd) has errors;
 * nor does the latter sleep, and so wake for a signal, when it does not block. */
static int cannot_be(enum call call, int fd, size_t len, unsigned how)
{
	struct stat st;
	if (!how || REAL(fstat)(fd, &st) < 0)
		return 0;
	int pipe = S_ISFIFO(st.st_mode), file = S_ISREG(st.st_mode);
	if (!file && !pipe && !S_ISSOCK(st.st_mode))
		return how != EINTR || REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK;
	if (pipe && how != SHORT)
		return how != EINTR;
	if (pipe) /* of which the reader may ask for whole packets: O_DIRECT */
		return call == CALL_read || len <= PIPE_BUF;
	return how == ENOSPC && !file;
}

static enum call in_part(enum call call, int fd)
{
	return control && call == CALL_read ? apart(call, by_fd(fd), CALL_proc_read) : call;
}

#define DEFINE_IN_PART(name, parameters, arguments)                                                \
	ssize_t name parameters                                                                    \
	{                                                                                          \
		static __typeof__(&name) next_;                                                    \
		int errnum_ = errno;                                                               \
		if (!next_)                                                                        \
			next_ = REAL(name);                                                        \
		unsigned verdict_ = verdict(in_part(CALL_##name, fd));                             \
		if (cannot_be(CALL_##name, fd, len, verdict_))                                     \
			verdict_ = 0;                                                              \
		if (verdict_)                                                                      \
			note(by_fd(fd));                                                           \
		if (verdict_ == SHORT) {                                                           \
			len = (len + 1) / 2;                                                       \
		} else if (verdict_) {                                                             \
			errno = (int)verdict_;                                                     \
			return -1;                                                                 \
		}                                                                                  \
		errno = errnum_;                                                                   \
		return next_ arguments;                                                            \
	}
CALLS_IN_PART(DEFINE_IN_PART)

static mode_t mode_argument(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = mode_argument(flags, ap);
	va_end(ap);
	return fails(apart(CALL_open, path, CALL_proc_open), path) ? -1
								   : REAL(open)(path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = mode_argument(flags, ap);
	va_end(ap);
	return fails(CALL_openat, path) ? -1 : REAL(openat)(dirfd, path, flags, mode);
}

/* How openat2 is called: common/os/file.c. */
long syscall(long number, ...)
{
	long a[6];
	va_list ap;
	va_start(ap, number);
	for (size_t i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2 && fails(CALL_openat2, (const char *)a[1]))
		return -1;
	return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The fd is gone in any case: close(2). */
int close(int fd)
{
	unsigned how =
		verdict(control ? apart(CALL_close, by_fd(fd), CALL_proc_close) : CALL_close);
	if (how)
		note(by_fd(fd));
	int rc = REAL(close)(fd);
	if (!how)
		return rc;
	errno = (int)how;
	return -1;
}

int fcntl(int fd, int command, ...)
{
	va_list ap;
	va_start(ap, command);
	long argument = va_arg(ap, long);
	va_end(ap);
	return fails(CALL_fcntl, by_fd(fd)) ? -1 : REAL(fcntl)(fd, command, argument);
}

int bind(int fd, const struct sockaddr *address, socklen_t len)
{
	return fails(CALL_bind, by_fd(fd)) ? -1 : REAL(bind)(fd, address, len);
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
	return fails(CALL_connect, by_fd(fd)) ? -1 : REAL(connect)(fd, address, len);
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	return fails(CALL_accept4, by_fd(fd)) ? -1 : REAL(accept4)(fd, address, len, flags);
}

pid_t fork(void)
{
	return fails(CALL_fork, "") ? -1 : REAL(fork)();
}

void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
	/* Without a file it is memory: allocations that fail are tested elsewhere. */
	if (fd >= 0 && fails(CALL_mmap, by_fd(fd)))
		return MAP_FAILED;
	return REAL(mmap)(address, len, protection, flags, fd, offset);
}

DIR *opendir(const char *path)
{
	return fails(CALL_opendir, path) ? NULL : REAL(opendir)(path);
}

DIR *fdopendir(int fd)
{
	return fails(CALL_fdopendir, by_fd(fd)) ? NULL : REAL(fdopendir)(fd);
}

struct dirent *readdir(DIR *dir)
{
	return fails(apart(CALL_readdir, by_fd(dirfd(dir)), CALL_proc_readdir), by_fd(dirfd(dir)))
		       ? NULL
		       : REAL(readdir)(dir);
}

struct passwd *getpwnam(const char *name)
{
	return fails(CALL_getpwnam, name) ? NULL : REAL(getpwnam)(name);
}
