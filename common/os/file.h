/* Files, opened beneath a directory and written so that a crash leaves old or new, never half.
 *
 * Directory fd first, path second; every fd is O_CLOEXEC. All functions may block on disk.
 * dirfd may be AT_FDCWD where the path is our own. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"

#include <fcntl.h>
#include <sys/types.h>

/* openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS, O_CLOEXEC.
 * Returns the fd; -1 with errno in err->errnum. */
int open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *err);
/* Open a directory of our own by path, symlinks followed. */
int open_dir(const char *path, struct err *err);
/* mkdir -p of our own path; existing directories are fine. */
int make_dirs(const char *path, mode_t mode, struct err *err);

/* The whole file, at most max bytes (ERR_LIMIT beyond); ERR_NOT_FOUND when it is not there. */
int file_read(int dirfd, const char *path, size_t max, struct buf *ret, struct err *err);
/* Write-fsync-rename-fsync(dir): `name` has either its old content or all of the new. */
int file_write_atomic(
	int dirfd, const char *name, struct bytes content, mode_t mode, struct err *err);
/* Remove a tree below dirfd without following symlinks; not being there is fine. */
int tree_remove(int dirfd, const char *name, struct err *err);

int fd_write_all(int fd, const void *data, size_t len, struct err *err);
int fd_pwrite_all(int fd, const void *data, size_t len, off_t offset, struct err *err);
/* Exactly len bytes; ERR_CORRUPT when the file ends before. */
int fd_read_exact(int fd, void *data, size_t len, struct err *err);
int fd_pread_exact(int fd, void *data, size_t len, off_t offset, struct err *err);
/* fsync of a directory, so that its renames and creations survive a power loss. */
int dir_sync(int dirfd, struct err *err);
