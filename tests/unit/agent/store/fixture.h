/* For the tests of agent/store: trees in memory, bundles of them, and a store in a fresh folder. */
#pragma once

#include "agent/store/store.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

struct file {
	char *path;
	enum manifest_mode mode;
	struct buf content;
};

struct memtree {
	struct file *files;
	size_t count;
	struct manifest manifest;
};

static inline void memtree_release(struct memtree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->files[i].path);
		buf_release(&tree->files[i].content);
	}
	free(tree->files);
	manifest_release(&tree->manifest);
}

static inline void tree_put(struct memtree *tree, const char *path, enum manifest_mode mode,
	const void *data, size_t len)
{
	tree->files = xrealloc(tree->files, (tree->count + 1) * sizeof(*tree->files));
	struct file *file = &tree->files[tree->count++];
	*file = (struct file){.path = xstrdup(path), .mode = mode};
	buf_append(&file->content, data, len);
}

static inline void tree_text(struct memtree *tree, const char *path, const char *text)
{
	tree_put(tree, path, MANIFEST_FILE, text, strlen(text));
}

static inline void tree_finish(struct memtree *tree)
{
	struct err err = ERR_INIT;
	for (size_t i = 0; i < tree->count; i++) {
		struct file *f = &tree->files[i];
		struct digest digest = digest_of(f->content.data, f->content.len);
		assert_int_equal(manifest_add(&tree->manifest, f->path, strlen(f->path), f->mode,
					 f->content.len, &digest, &err),
			0);
	}
	assert_int_equal(manifest_finish(&tree->manifest, &err), 0);
	/* Files in the manifest's order, so that fetch finds them by index. */
	struct file *sorted = xcalloc(tree->count + 1, sizeof(*sorted));
	for (size_t i = 0; i < tree->count; i++)
		sorted[manifest_find(&tree->manifest, tree->files[i].path) -
			tree->manifest.entries] = tree->files[i];
	free(tree->files);
	tree->files = sorted;
}

static inline int tree_fetch(
	void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err)
{
	const struct memtree *tree = user;
	const struct manifest_entry *mine = manifest_find(&tree->manifest, entry->path);
	if (!mine)
		return err_set(err, ERR_NOT_FOUND, "no such file");
	const struct buf *content = &tree->files[mine - tree->manifest.entries].content;
	buf_append(ret, content->data, content->len);
	return 0;
}

/* The bundle as an fd of memory. */
static inline int make_bundle(struct memtree *base, struct memtree *target)
{
	struct err err = ERR_INIT;
	struct bundle_info info;
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	struct bundle_source old_source = {tree_fetch, base}, new_source = {tree_fetch, target};
	if (bundle_write(base ? &base->manifest : NULL, &target->manifest,
		    base ? &old_source : NULL, &new_source, fd, &info, &err) < 0)
		fail_msg("%s", err.message);
	return fd;
}

struct world {
	char dir[64];
	struct store store;
	struct digest keep[8];
	size_t keep_count;
	unsigned keep_releases;
	Fairlead__V1__Prepare plan;
	const struct store_owner *shared_owner; /* NULL: ours */
	uint64_t clock;                         /* activations */
};

static inline void world_init(struct world *world)
{
	struct err err = ERR_INIT;
	*world = (struct world){.keep_releases = 2};
	snprintf(world->dir, sizeof(world->dir), "/tmp/fairlead-test-XXXXXX");
	fairlead__v1__prepare__init(&world->plan);
	assert_non_null(mkdtemp(world->dir));
	if (store_open(world->dir, "app", "test", &world->store, &err) < 0)
		fail_msg("%s", err.message);
}

static inline void world_release(struct world *world)
{
	store_release(&world->store);
	tree_remove(AT_FDCWD, world->dir, NULL);
}

static inline int stage_fd(struct world *world, int fd, const struct digest *base,
	const struct digest *target, struct err *err)
{
	struct store_stage stage = {
		.bundle_fd = fd,
		.target = *target,
		.keep = {world->keep_releases, STORE_KEEP_FAILED, world->keep, world->keep_count},
		.plan = &world->plan,
		.shared_owner = world->shared_owner,
	};
	if (base)
		stage.base = *base;
	return store_stage(&world->store, &stage, err);
}

