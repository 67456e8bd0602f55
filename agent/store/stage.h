/* Private to agent/store: one run of store_stage.
 *
 *     tmp/stage-<digest>/tree      becomes releases/<digest>
 *                       /seed      tracked content below shared paths; becomes shared/<path>
 *                       /manifest  becomes meta/<digest>.manifest
 *                       /stat      becomes meta/<digest>.stat
 *
 * Every entry of the target is placed once: kept (recycle.c), written (from the bundle), linked or
 * copied (place.c); `placed` and `stats` hold it, and a release with a gap is never published.
 * Files are always new inodes: those in other releases are shared with them by hardlinks. */
#pragma once

#include "agent/store/cursor.h"
#include "agent/store/shared_paths.h"
#include "agent/store/stat_index.h"

struct stage_base {
	bool there;
	struct manifest manifest;
	struct stat_index index;
	int treefd;
	struct cursor cursor;
};

struct stage {
	const struct store *store;
	const struct store_stage *request;
	char *name; /* tmp/stage-<digest> */
	int dirfd, treefd, seedfd;
	struct stage_base base;
	struct bundle *bundle;
	const struct manifest *target; /* of the bundle */
	struct shared_paths shared;
	bool *placed;             /* by entry of target */
	struct stat_entry *stats; /* by entry of target */
	bool *link_there;         /* by shared link: already in the tree */
	struct cursor tree, seed;
	struct pending pending;
	/* the content being written */
	int fd;
	struct buf link;
	uint64_t done_bytes;
};

static inline size_t stage_index(const struct stage *stage, const struct manifest_entry *entry)
{
	return (size_t)(entry - stage->target->entries);
}

/* Turn the release that is due for pruning into stage->treefd and mark what of it stays; when there
 * is none, 0 with treefd still -1. */
int stage_recycle(struct stage *stage, struct err *err);

/* Everything that neither the recycled tree nor the bundle brought. */
int stage_place(struct stage *stage, struct err *err);
/* Where `entry` goes: its directory, made, and name; the seed for what is shadowed. */
int stage_spot(struct stage *stage, const struct manifest_entry *entry, const char **ret_name,
	struct err *err);
int stage_create(struct stage *stage, const struct manifest_entry *entry, struct err *err);
/* Mode, stat record, note for the sync; closes the fd. */
int stage_finish_file(
	struct stage *stage, const struct manifest_entry *entry, int fd, struct err *err);
int stage_finish_link(struct stage *stage, const struct manifest_entry *entry, const char *target,
	size_t len, struct err *err);
/* Is this content of any use: in the tree, or a seed that is missing? */
bool stage_wants(const struct stage *stage, const struct manifest_entry *entry);
