#include "agent/store/prune.h"

#include "agent/store/layout.h"
#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>

struct due {
	struct digest current;
	const struct store_keep *keep;
	struct digest *list; /* newest activation first */
	size_t count;
	struct digest *known; /* has a record */
	size_t known_count;
};

static void due_release(struct due *due)
{
	free(due->list);
	free(due->known);
}

static bool is_protected(const struct due *due, const struct digest *release)
{
	return digest_equal(release, &due->current) ||
	       digest_in(release, due->keep->list, due->keep->count);
}

/* Beyond so many verified ones, beyond so many failed ones, and what was prepared but never
 * activated (the caller keeps the one being deployed). */
static void choose(struct due *due, Fairlead__V1__ReleaseRecord **records, size_t count)
{
	unsigned verified = 0, failed = 0;
	due->list = xcalloc(count + 1, sizeof(*due->list));
	due->known = xcalloc(count + 1, sizeof(*due->known));
	for (size_t i = 0; i < count; i++) {
		const Fairlead__V1__ReleaseRecord *record = records[i];
		struct digest release;
		digest_from_bytes(record->manifest.data, record->manifest.len, &release);
		due->known[due->known_count++] = release;
		bool stays = record->pinned     ? true
			     : record->failed   ? failed++ < due->keep->failed
			     : record->verified ? verified++ < due->keep->releases
						: false;
		if (!stays && !is_protected(due, &release))
			due->list[due->count++] = release;
	}
}

static int find_due(
	const struct store *store, const struct store_keep *keep, struct due *due, struct err *err)
{
	Fairlead__V1__ReleaseRecord **records = NULL;
	size_t count = 0;
	due->keep = keep;
	if (store_current(store, &due->current, err) < 0 ||
		store_records(store, &records, &count, err) < 0)
		return -1;
	choose(due, records, count);
	store_records_free(records, count);
	return 0;
}

/* The newest: nearest to what comes, so the least has to be changed in it. */
int prune_next(const struct store *store, const struct store_keep *keep, struct digest *ret,
	struct err *err)
{
	AUTO(due) struct due due = {0};
	if (find_due(store, keep, &due, err) < 0)
		return -1;
	if (due.count == 0)
		return 0;
	*ret = due.list[0];
	return 1;
}

int prune_one(const struct store *store, const struct digest *release, struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	digest_hex(release, hex);
	AUTO_FREE char *from = xasprintf("releases/%s", hex);
	AUTO_FREE char *to = xasprintf("tmp/prune-%s", hex);
	if (tree_remove(store->dirfd, to, err) < 0)
		return -1;
	if (renameat(store->dirfd, from, store->dirfd, to) < 0 && errno != ENOENT)
		return err_errno(err, ERR_IO, errno, "cannot move '%s' away", from);
	if (meta_remove(store, release, err) < 0)
		return -1;
	return tree_remove(store->dirfd, to, err);
}

struct pruning {
	const struct store *store;
	const struct due *due;
};

/* A tree without a record: its deployment ended between staging and recording. */
static int prune_orphan(void *user, int dirfd, const char *name, struct err *err)
{
	const struct pruning *pruning = user;
	struct digest release;
	(void)dirfd;
	if (!digest_from_hex(name, &release) || is_protected(pruning->due, &release) ||
		digest_in(&release, pruning->due->known, pruning->due->known_count))
		return 0;
	return prune_one(pruning->store, &release, err);
}

/* What an interrupted stage or pruning left. */
static int remove_leftover(void *user, int dirfd, const char *name, struct err *err)
{
	(void)user;
	if (strncmp(name, "prune-", 6) != 0 && strncmp(name, "stage-", 6) != 0)
		return 0;
	return tree_remove(dirfd, name, err);
}

/* Records of a release whose tree is gone. */
static int prune_record(void *user, int dirfd, const char *name, struct err *err)
{
	const struct pruning *pruning = user;
	char hex[DIGEST_HEX_SIZE];
	struct digest release;
	(void)dirfd;
	snprintf(hex, sizeof(hex), "%.64s", name);
	if (!digest_from_hex(hex, &release))
		return 0;
	int there = layout_has_release(pruning->store, &release, err);
	if (there)
		return there < 0 ? -1 : 0;
	return meta_remove(pruning->store, &release, err);
}

int store_prune(const struct store *store, const struct store_keep *keep, struct err *err)
{
	AUTO(due) struct due due = {0};
	if (find_due(store, keep, &due, err) < 0)
		return -1;
	for (size_t i = 1; i < due.count; i++)
		if (prune_one(store, &due.list[i], err) < 0)
			return -1;
	static const struct {
		const char *folder;
		layout_each_fn *fn;
	} sweeps[] = {
		{"releases", prune_orphan},
		{"tmp", remove_leftover},
		{"meta", prune_record},
	};
	struct pruning pruning = {store, &due};
	for (size_t i = 0; i < ARRAY_LEN(sweeps); i++) {
		AUTO_CLOSE int fd = layout_open(store, sweeps[i].folder, err);
		if (fd < 0 || layout_each(fd, sweeps[i].fn, &pruning, err) < 0)
			return -1;
	}
	return 0;
}
