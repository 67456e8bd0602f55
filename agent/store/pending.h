/* Private to agent/store: what was changed and must reach the disk before the next step.
 *
 * A few files and directories are synced one by one. Many are not even remembered: one
 * syncfs(2), which waits for everything of the file system and reports its errors (Linux 5.8), is
 * then many times faster. */
#pragma once

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { PENDING_MAX = 64 };

struct pending {
	struct pending_item {
		int rootfd; /* borrowed until pending_sync or pending_release */
		char *path; /* "": the root itself */
	} list[PENDING_MAX];
	size_t count;
	bool overflow;
};

/* A file, or a directory in which something was made, renamed or removed. Twice is once. */
void pending_add(struct pending *pending, int rootfd, const char *path);
/* Make all of it durable, and empty the list; fd: any of the same file system. Blocks. */
int pending_sync(struct pending *pending, int fd, struct err *err);
void pending_release(struct pending *pending);
