/* Private to coordinator/plan: what a tree and a repository are made of. */
#pragma once

#include "coordinator/plan/tree.h"

#include <git2.h>

struct blob_cache;

struct repo {
	git_repository *git;
	struct blob_cache *blobs; /* loaded with the first tree */
};

struct tree_impl {
	void (*free)(struct tree_impl *impl);
};

/* Fill *err with libgit2's last message behind ours. */
int repo_error(struct err *err, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
