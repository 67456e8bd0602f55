/* The difference of two manifests, with where the content of each new path comes from. The
 * writer of a bundle, its reader and the store work from the same list, so what a bundle does not
 * carry follows from the two manifests alone.
 *
 * Invariant: path order; pointers are into the two manifests, which outlive the list. Pure. */
#pragma once

#include "common/release/manifest.h"

enum change_from {
	CHANGE_REMOVED, /* new_ is NULL */
	/* `source`: a file of base with this content, at its own path if it can be */
	CHANGE_FROM_BASE,
	/* `source`: the first path of target with this content, itself CHANGE_CARRIED */
	CHANGE_FROM_TARGET,
	CHANGE_CARRIED, /* the bundle carries it; links always are */
};

struct manifest_change {
	const struct manifest_entry *old, *new_;
	const struct manifest_entry *source;
	enum change_from from;
};

struct changes {
	struct manifest_change *list;
	size_t count;
	size_t carried;         /* how many are CHANGE_CARRIED */
	uint64_t carried_bytes; /* their sizes */
};

/* base NULL: everything is new. ERR_LIMIT when there is no memory for so many changes. */
int changes_find(const struct manifest *base, const struct manifest *target, struct changes *ret,
	struct err *err);
void changes_release(struct changes *changes);
