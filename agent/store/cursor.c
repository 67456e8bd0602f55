#include "agent/store/cursor.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

void cursor_release(struct cursor *cursor)
{
	if (cursor->fd >= 0)
		close(cursor->fd);
	free(cursor->dir);
	*cursor = CURSOR_INIT(-1);
}

/* "" is the root itself. */
static char *directory_of(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	*ret_name = slash ? slash + 1 : path;
	return slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
}

static int open_directory(int rootfd, const char *dir, struct err *err)
{
	return open_beneath(rootfd, dir[0] ? dir : ".", O_RDONLY | O_DIRECTORY, 0, err);
}

static void move_to(struct cursor *cursor, char *dir, int fd)
{
	if (cursor->fd >= 0)
		close(cursor->fd);
	free(cursor->dir);
	cursor->dir = dir;
	cursor->fd = fd;
}

int cursor_open(struct cursor *cursor, const char *path, const char **ret_name, struct err *err)
{
	AUTO_FREE char *dir = directory_of(path, ret_name);
	if (cursor->fd >= 0 && strcmp(cursor->dir, dir) == 0)
		return cursor->fd;
	int fd = open_directory(cursor->rootfd, dir, err);
	if (fd < 0)
		return -1;
	move_to(cursor, TAKE(dir), fd);
	return fd;
}

/* Make `dir` in its parent, which exists. The mode does not depend on the umask. */
static int make_one(int rootfd, const char *dir, struct pending *pending, struct err *err)
{
	const char *name;
	AUTO_FREE char *parent = directory_of(dir, &name);
	AUTO_CLOSE int parent_fd = open_directory(rootfd, parent, err);
	if (parent_fd < 0)
		return -1;
	if (mkdirat(parent_fd, name, 0755) < 0)
		return errno == EEXIST ? 0
				       : err_errno(err, ERR_IO, errno,
						 "cannot make the directory '%s'", dir);
	AUTO_CLOSE int fd = open_beneath(parent_fd, name, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return -1;
	if (fchmod(fd, 0755) < 0)
		return err_errno(err, ERR_IO, errno, "cannot set the mode of '%s'", dir);
	pending_add(pending, rootfd, parent);
	return 0;
}

static int make_all(int rootfd, char *dir, struct pending *pending, struct err *err)
{
	for (char *p = dir;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char end = *p;
		*p = '\0';
		int rc = make_one(rootfd, dir, pending, err);
		*p = end;
		if (rc < 0 || end == '\0')
			return rc;
	}
}

int cursor_make(struct cursor *cursor, const char *path, struct pending *pending,
	const char **ret_name, struct err *err)
{
	struct err missing = ERR_INIT;
	int fd = cursor_open(cursor, path, ret_name, &missing);
	if (fd < 0 && missing.code == ERR_NOT_FOUND) {
		AUTO_FREE char *dir = directory_of(path, ret_name);
		if (make_all(cursor->rootfd, dir, pending, err) < 0)
			return -1;
		fd = cursor_open(cursor, path, ret_name, &missing);
	}
	if (fd < 0) {
		if (err)
			*err = missing;
		return -1;
	}
	pending_add(pending, cursor->rootfd, cursor->dir);
	return fd;
}
