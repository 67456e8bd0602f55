/* A manifest: the sorted list of (path, mode, size, BLAKE2b-256) of a release; its digest is
 * the release's name.
 *
 * Invariant of a finished manifest: paths strictly ascending as unsigned bytes; each path passes
 * manifest_path_check; no path is both a file and a directory of another; modes are one of
 * MANIFEST_FILE, MANIFEST_EXEC, MANIFEST_LINK. Directories are implied (empty ones do not exist,
 * as in git). Two spellings of a manifest do not exist: equal trees have equal digests. */
#pragma once

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/err.h"

#include <stdbool.h>

enum manifest_mode { /* git's own numbers */
	MANIFEST_FILE = 0100644,
	MANIFEST_EXEC = 0100755,
	MANIFEST_LINK = 0120000, /* content is the target */
};

enum {
	MANIFEST_PATH_MAX = 4095,
	MANIFEST_NAME_MAX = 255,
	MANIFEST_DEPTH_MAX = 128,
	MANIFEST_ENTRIES_MAX = 1000 * 1000,
	MANIFEST_WIRE_MAX = 256 * 1024 * 1024,
};

struct manifest_entry {
	const char *path; /* NUL-terminated bytes, any encoding; owned by the manifest */
	uint32_t path_len;
	enum manifest_mode mode;
	uint64_t size;
	struct digest digest; /* of the content; of a link, of its target */
};

struct manifest {
	struct manifest_entry *entries;
	size_t count;
	uint64_t bytes; /* sum of sizes */
	struct digest digest;
	struct manifest_arena *arena; /* private: owns the paths */
};

/* Build: start from { 0 }, add in any order, then finish (sorts, checks, digests). Path is copied.
 * ERR_INVALID and ERR_LIMIT; release a manifest whose add or finish failed. */
int manifest_add(struct manifest *m, const char *path, size_t path_len, enum manifest_mode mode,
	uint64_t size, const struct digest *digest, struct err *err);
int manifest_finish(struct manifest *m, struct err *err);
void manifest_release(struct manifest *m);

/* The wire and disk form (specified in manifest_wire.c). The digest of a
 * manifest is the BLAKE2b-256 of this form. */
void manifest_encode(const struct manifest *m, struct buf *out);
/* How many bytes that is. */
size_t manifest_encoded_size(const struct manifest *m);
/* Foreign bytes: every invariant is checked, memory is bounded by the input's size. *ret is { 0 }
 * or an older manifest, which is released. ERR_INVALID names the path (escaped) and the rule. */
int manifest_decode(struct bytes in, struct manifest *ret, struct err *err);

/* The rules for a path: relative, no empty, "." or ".." component, no ".git" component (also
 * not in other case, nor as HFS/NTFS would fold it), names and depth within limits, no NUL. */
int manifest_path_check(const char *path, size_t len, struct err *err);
/* A link's target must stay inside the release, through other links too: not absolute, ".." only
 * at its front and never above the root, judged from the directory of `path`. `path` has
 * passed manifest_path_check. Callers run it where they have the content (ERR_INVALID). */
int manifest_link_check(const char *path, const char *target, size_t target_len, struct err *err);
/* A directory prefix of `path` must not be a link of the same manifest: checked by finish. */

/* Binary search; NULL if not there. */
const struct manifest_entry *manifest_find(const struct manifest *m, const char *path);
/* Index of the first entry whose path is not less than these bytes; count if there is none. */
size_t manifest_lower_bound(const struct manifest *m, const char *path, size_t len);
/* Is there an entry below `directory` (without a slash at its end)? */
bool manifest_has_below(const struct manifest *m, const char *directory);
/* Same mode, size and digest: the same thing, wherever it lies. */
bool manifest_same(const struct manifest_entry *a, const struct manifest_entry *b);

/* Walk two manifests side by side; each difference once, in path order. old or new is NULL for
 * an addition or removal. Stops at the first non-zero return and returns it. */
typedef int manifest_diff_fn(
	const struct manifest_entry *old, const struct manifest_entry *new_, void *user);
int manifest_diff(
	const struct manifest *old, const struct manifest *new_, manifest_diff_fn *fn, void *user);
