/* Preloaded into fairlead-agent by the power loss tests: writes down everything that the core and
 * its workers do to the disk, with the data, so that power.py can say what a power loss would
 * have left. In every program it is preloaded into, it also gives the host a new boot.
 *
 * The log is a row of struct entry, each followed by its two names and its data. Inodes say what
 * an entry is about: names change, and a tree that is moved keeps its inodes. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct control {
	atomic_uint armed;
	atomic_uint count; /* of entries, also of those that are not written down */
};

enum kind { MAKE = 1, LINK, UNLINK, RENAME, WRITE, TRUNCATE, CHMOD, SYNC, SYNC_ALL };

struct entry {
	uint32_t kind, mode; /* MAKE: st_mode of what was made; CHMOD: the new one */
	uint64_t inode;      /* of what it is about */
	uint64_t dir, to;    /* of the folder with the name; RENAME: of the one it goes to */
	int64_t offset;      /* WRITE: where; TRUNCATE: the new size */
	int64_t mtime_ns;    /* of the inode afterwards */
	uint32_t name_len, to_len, data_len, padding;
};

static struct control *control;
static int log_fd = -1;

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
	const char *path = getenv("FAIRLEAD_POWER_CONTROL"), *log = getenv("FAIRLEAD_POWER_LOG");
	if (!path || !log || strcmp(program_invocation_short_name, "fairlead-agent") != 0)
		return;
	int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
	void *map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	log_fd = REAL(open)(log, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (map == MAP_FAILED || log_fd < 0)
		abort();
	control = map;
}

/* Only what has succeeded is an act. errno stays. */
static void put(struct entry *entry, const char *name, const char *to, const void *data)
{
	int errnum = errno;
	if (!control)
		return;
	atomic_fetch_add(&control->count, 1);
	if (!atomic_load(&control->armed))
		return;
	entry->name_len = name ? (uint32_t)strlen(name) : 0;
	entry->to_len = to ? (uint32_t)strlen(to) : 0;
	size_t size = sizeof(*entry) + entry->name_len + entry->to_len + entry->data_len;
	char *bytes = malloc(size), *at = bytes;
	if (!bytes)
		abort();
	at = mempcpy(at, entry, sizeof(*entry));
	at = mempcpy(at, name ? name : "", entry->name_len);
	at = mempcpy(at, to ? to : "", entry->to_len);
	memcpy(at, data ? data : "", entry->data_len);
	if (REAL(write)(log_fd, bytes, size) != (ssize_t)size)
		abort();
	free(bytes);
	errno = errnum;
}

/* The folder that `path` has its last name in; *ret_name within path. */
static uint64_t folder_of(int dirfd, const char *path, const char **ret_name)
{
	struct stat st = {0};
	const char *slash = strrchr(path, '/');
	*ret_name = slash ? slash + 1 : path;
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
	fstatat(dirfd, folder ? folder : "", &st, AT_EMPTY_PATH);
	if (!folder && dirfd == AT_FDCWD)
		stat(".", &st);
	free(folder);
	return st.st_ino;
}

