#include "agent/store/stage.h"

#include "agent/store/content.h"
#include "agent/store/layout.h"
#include "agent/store/prune.h"
#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>

static void stage_release(struct stage *stage)
{
	cursor_release(&stage->tree);
	cursor_release(&stage->seed);
	cursor_release(&stage->base.cursor);
	int fds[] = {stage->dirfd, stage->treefd, stage->seedfd, stage->base.treefd, stage->fd};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	bundle_free(stage->bundle);
	manifest_release(&stage->base.manifest);
	stat_index_release(&stage->base.index);
	shared_paths_release(&stage->shared);
	pending_release(&stage->pending);
	buf_release(&stage->link);
	free(stage->placed);
	free(stage->stats);
	free(stage->link_there);
	free(stage->name);
}

/* ---- contents from the bundle ---- */

static int on_begin(void *user, const struct manifest_entry *entry, struct err *err)
{
	struct stage *stage = user;
	buf_clear(&stage->link);
	if (entry->mode == MANIFEST_LINK)
		return 0;
	stage->fd = stage_create(stage, entry, err);
	return stage->fd < 0 ? -1 : 0;
}

static int on_write(void *user, const void *data, size_t len, struct err *err)
{
	struct stage *stage = user;
	if (stage->fd < 0)
		buf_append(&stage->link, data, len);
	else if (fd_write_all(stage->fd, data, len, err) < 0)
		return -1;
	stage->done_bytes += len;
	if (stage->request->progress)
		stage->request->progress(stage->request->user, stage->done_bytes,
			bundle_changes(stage->bundle)->carried_bytes);
	return 0;
}

static int on_done(void *user, const struct manifest_entry *entry, struct err *err)
{
	struct stage *stage = user;
	if (entry->mode == MANIFEST_LINK)
		return stage_finish_link(stage, entry, buf_str(&stage->link), stage->link.len, err);
	return stage_finish_file(stage, entry, TAKE_FD(stage->fd), err);
}

static int on_old(void *user, const struct manifest_entry *old, struct buf *ret, struct err *err)
{
	struct stage *stage = user;
	const char *name;
	if (shared_paths_above(&stage->base.index.links, old->path) >= 0) {
		/* A patch is for the same path in both. */
		const struct manifest_entry *new_ = manifest_find(stage->target, old->path);
		if (new_ && !stage_wants(stage, new_))
			return BUNDLE_SKIP;
		return content_corrupt(
			old, "is not part of the base release: its path is shared", err);
	}
	struct err why = ERR_INIT;
	int dirfd = cursor_open(&stage->base.cursor, old->path, &name, &why);
	if (dirfd < 0)
		return content_missing(old, &why, err);
	return content_read(dirfd, name, old, ret, err);
}

/* ---- the steps ---- */

static int open_base(struct stage *stage, struct err *err)
{
	struct stage_base *base = &stage->base;
	const struct digest *digest = &stage->request->base;
	if (digest_is_zero(digest))
		return 0;
	base->treefd = layout_open_release(stage->store, digest, err);
	if (base->treefd < 0 ||
		store_manifest_read(stage->store, digest, &base->manifest, err) < 0 ||
		stat_index_read(stage->store, &base->manifest, &base->index, err) < 0) {
		if (err && err->code == ERR_NOT_FOUND)
			err->code = ERR_CORRUPT;
		err_wrap(err, "the base release");
		return err_hint(
			err, "This host does not have it; the release has to be sent whole.");
	}
	base->cursor = CURSOR_INIT(base->treefd);
	base->there = true;
	return 0;
}

