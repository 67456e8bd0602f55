/* What is known of git blobs: (blob id) -> (digest, size), so that a blob is read and hashed once
 * in the life of a clone.
 *
 * File: <git dir>/fairlead/blobs, written whole and atomically, verified by its own checksum; a
 * file that is missing, damaged or of another version counts as empty and is replaced, so it
 * is safe to delete. Its format is in blob_cache.c. Only contents that may be deployed are in it:
 * an LFS pointer never is. Not thread-safe; two processes may race, the later one's file wins. */
#pragma once

#include "common/base/digest.h"
#include "common/base/err.h"

#include <git2/oid.h>

struct blob_fact {
	git_oid id;
	struct digest digest;
	uint64_t size;
};

struct blob_cache;
struct blob_cache *blob_cache_open(const char *git_dir);
void blob_cache_free(struct blob_cache *cache);
/* False if it is not known. What was added is found once it is saved. */
bool blob_cache_find(const struct blob_cache *cache, const git_oid *id, struct blob_fact *ret);
void blob_cache_add(struct blob_cache *cache, const struct blob_fact *fact);
/* Write what was added, if anything was; it is known from then on. A clone that cannot be written
 * to is no error: the blobs are hashed again next time. */
void blob_cache_save(struct blob_cache *cache);
