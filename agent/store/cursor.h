/* Private to agent/store: a position in a tree that is visited in path order. Keeps the directory
 * of the last path open, so that neighbours cost no path walk, and never follows a link.
 *
 * Invariant: fd is the directory `dir` beneath rootfd, or -1. */
#pragma once

#include "agent/store/pending.h"
#include "common/base/err.h"

struct cursor {
	int rootfd; /* borrowed */
	int fd;
	char *dir;
};

#define CURSOR_INIT(root) ((struct cursor){.rootfd = (root), .fd = -1})
void cursor_release(struct cursor *cursor);

/* The directory of `path`, borrowed until the next call, and the last component of `path` in
 * *ret_name (borrowed from path); -1: ERR_NOT_FOUND, ERR_IO. */
int cursor_open(struct cursor *cursor, const char *path, const char **ret_name, struct err *err);
/* The same, making the directories that are missing (0755) and noting in `pending` that
 * something is about to change in this one. */
int cursor_make(struct cursor *cursor, const char *path, struct pending *pending,
	const char **ret_name, struct err *err);