/* Everything that can be refused, before anything is made. */
static int prepare(struct stage *stage, struct err *err)
{
	const struct store_stage *request = stage->request;
	if (open_base(stage, err) < 0 ||
		bundle_open(request->bundle_fd, stage->base.there ? &stage->base.manifest : NULL,
			&request->target, &stage->bundle, err) < 0)
		return -1;
	stage->target = bundle_manifest(stage->bundle);
	stage->placed = xcalloc(stage->target->count + 1, sizeof(*stage->placed));
	stage->stats = xcalloc(stage->target->count + 1, sizeof(*stage->stats));
	if (shared_paths_init(&stage->shared, stage->store, request->plan, stage->target, err) < 0)
		return -1;
	stage->link_there = xcalloc(stage->shared.links.count + 1, sizeof(*stage->link_there));
	return 0;
}

static int make_folder(int dirfd, const char *name, mode_t mode, struct err *err)
{
	if (mkdirat(dirfd, name, mode) < 0 || fchmodat(dirfd, name, mode, 0) < 0)
		return err_errno(err, ERR_IO, errno, "cannot make '%s'", name);
	return open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0, err);
}

static int make_folders(struct stage *stage, struct err *err)
{
	stage->dirfd = make_folder(stage->store->dirfd, stage->name, 0755, err);
	if (stage->dirfd < 0 || stage_recycle(stage, err) < 0)
		return -1;
	if (stage->treefd < 0)
		stage->treefd = make_folder(stage->dirfd, "tree", 0755, err);
	stage->seedfd = make_folder(stage->dirfd, "seed", 0755, err);
	if (stage->treefd < 0 || stage->seedfd < 0)
		return -1;
	stage->tree = CURSOR_INIT(stage->treefd);
	stage->seed = CURSOR_INIT(stage->seedfd);
	return 0;
}

static int fill(struct stage *stage, struct err *err)
{
	struct bundle_sink sink = {on_begin, on_write, on_done, on_old, stage};
	if (bundle_extract(stage->bundle, &sink, err) < 0 || stage_place(stage, err) < 0)
		return -1;
	for (size_t i = 0; i < stage->target->count; i++)
		if (!stage->placed[i] && stage_wants(stage, &stage->target->entries[i]))
			return err_set(err, ERR_INTERNAL, "the stage has a gap");
	return 0;
}

static int write_meta(
	struct stage *stage, const char *name, const struct buf *content, struct err *err)
{
	AUTO_CLOSE int fd = openat(
		stage->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, ERR_IO, errno, "cannot create '%s'", name);
	if (fd_write_all(fd, content->data, content->len, err) < 0)
		return err_wrap(err, "'%s'", name);
	pending_add(&stage->pending, stage->dirfd, name);
	pending_add(&stage->pending, stage->dirfd, "");
	return 0;
}

static int write_metas(struct stage *stage, struct err *err)
{
	AUTO(buf) struct buf manifest = {0};
	AUTO(buf) struct buf stat = {0};
	manifest_encode(stage->target, &manifest);
	stat_index_encode(stage->target, stage->stats, &stage->shared.links, &stat);
	return write_meta(stage, "manifest", &manifest, err) < 0
		       ? -1
		       : write_meta(stage, "stat", &stat, err);
}

/* Files and their directories are on disk before a name leads to them, and the records before the
 * tree: a tree in releases/ is always whole and described. */
static int publish(struct stage *stage, struct err *err)
{
	char name[META_NAME_SIZE];
	const struct digest *target = &stage->request->target;
	AUTO_CLOSE int metafd = layout_open(stage->store, "meta", err);
	AUTO_CLOSE int releasesfd = layout_open(stage->store, "releases", err);
	if (metafd < 0 || releasesfd < 0 || write_metas(stage, err) < 0 ||
		pending_sync(&stage->pending, stage->dirfd, err) < 0 ||
		shared_paths_make(&stage->shared, stage->store, stage->seedfd,
			stage->request->shared_owner, err) < 0)
		return -1;
	if (renameat(stage->dirfd, "manifest", metafd, meta_name(target, ".manifest", name)) < 0 ||
		renameat(stage->dirfd, "stat", metafd, meta_name(target, ".stat", name)) < 0)
		return err_errno(err, ERR_IO, errno, "cannot write 'meta/%s'", name);
	if (dir_sync(metafd, err) < 0)
		return -1;
	if (renameat(stage->dirfd, "tree", releasesfd, meta_name(target, "", name)) < 0)
		return err_errno(err, ERR_IO, errno, "cannot make 'releases/%s'", name);
	return dir_sync(releasesfd, err);
}

