/* The release that is due for pruning becomes the stage of the next one: the cost follows the
 * difference between the two, not the size of the tree. Its files are kept where the manifest
 * wants the very same and lstat shows them untouched; all else is removed, whoever made it. */
#include "agent/store/layout.h"
#include "agent/store/prune.h"
#include "agent/store/stage.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"

#include <errno.h>

struct retired {
	struct digest digest;
	struct manifest manifest;
	struct stat_index index;
	ssize_t *same; /* by entry of target: the entry of this release that may stay, or -1 */
};

static void retired_release(struct retired *retired)
{
	manifest_release(&retired->manifest);
	stat_index_release(&retired->index);
	free(retired->same);
}

static void match(struct retired *retired, const struct stage *stage)
{
	const struct manifest *old = &retired->manifest, *target = stage->target;
	retired->same = xcalloc(target->count + 1, sizeof(*retired->same));
	for (size_t i = 0, j = 0; i < target->count; i++) {
		const struct manifest_entry *entry = &target->entries[i];
		while (j < old->count && strcmp(old->entries[j].path, entry->path) < 0)
			j++;
		bool same = j < old->count && strcmp(old->entries[j].path, entry->path) == 0 &&
			    manifest_same(&old->entries[j], entry) &&
			    shared_paths_above(&stage->shared.links, entry->path) < 0 &&
			    shared_paths_above(&retired->index.links, entry->path) < 0;
		retired->same[i] = same ? (ssize_t)j : -1;
	}
	/* What the bundle brings is written anew in any case. */
	const struct changes *changes = bundle_changes(stage->bundle);
	for (size_t i = 0; i < changes->count; i++)
		if (changes->list[i].from == CHANGE_CARRIED)
			retired->same[stage_index(stage, changes->list[i].new_)] = -1;
}

struct sweep {
	struct stage *stage;
	const struct retired *retired;
	const char *path; /* of the directory; "" for the root */
};

enum verdict { KEEP, ENTER, REMOVE };

static enum verdict judge_entry(
	const struct sweep *sweep, const struct manifest_entry *entry, const struct stat *st)
{
	struct stage *stage = sweep->stage;
	size_t i = stage_index(stage, entry);
	ssize_t j = sweep->retired->same[i];
	if (j < 0 || !stat_is_recorded(st, entry, &sweep->retired->index.list[j]))
		return REMOVE;
	stage->stats[i] = sweep->retired->index.list[j];
	stage->placed[i] = true;
	return KEEP;
}

static bool is_link_to(int dirfd, const char *name, const char *path)
{
	char is[MANIFEST_PATH_MAX + 1];
	AUTO_FREE char *wanted = shared_link_target(path);
	ssize_t n = readlinkat(dirfd, name, is, sizeof(is));
	return n >= 0 && (size_t)n == strlen(wanted) && memcmp(is, wanted, (size_t)n) == 0;
}

static enum verdict judge(const struct sweep *sweep, int dirfd, const char *name, const char *path,
	const struct stat *st)
{
	struct stage *stage = sweep->stage;
	const struct manifest *links = &stage->shared.links;
	const struct manifest_entry *link = manifest_find(links, path);
	if (link) {
		bool there = is_link_to(dirfd, name, path);
		stage->link_there[link - links->entries] = there;
		return there ? KEEP : REMOVE;
	}
	if (S_ISDIR(st->st_mode))
		return manifest_has_below(stage->target, path) || manifest_has_below(links, path)
			       ? ENTER
			       : REMOVE;
	const struct manifest_entry *entry = manifest_find(stage->target, path);
	return entry ? judge_entry(sweep, entry, st) : REMOVE;
}

static int sweep_one(void *user, int dirfd, const char *name, struct err *err);

static int enter(const struct sweep *above, int dirfd, const char *name, const char *path,
	mode_t mode, struct err *err)
{
	struct sweep sweep = {above->stage, above->retired, path};
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_IO, errno, "cannot open '%s'", path);
	if ((mode & 07777) != 0755 && fchmod(fd, 0755) < 0)
		return err_errno(err, ERR_IO, errno, "cannot set the mode of '%s'", path);
	return layout_each(fd, sweep_one, &sweep, err);
}

static int sweep_one(void *user, int dirfd, const char *name, struct err *err)
{
	struct sweep *sweep = user;
	AUTO_FREE char *path =
		sweep->path[0] ? xasprintf("%s/%s", sweep->path, name) : xstrdup(name);
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, ERR_IO, errno, "cannot look at '%s'", path);
	switch (judge(sweep, dirfd, name, path, &st)) {
	case KEEP:
		return 0;
	case ENTER:
		return enter(sweep, dirfd, name, path, st.st_mode, err);
	case REMOVE:
		break;
	}
	pending_add(&sweep->stage->pending, sweep->stage->treefd, sweep->path);
	return tree_remove(dirfd, name, err);
}

/* A retired release whose records do not read is no good here; pruning removes it. */
static bool find_retired(const struct stage *stage, struct retired *ret)
{
	const struct store_stage *request = stage->request;
	if (!stage->base.there || prune_next(stage->store, &request->keep, &ret->digest, NULL) <= 0)
		return false;
	return !digest_equal(&ret->digest, &request->base) &&
	       store_manifest_read(stage->store, &ret->digest, &ret->manifest, NULL) == 0 &&
	       stat_index_read(stage->store, &ret->manifest, &ret->index, NULL) == 0;
}

int stage_recycle(struct stage *stage, struct err *err)
{
	AUTO(retired) struct retired retired = {0};
	if (!find_retired(stage, &retired))
		return 0;
	match(&retired, stage);
	char hex[DIGEST_HEX_SIZE];
	AUTO_FREE char *from = xasprintf("releases/%s", digest_hex(&retired.digest, hex));
	if (renameat(stage->store->dirfd, from, stage->dirfd, "tree") < 0)
		return err_errno(err, ERR_IO, errno, "cannot recycle '%s'", from);
	if (meta_remove(stage->store, &retired.digest, err) < 0)
		return -1;
	stage->treefd = open_beneath(stage->dirfd, "tree", O_RDONLY | O_DIRECTORY, 0, err);
	if (stage->treefd < 0)
		return -1;
	struct sweep sweep = {stage, &retired, ""};
	return layout_each(stage->treefd, sweep_one, &sweep, err);
}
