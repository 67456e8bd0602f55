#include "agent/store/content.h"
#include "agent/store/cursor.h"
#include "agent/store/layout.h"
#include "agent/store/shared_paths.h"
#include "agent/store/stat_index.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <fcntl.h>

/* recorded NULL: hash it. */
static int verify_entry(struct cursor *cursor, const struct manifest_entry *entry,
	const struct stat_entry *recorded, struct err *err)
{
	const char *name;
	struct stat st;
	struct err why = ERR_INIT;
	int dirfd = cursor_open(cursor, entry->path, &name, &why);
	if (dirfd < 0)
		return content_missing(entry, &why, err);
	if (recorded && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		stat_is_recorded(&st, entry, recorded))
		return 0;
	int verdict = content_check(dirfd, name, entry, &st, err);
	if (verdict == CONTENT_DIFFERS)
		return content_corrupt(entry, "was changed since it was installed", err);
	return verdict;
}

int store_verify(const struct store *store, const struct digest *release, enum store_verify how,
	struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	AUTO(manifest) struct manifest m = {0};
	AUTO(stat_index) struct stat_index index = {0};
	AUTO_CLOSE int treefd = layout_open_release(store, release, err);
	if (treefd < 0 || store_manifest_read(store, release, &m, err) < 0 ||
		stat_index_read(store, &m, &index, err) < 0)
		return err_wrap(err, "release %.12s", digest_hex(release, hex));
	AUTO(cursor) struct cursor cursor = CURSOR_INIT(treefd);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < m.count; i++)
		if (shared_paths_above(&index.links, m.entries[i].path) < 0)
			rc = verify_entry(&cursor, &m.entries[i],
				how == STORE_VERIFY_FULL ? NULL : &index.list[i], err);
	for (size_t i = 0; rc == 0 && i < index.links.count; i++)
		rc = verify_entry(&cursor, &index.links.entries[i], NULL, err);
	return rc < 0 ? err_wrap(err, "release %.12s", digest_hex(release, hex)) : 0;
}