static int run(const struct store *store, const struct store_stage *request, struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	AUTO(stage)
	struct stage stage = {
		.store = store,
		.request = request,
		.name = xasprintf("tmp/stage-%s", digest_hex(&request->target, hex)),
		.dirfd = -1,
		.treefd = -1,
		.seedfd = -1,
		.fd = -1,
		.base = {.treefd = -1, .cursor = CURSOR_INIT(-1)},
		.tree = CURSOR_INIT(-1),
		.seed = CURSOR_INIT(-1),
	};
	if (prepare(&stage, err) < 0 || tree_remove(store->dirfd, stage.name, err) < 0)
		return -1;
	int rc = make_folders(&stage, err) < 0 || fill(&stage, err) < 0 ? -1 : publish(&stage, err);
	/* Failing here fails nothing: pruning removes what is left of a stage. */
	tree_remove(store->dirfd, stage.name, NULL);
	return rc;
}

/* ---- a target that is here already ---- */

enum existing { EXISTING_USED = 0, EXISTING_NONE = 1 };

/* Installed with the same shared paths? They are part of the tree, but not of its digest. */
static int has_same_links(const struct store *store, const struct store_stage *request,
	bool *ret_same, struct err *err)
{
	AUTO(manifest) struct manifest m = {0};
	AUTO(stat_index) struct stat_index index = {0};
	AUTO(shared_paths) struct shared_paths wanted = {0};
	if (store_manifest_read(store, &request->target, &m, err) < 0 ||
		stat_index_read(store, &m, &index, err) < 0 ||
		shared_paths_init(&wanted, store, request->plan, &m, err) < 0)
		return -1;
	*ret_same = digest_equal(&wanted.links.digest, &index.links.digest);
	return 0;
}

static int use_existing(
	const struct store *store, const struct store_stage *request, struct err *err)
{
	struct digest current;
	struct err why = ERR_INIT;
	bool same = true;
	int there = layout_has_release(store, &request->target, err);
	if (there <= 0)
		return there < 0 ? -1 : EXISTING_NONE;
	if (has_same_links(store, request, &same, &why) == 0 && same &&
		store_verify(store, &request->target, STORE_VERIFY_STAT, &why) == 0)
		return EXISTING_USED;
	if (store_current(store, &current, err) < 0)
		return -1;
	bool in_use = digest_equal(&current, &request->target) ||
		      digest_in(&request->target, request->keep.list, request->keep.count);
	if (!in_use && request->bundle_fd >= 0 && !digest_equal(&request->base, &request->target) &&
		why.code != ERR_CONFIG)
		return prune_one(store, &request->target, err) < 0 ? -1 : EXISTING_NONE;
	if (same) {
		if (err)
			*err = why;
		return -1;
	}
	err_set(err, ERR_PREFLIGHT, "the release is installed here with other shared paths");
	return err_hint(err,
		"It is in use, so they cannot be changed in it; deploy them together with "
		"another change.");
}

int store_stage(const struct store *store, const struct store_stage *stage, struct err *err)
{
	struct err why = ERR_INIT; /* the steps look at codes, so there always is one */
	int rc = use_existing(store, stage, &why);
	if (rc == EXISTING_NONE && stage->bundle_fd < 0)
		rc = err_set(&why, ERR_NOT_FOUND, "the release is not on this host");
	else if (rc == EXISTING_NONE)
		rc = run(store, stage, &why);
	if (rc < 0 && err)
		*err = why;
	return rc;
}
