#include "agent/store/stat_index.h"

#include "agent/store/layout.h"
#include "common/base/mem.h"
#include "common/os/file.h"

static const uint8_t magic[8] = {'F', 'L', 'S', 'T', 'A', 'T', 0, 1};
enum { HEADER_SIZE = 8 + DIGEST_SIZE, RECORD_SIZE = 16 };

void stat_index_encode(const struct manifest *manifest, const struct stat_entry *list,
	const struct manifest *links, struct buf *out)
{
	buf_append(out, magic, sizeof(magic));
	buf_append(out, manifest->digest.bytes, DIGEST_SIZE);
	uint8_t *p = buf_reserve(out, manifest->count * RECORD_SIZE);
	for (size_t i = 0; i < manifest->count; i++, p += RECORD_SIZE) {
		put_u64(p, list[i].inode);
		put_u64(p + 8, (uint64_t)list[i].mtime_ns);
	}
	out->len += manifest->count * RECORD_SIZE;
	manifest_encode(links, out);
}

static int decode(
	struct bytes in, const struct manifest *manifest, struct stat_index *ret, struct err *err)
{
	size_t records = manifest->count * RECORD_SIZE;
	if (in.len < HEADER_SIZE + records || memcmp(in.data, magic, sizeof(magic)) != 0 ||
		memcmp(in.data + 8, manifest->digest.bytes, DIGEST_SIZE) != 0)
		return err_set(err, ERR_CORRUPT, "the record of installed files does not parse");
	const uint8_t *p = in.data + HEADER_SIZE;
	if (manifest_decode(BYTES(p + records, in.len - HEADER_SIZE - records), &ret->links, err) <
		0)
		return err_set(err, ERR_CORRUPT, "the record of shared paths does not parse");
	ret->list = xcalloc(manifest->count ? manifest->count : 1, sizeof(*ret->list));
	for (size_t i = 0; i < manifest->count; i++, p += RECORD_SIZE)
		ret->list[i] = (struct stat_entry){get_u64(p), (int64_t)get_u64(p + 8)};
	return 0;
}

int stat_index_read(const struct store *store, const struct manifest *manifest,
	struct stat_index *ret, struct err *err)
{
	char name[META_NAME_SIZE];
	AUTO(buf) struct buf content = {0};
	AUTO_CLOSE int metafd = layout_open(store, "meta", err);
	if (metafd < 0 || file_read(metafd, meta_name(&manifest->digest, ".stat", name),
				  MANIFEST_WIRE_MAX, &content, err) < 0)
		return -1;
	AUTO(stat_index) struct stat_index index = {0};
	if (decode(buf_bytes(&content), manifest, &index, err) < 0)
		return err_wrap(err, "meta/%s", name);
	*ret = index;
	index = (struct stat_index){0};
	return 0;
}

void stat_index_release(struct stat_index *index)
{
	free(index->list);
	manifest_release(&index->links);
	*index = (struct stat_index){0};
}

struct stat_entry stat_entry_of(const struct stat *st)
{
	return (struct stat_entry){
		.inode = st->st_ino,
		.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
	};
}

bool stat_has_shape(const struct stat *st, const struct manifest_entry *entry)
{
	if (st->st_size < 0 || (uint64_t)st->st_size != entry->size)
		return false;
	if (entry->mode == MANIFEST_LINK)
		return S_ISLNK(st->st_mode);
	return st->st_mode == (mode_t)entry->mode;
}

bool stat_is_recorded(const struct stat *st, const struct manifest_entry *entry,
	const struct stat_entry *recorded)
{
	struct stat_entry is = stat_entry_of(st);
	return stat_has_shape(st, entry) && is.inode == recorded->inode &&
	       is.mtime_ns == recorded->mtime_ns;
}
