/* Private to agent/store: the paths of a release that are links into shared/, which outlives
 * every release.
 *
 * `links` is the set as a manifest of symbolic links (path -> relative target), so that its
 * invariants hold: valid paths, no duplicates, none a directory of another. What the release
 * itself tracks at or below a shared path is not part of its tree ("shadowed"): it only seeds
 * shared/<path> when that is not there yet, and is never written again. */
#pragma once

#include "agent/store/cursor.h"
#include "agent/store/store.h"

struct shared_paths {
	struct manifest links;
	bool *is_dir;  /* by index of links */
	bool *missing; /* shared/<path> is not there yet */
};

/* Of the plan (NULL: none), checked against the release and looked up on disk. ERR_CONFIG names
 * the path that clashes. */
int shared_paths_init(struct shared_paths *shared, const struct store *store,
	const Fairlead__V1__Prepare *plan, const struct manifest *target, struct err *err);
void shared_paths_release(struct shared_paths *shared);

/* Index of the link at `path` or above it; -1 if it is not shadowed. */
ssize_t shared_paths_above(const struct manifest *links, const char *path);
/* Where the link at `path` points: "../../shared/<path>" from the root of a release. */
char *shared_link_target(const char *path);

/* Make what is missing: from seedfd, the tree of tracked content, where it has the path; else an
 * empty directory, or for a file nothing (the link dangles until somebody creates it). What is made
 * is owner's (NULL: the agent's) before it is in place. */
int shared_paths_make(const struct shared_paths *shared, const struct store *store, int seedfd,
	const struct store_owner *owner, struct err *err);
