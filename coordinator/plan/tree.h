/* A source tree: a git commit or a plain folder, as a manifest and a place to read contents.
 *
 * Git trees are read raw by libgit2 (no filters, no attributes), blobs are hashed once and their
 * digests cached by blob id in <git dir>/fairlead/blobs (safe to delete). Submodules and LFS
 * pointers are a clear error. May block on disk. */
#pragma once

#include "common/release/bundle.h"

#include <stdbool.h>

struct repo;                                                        /* an opened git repository */
int repo_open(const char *dir, struct repo **ret, struct err *err); /* discovers upwards */
void repo_free(struct repo *repo);

/* rev NULL: HEAD. ERR_NOT_FOUND (also: a commit beyond a shallow clone's edge), ERR_CONFIG for an
 * empty repository. ret_commit: 40 hex digits and a NUL. */
enum { COMMIT_HEX_SIZE = 41 };
int repo_resolve(struct repo *repo, const char *rev, char ret_commit[static COMMIT_HEX_SIZE],
	struct err *err);
bool repo_has_commit(struct repo *repo, const char *commit);
bool repo_is_shallow(struct repo *repo);
/* >0 when tracked files differ from HEAD or the index (untracked ones do not count); then
 * *ret_example, if not NULL, names one (caller frees). */
int repo_dirty(struct repo *repo, char **ret_example, struct err *err);

struct tree {
	struct manifest manifest;
	struct bundle_source source; /* reads contents; lives as long as the tree */
	char label[COMMIT_HEX_SIZE]; /* the commit, or "dir-" and 12 digits of the manifest digest
				      */
	struct tree_impl *impl;
};
int tree_from_commit(struct repo *repo, const char *commit, struct tree *ret, struct err *err);
/* Every file below dir but .git; modes by the executable bit. */
int tree_from_folder(const char *dir, struct tree *ret, struct err *err);
void tree_release(struct tree *tree);
