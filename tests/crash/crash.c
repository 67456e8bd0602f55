/* Preloaded into fairlead-agent by the crash tests: counts its durable acts (whatever changes a
 * disk, starts a process or tells one to end) and kills it at one of them.
 *
 * The control file, mapped here and by the test (strike.py), is struct control. An act's number
 * is taken by the core and its forked workers alike; programs that the core starts are left
 * alone, for they do not inherit the preload. */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { ACTS_MAX = 65536, ACT_SIZE = 64 };

enum when { STRIKE_BEFORE, STRIKE_AFTER, STRIKE_TORN };

struct control {
	atomic_uint count; /* of acts, over all runs of the agent */
	atomic_uint at;    /* strike at this act; 0: never */
	atomic_uint when;
	atomic_uint struck;
	char acts[ACTS_MAX][ACT_SIZE]; /* what act i + 1 was */
};

static struct control *control;
static pid_t core;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);
	if (!found)
		abort();
	return found;
}

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("FAIRLEAD_CRASH_CONTROL");
	unsetenv("LD_PRELOAD");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		abort();
	core = getpid();
	control = map;
}

static _Noreturn void strike(void)
{
	atomic_store(&control->struck, atomic_load(&control->at));
	REAL(kill)(core, SIGKILL);
	raise(SIGKILL); /* a worker; it must not get one act further */
	for (;;)
		pause();
}

/* The next act; true when it is to be cut in the middle. Kills before it, if that is asked. */
static int begin(unsigned *ret_number, const char *what, const char *name)
{
	int errnum = errno;
	*ret_number = 0;
	if (!control)
		return 0;
	unsigned number = atomic_fetch_add(&control->count, 1) + 1;
	if (number <= ACTS_MAX)
		snprintf(control->acts[number - 1], ACT_SIZE, "%s%s %s",
			getpid() == core ? "" : "worker: ", what, name ? name : "");
	*ret_number = number;
	errno = errnum;
	if (atomic_load(&control->at) != number)
		return 0;
	if (atomic_load(&control->when) == STRIKE_BEFORE)
		strike();
	return atomic_load(&control->when) == STRIKE_TORN;
}

static void end(unsigned number)
{
	if (control && number && atomic_load(&control->at) == number)
		strike();
}

/* ACT(call, what, name): make the call as one act and return its result. */
#define ACT(call, what, name)                                                                      \
	do {                                                                                       \
		unsigned number_;                                                                  \
		begin(&number_, what, name);                                                       \
		__typeof__(call) result_ = (call);                                                 \
		int errnum_ = errno;                                                               \
		end(number_);                                                                      \
		errno = errnum_;                                                                   \
		return result_;                                                                    \
	} while (0)

static int is_regular(int fd)
{
	struct stat st;
	int errnum = errno;
	int regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	errno = errnum;
	return regular;
}

static const char *name_of(int fd, char out[static 256])
{
	char link[32];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, out, 255);
	out[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(out, '/');
	return slash ? slash + 1 : out;
}

ssize_t write(int fd, const void *data, size_t len)
{
	char name[256];
	unsigned number;
	if (!is_regular(fd))
		return REAL(write)(fd, data, len);
	int torn = begin(&number, "write", name_of(fd, name));
	ssize_t n = REAL(write)(fd, data, torn ? len / 2 : len);
	end(number);
	return n;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	char name[256];
	unsigned number;
	int torn = begin(&number, "pwrite", name_of(fd, name));
	ssize_t n = REAL(pwrite)(fd, data, torn ? len / 2 : len, offset);
	end(number);
	return n;
}

int fdatasync(int fd)
{
	char name[256];
	ACT(REAL(fdatasync)(fd), "fdatasync", name_of(fd, name));
}

int fsync(int fd)
{
	char name[256];
	ACT(REAL(fsync)(fd), "fsync", name_of(fd, name));
}

int syncfs(int fd)
{
	char name[256];
	ACT(REAL(syncfs)(fd), "syncfs", name_of(fd, name));
}

int ftruncate(int fd, off_t length)
{
	char name[256];
	ACT(REAL(ftruncate)(fd, length), "ftruncate", name_of(fd, name));
}

int renameat(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	ACT(REAL(renameat)(from_dirfd, from, to_dirfd, to), "renameat to", to);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	ACT(REAL(unlinkat)(dirfd, name, flags), "unlinkat", name);
}

int unlink(const char *name)
{
	ACT(REAL(unlink)(name), "unlink", name);
}

int symlinkat(const char *target, int dirfd, const char *name)
{
	ACT(REAL(symlinkat)(target, dirfd, name), "symlinkat", name);
}

int linkat(int from_dirfd, const char *from, int to_dirfd, const char *to, int flags)
{
	ACT(REAL(linkat)(from_dirfd, from, to_dirfd, to, flags), "linkat", to);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	ACT(REAL(mkdirat)(dirfd, name, mode), "mkdirat", name);
}

int mkdir(const char *name, mode_t mode)
{
	ACT(REAL(mkdir)(name, mode), "mkdir", name);
}

int chmod(const char *name, mode_t mode)
{
	ACT(REAL(chmod)(name, mode), "chmod", name);
}

int fchmod(int fd, mode_t mode)
{
	char name[256];
	ACT(REAL(fchmod)(fd, mode), "fchmod", name_of(fd, name));
}

int fchmodat(int dirfd, const char *name, mode_t mode, int flags)
{
	ACT(REAL(fchmodat)(dirfd, name, mode, flags), "fchmodat", name);
}

int fchownat(int dirfd, const char *name, uid_t user, gid_t group, int flags)
{
	ACT(REAL(fchownat)(dirfd, name, user, group, flags), "fchownat", name);
}

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
	if (!(flags & O_CREAT))
		return REAL(open)(path, flags, mode);
	ACT(REAL(open)(path, flags, mode), "create", path);
}

int openat(int dirfd, const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = mode_argument(flags, ap);
	va_end(ap);
	if (!(flags & O_CREAT))
		return REAL(openat)(dirfd, path, flags, mode);
	ACT(REAL(openat)(dirfd, path, flags, mode), "create", path);
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
	const uint64_t *flags = (const uint64_t *)a[2]; /* the first field of struct open_how */
	if (number != SYS_openat2 || !(*flags & O_CREAT))
		return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	ACT(REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]), "create",
		(const char *)a[1]);
}

/* A new process: a worker, the gateway, a probe or a supervisor. */
pid_t fork(void)
{
	unsigned number = 0;
	if (getpid() == core)
		begin(&number, "fork", NULL);
	pid_t pid = REAL(fork)();
	if (pid != 0)
		end(number);
	return pid;
}

/* A word to a supervisor (agent/shim/control.h): `stop`, not `status`, which changes nothing. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	static const char stop[] = {0x08, 0x02};
	const struct iovec *iov = message->msg_iov;
	if (iov->iov_len != sizeof(stop) || memcmp(iov->iov_base, stop, sizeof(stop)) != 0)
		return REAL(sendmsg)(fd, message, flags);
	ACT(REAL(sendmsg)(fd, message, flags), "send", "stop");
}

int kill(pid_t pid, int signal)
{
	ACT(REAL(kill)(pid, signal), "kill", NULL);
}