static inline int stage_tree(
	struct world *world, struct memtree *base, struct memtree *target, struct err *err)
{
	AUTO_CLOSE int fd = make_bundle(base, target);
	return stage_fd(
		world, fd, base ? &base->manifest.digest : NULL, &target->manifest.digest, err);
}

enum outcome { OUTCOME_VERIFIED, OUTCOME_FAILED, OUTCOME_PREPARED };

static inline void record(struct world *world, const struct memtree *tree, enum outcome outcome)
{
	struct err err = ERR_INIT;
	Fairlead__V1__ReleaseRecord r = FAIRLEAD__V1__RELEASE_RECORD__INIT;
	r.manifest = pb_borrow(tree->manifest.digest.bytes, DIGEST_SIZE);
	r.verified = outcome == OUTCOME_VERIFIED;
	r.failed = outcome == OUTCOME_FAILED;
	r.activated = outcome == OUTCOME_PREPARED ? 0 : ++world->clock;
	r.installed_unix_ms = 1000 + world->clock;
	assert_int_equal(store_record_write(&world->store, &r, &err), 0);
}

/* Stage, record as verified, switch. */
static inline void deploy(struct world *world, struct memtree *base, struct memtree *target)
{
	struct err err = ERR_INIT;
	if (stage_tree(world, base, target, &err) < 0)
		fail_msg("%s", err.message);
	record(world, target, OUTCOME_VERIFIED);
	assert_int_equal(store_switch(&world->store, &target->manifest.digest, &err), 0);
}

static inline bool has_release(const struct world *world, const struct memtree *tree)
{
	AUTO_FREE char *path = store_release_path(&world->store, &tree->manifest.digest);
	return access(path, F_OK) == 0;
}

/* A path within an installed release; free it. */
static inline char *in_release(
	const struct world *world, const struct memtree *tree, const char *path)
{
	AUTO_FREE char *root = store_release_path(&world->store, &tree->manifest.digest);
	return xasprintf("%s/%s", root, path);
}

static inline void write_text(const char *path, const char *text)
{
	struct err err = ERR_INIT;
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text), &err), 0);
}

static inline void assert_text(const char *path, const char *text)
{
	struct err err = ERR_INIT;
	AUTO(buf) struct buf content = {0};
	if (file_read(AT_FDCWD, path, 1 << 20, &content, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(buf_str(&content), text);
}

/* Files and links; an empty directory counts as 1000, since there must be none. */
static inline size_t count_below(int dirfd_)
{
	DIR *dir = fdopendir(dup(dirfd_));
	assert_non_null(dir);
	rewinddir(dir);
	size_t count = 0, names = 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		names++;
		if (entry->d_type != DT_DIR) {
			count++;
			continue;
		}
		AUTO_CLOSE int fd =
			openat(dirfd_, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct stat st;
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		count += count_below(fd);
	}
	closedir(dir);
	return names ? count : 1000;
}

/* Byte-exact: every file of the tree with its content, type and mode, and nothing else.
 * `extra`: links into shared/ that are there too. */
static inline void assert_installed(
	const struct world *world, const struct memtree *tree, size_t extra)
{
	AUTO_FREE char *root = store_release_path(&world->store, &tree->manifest.digest);
	for (size_t i = 0; i < tree->count; i++) {
		const struct file *f = &tree->files[i];
		AUTO_FREE char *path = xasprintf("%s/%s", root, f->path);
		struct stat st;
		assert_int_equal(lstat(path, &st), 0);
		AUTO(buf) struct buf is = {0};
		if (f->mode == MANIFEST_LINK) {
			assert_true(S_ISLNK(st.st_mode));
			buf_reserve(&is, 4096);
			is.len = (size_t)readlink(path, (char *)is.data, 4096);
		} else {
			assert_int_equal(st.st_mode, f->mode);
			assert_int_equal(file_read(AT_FDCWD, path, 1 << 30, &is, NULL), 0);
		}
		assert_int_equal(is.len, f->content.len);
		if (is.len)
			assert_memory_equal(is.data, f->content.data, is.len);
	}
	AUTO_CLOSE int fd = open_dir(root, NULL);
	assert_int_equal(count_below(fd), tree->count + extra);
	struct err err = ERR_INIT;
	if (store_verify(&world->store, &tree->manifest.digest, STORE_VERIFY_FULL, &err) < 0 ||
		store_verify(&world->store, &tree->manifest.digest, STORE_VERIFY_STAT, &err) < 0)
		fail_msg("%s", err.message);
}
