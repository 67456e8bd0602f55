#include "common/os/file.h"

#include "common/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *err)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd;
	do {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd < 0)
		return err_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
			"cannot open '%s'", path);
	return (int)fd;
}

int open_dir(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
			"cannot open the directory '%s'", path);
	return fd;
}

int make_dirs(const char *path, mode_t mode, struct err *err)
{
	AUTO_FREE char *copy = xstrdup(path);
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char end = *p;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return err_errno(
				err, ERR_IO, errno, "cannot make the directory '%s'", copy);
		*p = end;
		if (end == '\0')
			return 0;
	}
}

/* Twice as much as before, up to `limit`. */
static int grow(struct buf *content, size_t limit, struct err *err)
{
	size_t extra = content->cap ? content->cap : 4096;
	if (extra > limit - content->len)
		extra = limit - content->len;
	return buf_reserve_max(content, extra, limit, err);
}

int file_read(int dirfd, const char *path, size_t max, struct buf *ret, struct err *err)
{
	AUTO_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
			"cannot open '%s'", path);
	AUTO(buf) struct buf content = {0};
	const size_t limit = max < SIZE_MAX ? max + 1 : max;
	while (content.len < limit) {
		/* A part would pass for the whole: a journal that ends early is cut there. */
		if (content.len == content.cap && grow(&content, limit, err) < 0)
			return err_wrap(err, "'%s'", path);
		ssize_t n = read(fd, content.data + content.len, content.cap - content.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_IO, errno, "cannot read '%s'", path);
		if (n == 0)
			break;
		content.len += (size_t)n;
	}
	if (content.len > max)
		return err_set(err, ERR_LIMIT, "'%s' is larger than %zu bytes", path, max);
	buf_release(ret);
	*ret = content;
	content = (struct buf){0};
	return 0;
}

int fd_write_all(int fd, const void *data, size_t len, struct err *err)
{
	const uint8_t *p = data;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_IO, errno, "cannot write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pwrite_all(int fd, const void *data, size_t len, off_t offset, struct err *err)
{
	const uint8_t *p = data;
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_IO, errno, "cannot write");
		p += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

static int ended_early(struct err *err)
{
	return err_set(err, ERR_CORRUPT, "the file ends too early");
}

int fd_read_exact(int fd, void *data, size_t len, struct err *err)
{
	uint8_t *p = data;
	while (len > 0) {
		ssize_t n = read(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_IO, errno, "cannot read");
		if (n == 0)
			return ended_early(err);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pread_exact(int fd, void *data, size_t len, off_t offset, struct err *err)
{
	uint8_t *p = data;
	while (len > 0) {
		ssize_t n = pread(fd, p, len, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_IO, errno, "cannot read");
		if (n == 0)
			return ended_early(err);
		p += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

int dir_sync(int dirfd, struct err *err)
{
	if (fsync(dirfd) < 0)
		return err_errno(err, ERR_IO, errno, "cannot sync a directory");
	return 0;
}

int file_write_atomic(
	int dirfd, const char *name, struct bytes content, mode_t mode, struct err *err)
{
	AUTO_FREE char *temporary = xasprintf("%s.new", name);
	AUTO_CLOSE int fd = openat(
		dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return err_errno(err, ERR_IO, errno, "cannot create '%s'", temporary);
	if (fchmod(fd, mode) < 0) {
		int errnum = errno;
		unlinkat(dirfd, temporary, 0);
		return err_errno(err, ERR_IO, errnum, "cannot set the mode of '%s'", temporary);
	}
	if (fd_write_all(fd, content.data, content.len, err) < 0) {
		unlinkat(dirfd, temporary, 0);
		return err_wrap(err, "'%s'", temporary);
	}
	if (fsync(fd) < 0 || renameat(dirfd, temporary, dirfd, name) < 0) {
		int errnum = errno;
		unlinkat(dirfd, temporary, 0);
		return err_errno(err, ERR_IO, errnum, "cannot write '%s'", name);
	}
	if (dirfd != AT_FDCWD)
		return dir_sync(dirfd, err);
	const char *slash = strrchr(name, '/');
	AUTO_FREE char *parent = slash ? xstrndup(name, (size_t)(slash - name) + 1) : xstrdup(".");
	AUTO_CLOSE int parent_fd = open_dir(parent, err);
	return parent_fd < 0 ? -1 : dir_sync(parent_fd, err);
}

static int remove_children(int fd, struct err *err)
{
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int errnum = errno;
		close(fd);
		return err_errno(err, ERR_IO, errnum, "cannot list a directory");
	}
	int rc = 0;
	errno = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(dir)); errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		rc = tree_remove(dirfd(dir), entry->d_name, err);
	}
	if (rc == 0 && errno)
		rc = err_errno(err, ERR_IO, errno, "cannot list a directory");
	closedir(dir);
	return rc;
}

int tree_remove(int dirfd, const char *name, struct err *err)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(err, ERR_IO, errno, "cannot remove '%s'", name);
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_IO, errno, "cannot open '%s' to remove it", name);
	if (remove_children(fd, err) < 0)
		return err_wrap(err, "'%s'", name);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		return err_errno(err, ERR_IO, errno, "cannot remove '%s'", name);
	return 0;
}
