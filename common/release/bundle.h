/* A bundle: what turns release A into B. The manifest of B (as a difference to A's when there is
 * an A), then the content of each file that A does not have, zstd-compressed with the old file as
 * prefix where that is worth it. One bundle per (A, B) serves the whole fleet.
 *
 * The format is specified in bundle.c and docs/protocol.md. The writer runs on the coordinator
 * and streams to a file; the reader runs on the host over an fd that another process may still
 * hold, so it uses only pread into its own memory, never mmap, and trusts nothing that is not
 * verified by the manifest digest the signed command named. */
#pragma once

#include "common/release/manifest.h"

#include <sys/types.h>

enum { BUNDLE_PREFIX_MAX = 128 * 1024 * 1024 }; /* files above are sent whole */

/* ---- writer ---- */
/* Where contents come from, by manifest entry: the new tree (must be there) and the old one (may
 * answer ERR_NOT_FOUND: the content is then sent whole). The content is owned by the caller of
 * fetch and freed with buf_release. May block. */
struct bundle_source {
	int (*fetch)(void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err);
	void *user;
};

struct bundle_info {
	struct digest digest; /* of all bytes of the bundle */
	uint64_t bytes;
	uint32_t files_changed; /* added, changed and removed paths */
	uint64_t content_bytes; /* of the changed files, uncompressed */
};

/* Write the bundle from `base` (NULL: first deployment) to `target` into fd. */
int bundle_write(const struct manifest *base, const struct manifest *target,
	const struct bundle_source *old_source, const struct bundle_source *new_source, int fd,
	struct bundle_info *ret, struct err *err);

/* ---- reader ---- */
struct bundle;
/* Opens and checks the header and the manifest: after this bundle_manifest() is whole and has the
 * digest `target`. base is NULL or outlives the bundle; it must be the manifest the bundle was made from
 * (ERR_CORRUPT otherwise). fd is borrowed. */
int bundle_open(int fd, const struct manifest *base, const struct digest *target,
	struct bundle **ret, struct err *err);
void bundle_free(struct bundle *bundle);
/* Move the target manifest out; the bundle stays usable and borrows it, so keep it alive. */
const struct manifest *bundle_manifest(const struct bundle *bundle);

/* Each content in turn, in path order: where it is to go and how to get it. `old` reads the host's
 * copy for a prefix (ERR_NOT_FOUND and ERR_CORRUPT end the bundle with ERR_CORRUPT).
 * `write` gets the decompressed bytes piece by piece; after the last one the content's size and
 * digest have been compared with the entry (ERR_CORRUPT if not): only then does `done` run. */
struct bundle_sink {
	int (*begin)(void *user, const struct manifest_entry *entry, struct err *err);
	int (*write)(void *user, const void *data, size_t len, struct err *err);
	int (*done)(void *user, const struct manifest_entry *entry, struct err *err);
	int (*old)(void *user, const struct manifest_entry *old, struct buf *ret, struct err *err);
	void *user;
};
int bundle_extract(struct bundle *bundle, const struct bundle_sink *sink, struct err *err);
