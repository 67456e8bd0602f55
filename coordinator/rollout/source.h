/* What is to be deployed: the tree of a commit, or of a plain folder. */
#pragma once

#include "coordinator/plan/tree.h"

enum source_dirty { SOURCE_DIRTY_REFUSED, SOURCE_DIRTY_IGNORED };

struct source_setup {
	const char *folder;   /* NULL: from the git repository around the working directory */
	const char *revision; /* NULL: HEAD */
	enum source_dirty dirty;
};

struct source {
	struct repo *repo; /* NULL for a folder */
	struct tree tree;
};

/* Reads the whole tree; blocks on disk, touches nothing global, so it may run on any thread.
 * ERR_USAGE when the working tree has changes that a deployment of HEAD would leave behind. */
int source_open(const struct source_setup *setup, struct source *ret, struct err *err);
void source_release(struct source *source);
