#include "agent/store/layout.h"
#include "agent/store/store.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

int store_record_read(const struct store *store, const struct digest *release,
	Fairlead__V1__ReleaseRecord **ret, struct err *err)
{
	char name[META_NAME_SIZE];
	AUTO(buf) struct buf content = {0};
	AUTO_CLOSE int metafd = layout_open(store, "meta", err);
	if (metafd < 0 ||
		file_read(metafd, meta_name(release, "", name), PB_WIRE_MAX, &content, err) < 0)
		return -1;
	Fairlead__V1__ReleaseRecord *record = NULL;
	struct digest named;
	if (PB_UNPACK(fairlead__v1__release_record, buf_bytes(&content), &record, err) < 0 ||
		!digest_from_bytes(record->manifest.data, record->manifest.len, &named) ||
		!digest_equal(&named, release)) {
		if (record)
			pb_free(&record->base);
		err_set(err, ERR_CORRUPT, "the record '%s/meta/%s' does not parse", store->path,
			name);
		return err_hint(err, "Remove that file: the release is then pruned.");
	}
	*ret = record;
	return 0;
}

int store_record_write(
	const struct store *store, const Fairlead__V1__ReleaseRecord *record, struct err *err)
{
	struct digest release;
	if (!digest_from_bytes(record->manifest.data, record->manifest.len, &release) ||
		digest_is_zero(&release))
		return err_set(err, ERR_INTERNAL, "a release record without its release");
	char name[META_NAME_SIZE];
	AUTO(buf) struct buf content = {0};
	PB_PACK(record, &content);
	if (content.len > PB_WIRE_MAX)
		return err_set(err, ERR_LIMIT, "the record of a release is larger than %d bytes",
			(int)PB_WIRE_MAX);
	AUTO_CLOSE int metafd = layout_open(store, "meta", err);
	return metafd < 0 ? -1
			  : file_write_atomic(metafd, meta_name(&release, "", name),
				    buf_bytes(&content), 0600, err);
}

struct collector {
	const struct store *store;
	Fairlead__V1__ReleaseRecord **list;
	size_t count;
};

/* A record whose tree is gone is what a crash left of a release being removed. */
static int collect(void *user, int metafd, const char *name, struct err *err)
{
	(void)metafd;
	struct collector *all = user;
	struct digest release;
	if (!digest_from_hex(name, &release))
		return 0;
	int there = layout_has_release(all->store, &release, err);
	if (there <= 0)
		return there;
	all->list = xrealloc(all->list, (all->count + 1) * sizeof(Fairlead__V1__ReleaseRecord *));
	if (store_record_read(all->store, &release, &all->list[all->count], err) < 0)
		return -1;
	all->count++;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const Fairlead__V1__ReleaseRecord *x = *(Fairlead__V1__ReleaseRecord *const *)a;
	const Fairlead__V1__ReleaseRecord *y = *(Fairlead__V1__ReleaseRecord *const *)b;
	if (x->activated != y->activated)
		return x->activated < y->activated ? 1 : -1;
	return (x->installed_unix_ms < y->installed_unix_ms) -
	       (x->installed_unix_ms > y->installed_unix_ms);
}

int store_records(const struct store *store, Fairlead__V1__ReleaseRecord ***ret, size_t *ret_count,
	struct err *err)
{
	struct collector all = {.store = store};
	AUTO_CLOSE int metafd = layout_open(store, "meta", err);
	if (metafd < 0)
		return -1;
	if (layout_each(metafd, collect, &all, err) < 0) {
		store_records_free(all.list, all.count);
		return -1;
	}
	if (all.count)
		qsort(all.list, all.count, sizeof(Fairlead__V1__ReleaseRecord *), newest_first);
	*ret = all.list;
	*ret_count = all.count;
	return 0;
}

void store_records_free(Fairlead__V1__ReleaseRecord **records, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pb_free(&records[i]->base);
	free(records);
}

int store_manifest_read(const struct store *store, const struct digest *release,
	struct manifest *ret, struct err *err)
{
	char name[META_NAME_SIZE];
	AUTO(buf) struct buf content = {0};
	AUTO(manifest) struct manifest m = {0};
	AUTO_CLOSE int metafd = layout_open(store, "meta", err);
	if (metafd < 0 || file_read(metafd, meta_name(release, ".manifest", name),
				  MANIFEST_WIRE_MAX, &content, err) < 0)
		return -1;
	if (manifest_decode(buf_bytes(&content), &m, err) < 0 ||
		!digest_equal(&m.digest, release)) {
		err_set(err, ERR_CORRUPT, "'%s/meta/%s' does not verify", store->path, name);
		return err_hint(err, "Deploy again: the release is then sent whole.");
	}
	manifest_release(ret);
	*ret = m;
	m = (struct manifest){0};
	return 0;
}
