/* Private to agent/store: what each file of a release looked like when it was installed
 * (meta/<digest>.stat), so that a later walk of lstat finds what was touched, as git's index does.
 *
 * Inode and mtime are recorded; mode, size and type are the manifest's. ctime is not: a hardlink
 * made or removed by a neighbouring release changes it. So a writer that keeps the size and
 * restores the mtime is not seen by a stat walk, only by a full one. A file whose stat differs
 * is in doubt, not wrong: it is then hashed.
 *
 * The form: 8 bytes "FLSTAT", 0, 1; the manifest's digest; for each of its entries 8 bytes inode
 * and 8 bytes mtime in ns; then the release's shared links as an encoded manifest. */
#pragma once

#include "agent/store/store.h"

#include <sys/stat.h>

struct stat_entry {
	uint64_t inode;
	int64_t mtime_ns;
};

struct stat_index {
	struct stat_entry *list; /* one for each entry of the manifest */
	struct manifest links;   /* the shared paths, see shared_paths.h */
};

/* ERR_NOT_FOUND, ERR_CORRUPT. */
int stat_index_read(const struct store *store, const struct manifest *manifest,
	struct stat_index *ret, struct err *err);
void stat_index_encode(const struct manifest *manifest, const struct stat_entry *list,
	const struct manifest *links, struct buf *out);
void stat_index_release(struct stat_index *index);

struct stat_entry stat_entry_of(const struct stat *st);
/* Type, permissions and size are what the manifest says. */
bool stat_has_shape(const struct stat *st, const struct manifest_entry *entry);
/* And it is the very file that was installed, untouched since as far as lstat can tell. */
bool stat_is_recorded(const struct stat *st, const struct manifest_entry *entry,
	const struct stat_entry *recorded);
