#include "agent/store/pending.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>

void pending_add(struct pending *pending, int rootfd, const char *path)
{
	if (pending->overflow)
		return;
	for (size_t i = pending->count; i-- > 0;)
		if (pending->list[i].rootfd == rootfd && strcmp(pending->list[i].path, path) == 0)
			return;
	if (pending->count == PENDING_MAX) {
		pending->overflow = true;
		return;
	}
	pending->list[pending->count++] = (struct pending_item){rootfd, xstrdup(path)};
}

static int sync_item(const struct pending_item *item, struct err *err)
{
	AUTO_CLOSE int fd = open_beneath(item->rootfd, item->path[0] ? item->path : ".",
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
	if (fd < 0)
		return -1;
	if (fsync(fd) < 0)
		return err_errno(err, ERR_IO, errno, "cannot sync '%s'", item->path);
	return 0;
}

int pending_sync(struct pending *pending, int fd, struct err *err)
{
	int rc = 0;
	if (pending->overflow && syncfs(fd) < 0)
		rc = err_errno(err, ERR_IO, errno, "cannot sync the file system");
	for (size_t i = 0; !pending->overflow && rc == 0 && i < pending->count; i++)
		rc = sync_item(&pending->list[i], err);
	pending_release(pending);
	return rc;
}

void pending_release(struct pending *pending)
{
	for (size_t i = 0; i < pending->count; i++)
		free(pending->list[i].path);
	pending->count = 0;
	pending->overflow = false;
}
