/* The file: 8 bytes magic, u64 count, count records of { 20 blob id, 32 digest, u64 size } in
 * ascending order of blob id, and BLAKE2b-256 of all that. Little-endian. */
#include "coordinator/plan/blob_cache.h"

#include "common/base/mem.h"
#include "common/os/file.h"

enum {
	HEADER_SIZE = 16,
	RECORD_SIZE = GIT_OID_RAWSZ + DIGEST_SIZE + 8,
	/* Beyond that only the blobs met in this run are kept. */
	FACTS_MAX = 500 * 1000,
	RECORDS_MAX = 2 * FACTS_MAX,
	FILE_SIZE_MAX = HEADER_SIZE + RECORDS_MAX * RECORD_SIZE + DIGEST_SIZE,
};

static const char magic[8] = "FLBLOBS1";

struct blob_cache {
	char *dir;               /* <git dir>/fairlead */
	struct buf file;         /* as read; empty if there is none that verifies */
	size_t known;            /* records in it */
	struct blob_fact *added; /* in order of arrival */
	size_t added_count, added_capacity;
};

static const uint8_t *record_at(const struct blob_cache *cache, size_t i)
{
	return cache->file.data + HEADER_SIZE + i * (size_t)RECORD_SIZE;
}

/* The number of records, 0 when the file does not verify. */
static size_t verify(const struct buf *file)
{
	if (file->len < HEADER_SIZE + DIGEST_SIZE || memcmp(file->data, magic, sizeof(magic)) != 0)
		return 0;
	uint64_t count = get_u64(file->data + sizeof(magic));
	size_t body = file->len - DIGEST_SIZE;
	if (count > RECORDS_MAX || body != HEADER_SIZE + count * RECORD_SIZE)
		return 0;
	struct digest digest = digest_of(file->data, body);
	return memcmp(digest.bytes, file->data + body, DIGEST_SIZE) == 0 ? (size_t)count : 0;
}

struct blob_cache *blob_cache_open(const char *git_dir)
{
	struct blob_cache *cache = xcalloc(1, sizeof(*cache));
	cache->dir = xasprintf("%s/fairlead", git_dir);
	AUTO_FREE char *path = xasprintf("%s/blobs", cache->dir);
	if (file_read(AT_FDCWD, path, FILE_SIZE_MAX, &cache->file, NULL) == 0)
		cache->known = verify(&cache->file);
	return cache;
}

void blob_cache_free(struct blob_cache *cache)
{
	if (!cache)
		return;
	free(cache->dir);
	free(cache->added);
	buf_release(&cache->file);
	free(cache);
}

static struct blob_fact record_read(const uint8_t *record)
{
	struct blob_fact fact;
	memcpy(fact.id.id, record, GIT_OID_RAWSZ);
	memcpy(fact.digest.bytes, record + GIT_OID_RAWSZ, DIGEST_SIZE);
	fact.size = get_u64(record + GIT_OID_RAWSZ + DIGEST_SIZE);
	return fact;
}

bool blob_cache_find(const struct blob_cache *cache, const git_oid *id, struct blob_fact *ret)
{
	size_t low = 0, high = cache->known;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(id->id, record_at(cache, middle), GIT_OID_RAWSZ);
		if (order == 0) {
			*ret = record_read(record_at(cache, middle));
			return true;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

void blob_cache_add(struct blob_cache *cache, const struct blob_fact *fact)
{
	if (cache->added_count == cache->added_capacity) {
		cache->added_capacity = cache->added_capacity ? 2 * cache->added_capacity : 256;
		cache->added =
			xrealloc(cache->added, cache->added_capacity * sizeof(*cache->added));
	}
	cache->added[cache->added_count++] = *fact;
}

static int compare(const void *a, const void *b)
{
	return git_oid_cmp(&((const struct blob_fact *)a)->id, &((const struct blob_fact *)b)->id);
}

static void append_record(struct buf *out, const struct blob_fact *fact)
{
	uint8_t *p = buf_reserve(out, RECORD_SIZE);
	memcpy(p, fact->id.id, GIT_OID_RAWSZ);
	memcpy(p + GIT_OID_RAWSZ, fact->digest.bytes, DIGEST_SIZE);
	put_u64(p + GIT_OID_RAWSZ + DIGEST_SIZE, fact->size);
	out->len += RECORD_SIZE;
}

/* Both lists are sorted; one with the same id in each is written once. */
static size_t merge(const struct blob_cache *cache, struct buf *out)
{
	size_t old = cache->known + cache->added_count > FACTS_MAX ? cache->known : 0;
	size_t new_ = 0, count = 0;
	for (; old < cache->known || new_ < cache->added_count; count++) {
		const struct blob_fact *added = &cache->added[new_];
		int order = old == cache->known ? 1
			    : new_ == cache->added_count
				    ? -1
				    : memcmp(record_at(cache, old), added->id.id, GIT_OID_RAWSZ);
		if (order <= 0)
			buf_append(out, record_at(cache, old++), RECORD_SIZE);
		else
			append_record(out, added);
		if (order >= 0) {
			git_oid id = added->id;
			while (new_ < cache->added_count &&
				git_oid_equal(&cache->added[new_].id, &id))
				new_++;
		}
	}
	return count;
}

void blob_cache_save(struct blob_cache *cache)
{
	if (cache->added_count == 0)
		return;
	qsort(cache->added, cache->added_count, sizeof(*cache->added), compare);
	AUTO(buf) struct buf out = {0};
	buf_reserve(&out, HEADER_SIZE + (cache->known + cache->added_count) * RECORD_SIZE);
	memcpy(out.data, magic, sizeof(magic));
	out.len = HEADER_SIZE;
	size_t count = merge(cache, &out);
	put_u64(out.data + sizeof(magic), count);
	struct digest digest = digest_of(out.data, out.len);
	buf_append(&out, digest.bytes, DIGEST_SIZE);
	AUTO_FREE char *path = xasprintf("%s/blobs", cache->dir);
	if (make_dirs(cache->dir, 0755, NULL) == 0)
		file_write_atomic(AT_FDCWD, path, buf_bytes(&out), 0644, NULL);
	buf_release(&cache->file);
	cache->file = out;
	out = (struct buf){0};
	cache->known = count;
	cache->added_count = 0;
}
