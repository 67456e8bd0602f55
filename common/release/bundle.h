/* A bundle: what turns release A into B. The manifest of B (as a difference to A's when there is
 * an A), then each content that A does not have, once, zstd-compressed with the old file as
 * prefix where there is one (changes.h says which are carried). One bundle per (A, B) serves the
 * whole fleet.
 *
 * The format is specified in bundle_format.h. The writer runs on the
 * coordinator and streams to a file; the reader runs on the host over an fd that another process
 * may still hold, so it uses only pread into its own memory, never mmap, and trusts nothing that is
 * not verified by the manifest digest the signed command named. */
#pragma once

#include "common/release/changes.h"
#include "common/release/manifest.h"

#include <sys/types.h>

enum { BUNDLE_PREFIX_MAX = 128 * 1024 * 1024 }; /* files above are sent whole */

/* ---- writer ---- */
/* Where contents come from, by manifest entry: the new tree (must be there) and the old one (may
 * answer ERR_NOT_FOUND: the content is then sent whole). *ret is empty before; the content is
 * owned by the caller of fetch and freed with buf_release. May block. */
struct bundle_source {
	int (*fetch)(
		void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err);
	void *user;
};

struct bundle_info {
	struct digest digest; /* of all bytes of the bundle */
	uint64_t bytes;
	uint32_t files_changed; /* added, changed and removed paths */
	uint64_t content_bytes; /* of what it carries, uncompressed */
};

/* Write the bundle from `base` (NULL: first deployment) to `target` into fd, at its position.
 * old_source may be NULL: nothing is then sent as a difference. The same manifests and contents
 * give the same bytes. ERR_PREFLIGHT when a content is not what the manifest says (a folder that
 * changes while it is read), else what fetch and write fail with. */
int bundle_write(const struct manifest *base, const struct manifest *target,
	const struct bundle_source *old_source, const struct bundle_source *new_source, int fd,
	struct bundle_info *ret, struct err *err);

/* ---- reader ---- */
struct bundle;
/* Opens and checks the header and the manifest: after this bundle_manifest() is whole and has the
 * digest `target`. base is NULL or outlives the bundle; it must be the manifest the bundle was
 * made from (ERR_CORRUPT otherwise). fd is borrowed until bundle_free; read from offset 0. */
int bundle_open(int fd, const struct manifest *base, const struct digest *target,
	struct bundle **ret, struct err *err);
void bundle_free(struct bundle *bundle);
/* The target manifest and the difference to it; both borrowed until bundle_free. */
const struct manifest *bundle_manifest(const struct bundle *bundle);
const struct changes *bundle_changes(const struct bundle *bundle);

/* Each carried content in turn, in path order: where it is to go and how to get it.
 *
 * `old` is asked for the host's copy when the content comes as a difference to it: fill *ret
 * (empty before, freed by the reader; its digest is checked here), fail (ends the bundle), or
 * return BUNDLE_SKIP: this content is not wanted, and nothing else is called for it.
 * `write` gets the decompressed bytes piece by piece, never more than the entry's size; after the
 * last one size and digest have been compared with the entry (ERR_CORRUPT if not): only then does
 * `done` run. After a failure between begin and done the caller cleans up. */
enum { BUNDLE_SKIP = 1 };
struct bundle_sink {
	int (*begin)(void *user, const struct manifest_entry *entry, struct err *err);
	int (*write)(void *user, const void *data, size_t len, struct err *err);
	int (*done)(void *user, const struct manifest_entry *entry, struct err *err);
	int (*old)(void *user, const struct manifest_entry *old, struct buf *ret, struct err *err);
	void *user;
};
/* ERR_CORRUPT for a bundle or an old copy that does not verify; else what the sink fails with. */
int bundle_extract(struct bundle *bundle, const struct bundle_sink *sink, struct err *err);