static void describe(struct entry *entry, const struct stat *st)
{
	entry->inode = st->st_ino;
	entry->mode = st->st_mode;
	entry->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static void named(enum kind kind, int dirfd, const char *path, const char *target)
{
	struct stat st;
	const char *name;
	struct entry entry = {.kind = kind};
	if (!control || fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	describe(&entry, &st);
	entry.dir = folder_of(dirfd, path, &name);
	entry.data_len = target ? (uint32_t)strlen(target) : 0;
	put(&entry, name, NULL, target);
}

static void by_fd(enum kind kind, int fd, int64_t offset, const void *data, size_t len)
{
	struct stat st;
	struct entry entry = {.kind = kind, .offset = offset, .data_len = (uint32_t)len};
	if (!control || fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return;
	describe(&entry, &st);
	put(&entry, NULL, NULL, data);
}

ssize_t write(int fd, const void *data, size_t len)
{
	ssize_t n = REAL(write)(fd, data, len);
	if (n > 0)
		by_fd(WRITE, fd, lseek(fd, 0, SEEK_CUR) - n, data, (size_t)n);
	return n;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	ssize_t n = REAL(pwrite)(fd, data, len, offset);
	if (n > 0)
		by_fd(WRITE, fd, offset, data, (size_t)n);
	return n;
}

int ftruncate(int fd, off_t length)
{
	int rc = REAL(ftruncate)(fd, length);
	if (rc == 0)
		by_fd(TRUNCATE, fd, length, NULL, 0);
	return rc;
}

int fchmod(int fd, mode_t mode)
{
	int rc = REAL(fchmod)(fd, mode);
	if (rc == 0)
		by_fd(CHMOD, fd, 0, NULL, 0);
	return rc;
}

/* Durable is only what was there when it was asked for, and has returned. */
#define SYNC_CALL(name, kind)                                                                      \
	int name(int fd)                                                                           \
	{                                                                                          \
		int rc = REAL(name)(fd);                                                           \
		if (rc == 0)                                                                       \
			by_fd(kind, fd, 0, NULL, 0);                                               \
		return rc;                                                                         \
	}
SYNC_CALL(fsync, SYNC)
SYNC_CALL(fdatasync, SYNC)
SYNC_CALL(syncfs, SYNC_ALL)

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat st;
	struct entry entry = {.kind = RENAME};
	const char *name, *to_name;
	int there = fstatat(from_fd, from, &st, AT_SYMLINK_NOFOLLOW) == 0;
	int rc = REAL(renameat)(from_fd, from, to_fd, to);
	if (rc < 0 || !there)
		return rc;
	describe(&entry, &st);
	entry.dir = folder_of(from_fd, from, &name);
	entry.to = folder_of(to_fd, to, &to_name);
	put(&entry, name, to_name, NULL);
	return rc;
}

int unlinkat(int dirfd, const char *path, int flags)
{
	struct stat st;
	struct entry entry = {.kind = UNLINK};
	const char *name;
	int there = fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	int rc = REAL(unlinkat)(dirfd, path, flags);
	if (rc < 0 || !there)
		return rc;
	describe(&entry, &st);
	entry.dir = folder_of(dirfd, path, &name);
	put(&entry, name, NULL, NULL);
	return rc;
}

int symlinkat(const char *target, int dirfd, const char *path)
{
	int rc = REAL(symlinkat)(target, dirfd, path);
	if (rc == 0)
		named(MAKE, dirfd, path, target);
	return rc;
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	int rc = REAL(linkat)(from_fd, from, to_fd, to, flags);
	if (rc == 0)
		named(LINK, to_fd, to, NULL);
	return rc;
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	int rc = REAL(mkdirat)(dirfd, path, mode);
	if (rc == 0)
		named(MAKE, dirfd, path, NULL);
	return rc;
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	int rc = REAL(fchmodat)(dirfd, path, mode, flags);
	if (rc == 0)
		named(CHMOD, dirfd, path, NULL);
	return rc;
}

int chmod(const char *path, mode_t mode)
{
	return fchmodat(AT_FDCWD, path, mode, 0);
}

/* What an open has made or emptied; `there` says whether the name was, before. */
static void opened(int fd, int dirfd, const char *path, long flags, int there)
{
	if (fd < 0 || (flags & __O_TMPFILE) == __O_TMPFILE)
		return;
	if ((flags & O_CREAT) && !there)
		named(MAKE, dirfd, path, NULL);
	else if (flags & O_TRUNC)
		by_fd(TRUNCATE, fd, 0, NULL, 0);
}

static int is_there(int dirfd, const char *path)
{
	struct stat st;
	return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static const char *or_boot(const char *path)
{
	const char *boot = getenv("FAIRLEAD_POWER_BOOT");
	return boot && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? boot : path;
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
	path = or_boot(path);
	int there = is_there(AT_FDCWD, path);
	int fd = REAL(open)(path, flags, mode);
	opened(fd, AT_FDCWD, path, flags, there);
	return fd;
}

int openat(int dirfd, const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = mode_argument(flags, ap);
	va_end(ap);
	path = or_boot(path);
	int there = is_there(dirfd, path);
	int fd = REAL(openat)(dirfd, path, flags, mode);
	opened(fd, dirfd, path, flags, there);
	return fd;
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
	if (number != SYS_openat2)
		return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	long flags = (long)*(const uint64_t *)a[2]; /* the first field of struct open_how */
	int there = is_there((int)a[0], (const char *)a[1]);
	long fd = REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	opened((int)fd, (int)a[0], (const char *)a[1], flags, there);
	return fd;
}
