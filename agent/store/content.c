#include "agent/store/content.h"

#include "agent/store/stat_index.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"

#include <errno.h>

enum { PIECE_SIZE = 128 * 1024 };

int content_corrupt(const struct manifest_entry *entry, const char *what, struct err *err)
{
	AUTO_FREE char *shown = text_escaped(entry->path);
	err_set(err, ERR_CORRUPT, "'%s' %s", shown, what);
	return err_hint(err, "Something changed an installed release; it has to be sent whole.");
}

int content_missing(const struct manifest_entry *entry, const struct err *why, struct err *err)
{
	if (why->code == ERR_NOT_FOUND || why->errnum == ENOTDIR || why->errnum == ELOOP)
		return content_corrupt(entry, "is no longer there", err);
	if (err)
		*err = *why;
	return -1;
}

struct reading {
	struct hasher hasher;
	uint64_t size;
	int to_fd; /* -1: none */
};

static int take_piece(struct reading *reading, const void *data, size_t len, struct err *err)
{
	hasher_update(&reading->hasher, data, len);
	reading->size += len;
	return reading->to_fd < 0 ? 0 : fd_write_all(reading->to_fd, data, len, err);
}

/* Stops as soon as there is more than the entry has: a file that grows ends nothing. */
static int read_file(int fd, uint64_t size, struct reading *reading, struct err *err)
{
	AUTO_FREE uint8_t *piece = xmalloc(PIECE_SIZE);
	for (;;) {
		ssize_t n = read(fd, piece, PIECE_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_IO, errno, "cannot read");
		if (n == 0 || reading->size > size)
			return 0;
		if (take_piece(reading, piece, (size_t)n, err) < 0)
			return -1;
	}
}

static int read_link(int dirfd, const char *name, struct reading *reading, struct err *err)
{
	char target[MANIFEST_PATH_MAX + 1];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target));
	if (n < 0)
		return err_errno(err, ERR_IO, errno, "cannot read a link");
	return take_piece(reading, target, (size_t)n, err);
}

static int open_regular(int dirfd, const char *name, struct stat *st, struct err *err)
{
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, st) < 0)
		return err_errno(err, errno == ENOENT || errno == ELOOP ? ERR_CORRUPT : ERR_IO,
			errno, "cannot open");
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_CORRUPT, "no regular file");
	return TAKE_FD(fd);
}

static bool is_wanted(struct reading *reading, const struct manifest_entry *entry)
{
	struct digest digest = hasher_final(&reading->hasher);
	return reading->size == entry->size && digest_equal(&digest, &entry->digest);
}

static int wrap(const struct manifest_entry *entry, struct err *err)
{
	AUTO_FREE char *shown = text_escaped(entry->path);
	return err_wrap(err, "'%s'", shown);
}

int content_check(int dirfd, const char *name, const struct manifest_entry *entry,
	struct stat *ret_st, struct err *err)
{
	struct reading reading = {.to_fd = -1};
	hasher_init(&reading.hasher);
	if (fstatat(dirfd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? CONTENT_DIFFERS
				       : err_errno(err, ERR_IO, errno, "cannot look at '%s'", name);
	if (!stat_has_shape(ret_st, entry))
		return CONTENT_DIFFERS;
	int rc;
	if (entry->mode == MANIFEST_LINK) {
		rc = read_link(dirfd, name, &reading, err);
	} else {
		AUTO_CLOSE int fd = open_regular(dirfd, name, ret_st, err);
		rc = fd < 0 ? -1 : read_file(fd, entry->size, &reading, err);
	}
	if (rc < 0)
		return wrap(entry, err);
	return is_wanted(&reading, entry) ? CONTENT_SAME : CONTENT_DIFFERS;
}

int content_read(int dirfd, const char *name, const struct manifest_entry *entry, struct buf *ret,
	struct err *err)
{
	struct stat st = {0};
	AUTO_CLOSE int fd = open_regular(dirfd, name, &st, err);
	if (fd < 0)
		return wrap(entry, err);
	if (st.st_size < 0 || (uint64_t)st.st_size != entry->size)
		return content_corrupt(entry, "has another size than when it was installed", err);
	if (buf_reserve_max(ret, (size_t)entry->size, SIZE_MAX, err) < 0 ||
		fd_read_exact(fd, ret->data, (size_t)entry->size, err) < 0)
		return wrap(entry, err);
	ret->len = (size_t)entry->size;
	return 0;
}

int content_copy(
	int dirfd, const char *name, const struct manifest_entry *entry, int to_fd, struct err *err)
{
	struct stat st;
	struct reading reading = {.to_fd = to_fd};
	hasher_init(&reading.hasher);
	AUTO_CLOSE int fd = open_regular(dirfd, name, &st, err);
	if (fd < 0 || read_file(fd, entry->size, &reading, err) < 0)
		return wrap(entry, err);
	return is_wanted(&reading, entry)
		       ? 0
		       : content_corrupt(entry, "was changed since it was installed", err);
}
