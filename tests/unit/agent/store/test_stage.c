#include "tests/unit/agent/store/fixture.h"

#include <signal.h>
#include <sys/resource.h>

#define AUTO_WORLD AUTO(world) struct world
#define AUTO_TREE AUTO(memtree) struct memtree

/* One of everything a git tree can hold. */
static void odd_tree(struct memtree *tree)
{
	tree_text(tree, "README.md", "read me\n");
	tree_put(tree, "bin/run", MANIFEST_EXEC, "#!/bin/sh\n", 10);
	tree_text(tree, "empty", "");
	tree_text(tree, "deep/er/and/deeper/file", "down here");
	tree_put(tree, "latest", MANIFEST_LINK, "deep/er", 7);
	tree_put(tree, "deep/up", MANIFEST_LINK, "../README.md", 12);
	tree_put(tree, "dangling", MANIFEST_LINK, "not/there", 9);
	tree_text(tree, "new\nline", "newline");
	tree_text(tree, "quo\"te's `$(x)`", "quotes");
	tree_text(tree, "back\\slash", "backslash");
	tree_text(tree, "caf\xe9 \xff\xfe", "no UTF-8");
	tree_text(tree, " -rf *", "spaces");
	tree_put(tree, "zeros", MANIFEST_FILE, "\0\0\0", 3);
	tree_text(tree, "twin-1", "the same content");
	tree_put(tree, "twin-2", MANIFEST_EXEC, "the same content", 16);
}

static void everything_is_byte_exact(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE tree = {0};
	odd_tree(&tree);
	tree_finish(&tree);
	mode_t mask = umask(077);
	deploy(&world, NULL, &tree);
	umask(mask);
	assert_installed(&world, &tree, 0);
}

/* Next release: one of each kind of change. */
static void changed_tree(struct memtree *tree, const char *mark)
{
	tree_text(tree, "README.md", mark);
	tree_put(tree, "bin/run", MANIFEST_FILE, "#!/bin/sh\n", 10); /* mode */
	tree_text(tree, "empty", "");
	tree_text(tree, "deep/er/and", "was a directory");
	tree_text(tree, "latest/now-a", "directory"); /* was a link */
	tree_put(tree, "deep/up", MANIFEST_LINK, "er", 2);
	tree_text(tree, "renamed", "newline");
	tree_text(tree, "back\\slash", "backslash");
	tree_put(tree, "zeros", MANIFEST_FILE, "\0\0\0\0", 4);
	tree_text(tree, "twin-1", "the same content");
	tree_text(tree, "new-1", "twice");
	tree_put(tree, "new-2", MANIFEST_EXEC, "twice", 5);
	tree_finish(tree);
}

static ino_t inode(const struct world *world, const struct memtree *tree, const char *path)
{
	AUTO_FREE char *full = in_release(world, tree, path);
	struct stat st;
	assert_int_equal(lstat(full, &st), 0);
	return st.st_ino;
}

static void a_farm_shares_what_stayed(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	AUTO_TREE b = {0};
	odd_tree(&a);
	tree_finish(&a);
	changed_tree(&b, "second\n");
	deploy(&world, NULL, &a);
	deploy(&world, &a, &b);
	assert_installed(&world, &a, 0); /* untouched by its neighbour */
	assert_installed(&world, &b, 0);
	assert_int_equal(inode(&world, &a, "twin-1"), inode(&world, &b, "twin-1"));
	assert_int_equal(inode(&world, &a, "new\nline"), inode(&world, &b, "renamed"));
	assert_true(inode(&world, &a, "bin/run") != inode(&world, &b, "bin/run"));
}

/* a, b, c, then d with the tree of a: the same as d staged beside them in a fresh store. */
static void recycling_gives_the_same_tree(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	world.keep_releases = 1;
	AUTO_TREE a = {0};
	AUTO_TREE b = {0};
	AUTO_TREE c = {0};
	odd_tree(&a);
	tree_finish(&a);
	changed_tree(&b, "second\n");
	odd_tree(&c);
	tree_text(&c, "only/in/c", "third");
	tree_finish(&c);
	deploy(&world, NULL, &a);
	deploy(&world, &a, &b);
	assert_true(has_release(&world, &a));
	/* What an application leaves behind, and what somebody breaks: */
	AUTO_FREE char *cache = in_release(&world, &a, "deep/__pycache__");
	AUTO_FREE char *cached = in_release(&world, &a, "deep/__pycache__/x.pyc");
	AUTO_FREE char *deeper = in_release(&world, &a, "deep/er/and/deeper/file");
	AUTO_FREE char *folder = in_release(&world, &a, "deep/er");
	ino_t kept = inode(&world, &a, "deep/er/and/deeper/file"),
	      restored = inode(&world, &a, "twin-1");
	AUTO_FREE char *twin = in_release(&world, &a, "zeros");
	/* Open, so that no new file is given its inode number. */
	AUTO_CLOSE int held = open(deeper, O_RDONLY | O_CLOEXEC);
	assert_true(held >= 0);
	assert_int_equal(mkdir(cache, 0700), 0);
	write_text(cached, "cached");
	assert_int_equal(chmod(folder, 0700), 0);
	assert_int_equal(unlink(twin), 0);
	deploy(&world, &b, &c);
	assert_false(has_release(&world, &a));
	assert_installed(&world, &b, 0);
	assert_installed(&world, &c, 0);
	/* not carried by the bundle from b and the same in a and c: */
	assert_int_equal(inode(&world, &c, "twin-1"), restored);
	/* carried by the bundle, so written anew although a had it: */
	assert_true(inode(&world, &c, "deep/er/and/deeper/file") != kept);
}

/* A file of the retired release that somebody changed comes from base instead. */
static void recycling_trusts_nothing_touched(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	world.keep_releases = 1;
	struct memtree trees[3] = {0};
	for (int i = 0; i < 3; i++) {
		char text[16];
		snprintf(text, sizeof(text), "version %d", i);
		tree_text(&trees[i], "stays", "stays as it is");
		tree_text(&trees[i], "version", text);
		tree_finish(&trees[i]);
	}
	deploy(&world, NULL, &trees[0]);
	AUTO_FREE char *path = in_release(&world, &trees[0], "stays");
	AUTO_FREE char *copy = xasprintf("%s.copy", path);
	deploy(&world, &trees[0], &trees[1]);
	/* A new inode in the old release only, so that the newer one stays sound. */
	write_text(copy, "STAYS as it is");
	assert_int_equal(rename(copy, path), 0);
	deploy(&world, &trees[1], &trees[2]);
	assert_false(has_release(&world, &trees[0]));
	assert_installed(&world, &trees[2], 0);
	for (int i = 0; i < 3; i++)
		memtree_release(&trees[i]);
}

static void a_changed_base_is_noticed(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	AUTO_TREE b = {0};
	struct err err = ERR_INIT;
	tree_text(&a, "stays", "0123456789");
	tree_text(&a, "version", "one");
	tree_text(&b, "stays", "0123456789");
	tree_text(&b, "version", "two");
	tree_finish(&a);
	tree_finish(&b);
	deploy(&world, NULL, &a);
	AUTO_FREE char *stays = in_release(&world, &a, "stays");
	AUTO_FREE char *version = in_release(&world, &a, "version");

	write_text(stays, "012345678X"); /* same size */
	assert_int_equal(
		store_verify(&world.store, &a.manifest.digest, STORE_VERIFY_STAT, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_non_null(strstr(err.message, "stays"));
	assert_int_equal(stage_tree(&world, &a, &b, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_non_null(strstr(err.message, "stays"));
	assert_false(has_release(&world, &b));

	/* Touched, but the same after all: in doubt, hashed, used. */
	write_text(stays, "0123456789");
	assert_int_equal(
		store_verify(&world.store, &a.manifest.digest, STORE_VERIFY_STAT, &err), 0);

	/* The prefix of a difference. */
	write_text(version, "oNe");
	assert_int_equal(stage_tree(&world, &a, &b, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_non_null(strstr(err.message, "version"));
	assert_int_equal(unlink(version), 0);
	assert_int_equal(stage_tree(&world, &a, &b, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);

	/* Sent whole, it needs nothing of base. */
	assert_int_equal(stage_tree(&world, NULL, &b, &err), 0);
	assert_installed(&world, &b, 0);
}

static void mode_and_kind_are_verified(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	struct err err = ERR_INIT;
	odd_tree(&a);
	tree_finish(&a);
	deploy(&world, NULL, &a);
	AUTO_FREE char *run = in_release(&world, &a, "bin/run");
	AUTO_FREE char *link = in_release(&world, &a, "latest");
	assert_int_equal(chmod(run, 04755), 0);
	assert_int_equal(
		store_verify(&world.store, &a.manifest.digest, STORE_VERIFY_STAT, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(chmod(run, 0755), 0);
	assert_int_equal(
		store_verify(&world.store, &a.manifest.digest, STORE_VERIFY_STAT, &err), 0);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("/etc/ab", link), 0); /* the same length */
	assert_int_equal(
		store_verify(&world.store, &a.manifest.digest, STORE_VERIFY_STAT, &err), -1);
	assert_non_null(strstr(err.message, "latest"));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(mkfifo(link, 0644), 0); /* must not block */
	assert_int_equal(
		store_verify(&world.store, &a.manifest.digest, STORE_VERIFY_FULL, &err), -1);
}

static void staging_again_is_idempotent(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	struct err err = ERR_INIT;
	odd_tree(&a);
	tree_finish(&a);
	/* What an interrupted try left. */
	char hex[DIGEST_HEX_SIZE];
	AUTO_FREE char *left =
		xasprintf("%s/tmp/stage-%s", world.store.path, digest_hex(&a.manifest.digest, hex));
	AUTO_FREE char *half = xasprintf("%s/tree", left);
	assert_int_equal(mkdir(left, 0755), 0);
	assert_int_equal(mkdir(half, 0755), 0);
	assert_int_equal(stage_tree(&world, NULL, &a, &err), 0);
	assert_true(access(left, F_OK) < 0);
	ino_t before = inode(&world, &a, "empty");
	assert_int_equal(stage_tree(&world, NULL, &a, &err), 0);
	assert_int_equal(stage_fd(&world, -1, NULL, &a.manifest.digest, &err), 0);
	assert_int_equal(inode(&world, &a, "empty"), before);
	/* It does not verify any more: replaced while nobody uses it, refused when it is current.
	 */
	AUTO_FREE char *readme = in_release(&world, &a, "README.md");
	write_text(readme, "tampered");
	assert_int_equal(stage_fd(&world, -1, NULL, &a.manifest.digest, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(stage_tree(&world, NULL, &a, &err), 0);
	assert_installed(&world, &a, 0);
	assert_int_equal(store_switch(&world.store, &a.manifest.digest, &err), 0);
	write_text(readme, "tampered");
	assert_int_equal(stage_tree(&world, NULL, &a, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_text(readme, "tampered");
	struct digest nowhere = {.bytes = {1}};
	assert_int_equal(stage_fd(&world, -1, NULL, &nowhere, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void links_that_leave_are_refused(void **state)
{
	(void)state;
	static const char *const targets[] = {"/etc/passwd", "../../../etc/passwd", "x/../../y"};
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		AUTO_WORLD world;
		world_init(&world);
		AUTO_TREE a = {0};
		struct err err = ERR_INIT;
		tree_put(&a, "d/link", MANIFEST_LINK, targets[i], strlen(targets[i]));
		tree_finish(&a);
		assert_int_equal(stage_tree(&world, NULL, &a, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_false(has_release(&world, &a));
	}
}

static void a_large_file_streams(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	AUTO_TREE b = {0};
	AUTO(buf) struct buf big = {0};
	size_t len = 100 * 1000 * 1000;
	memset(buf_reserve(&big, len), 0, len);
	big.len = len;
	for (size_t i = 0; i < len; i += 1000 * 1000)
		put_u64(big.data + i, i * 2654435761u);
	tree_put(&a, "big", MANIFEST_FILE, big.data, big.len);
	big.data[len / 2] ^= 1;
	tree_put(&b, "big", MANIFEST_FILE, big.data, big.len);
	tree_finish(&a);
	tree_finish(&b);
	deploy(&world, NULL, &a);
	deploy(&world, &a, &b);
	assert_installed(&world, &a, 0);
	assert_installed(&world, &b, 0);
}

static void damaged_bundles_change_nothing(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	AUTO_TREE b = {0};
	struct err err = ERR_INIT;
	odd_tree(&a);
	tree_finish(&a);
	changed_tree(&b, "second\n");
	deploy(&world, NULL, &a);
	AUTO_CLOSE int fd = make_bundle(&a, &b);
	off_t size = lseek(fd, 0, SEEK_END);
	assert_int_equal(ftruncate(fd, size - 1), 0);
	assert_int_equal(stage_fd(&world, fd, &a.manifest.digest, &b.manifest.digest, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_false(has_release(&world, &b));
	assert_installed(&world, &a, 0);
	AUTO_FREE char *tmp = xasprintf("%s/tmp", world.store.path);
	AUTO_CLOSE int tmpfd = open_dir(tmp, &err);
	assert_int_equal(count_below(tmpfd), 1000); /* nothing is left */
	/* A base this host does not have. */
	AUTO_TREE other = {0};
	tree_text(&other, "x", "y");
	tree_finish(&other);
	assert_int_equal(stage_tree(&world, &other, &b, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
}

/* A write that fails half-way: the limit on file sizes stands in for a full disk (that one is
 * test_nospace.c). */
static void a_failing_write_is_clean(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	struct err err = ERR_INIT;
	AUTO(buf) struct buf big = {0};
	size_t len = 300 * 1000;
	randombytes_buf(buf_reserve(&big, len), len);
	big.len = len;
	tree_put(&a, "big", MANIFEST_FILE, big.data, big.len);
	tree_text(&a, "small", "small");
	tree_finish(&a);
	AUTO_CLOSE int fd = make_bundle(NULL, &a);
	struct rlimit old, low = {100 * 1000, RLIM_INFINITY};
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	int rc = stage_fd(&world, fd, NULL, &a.manifest.digest, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERR_IO);
	assert_int_equal(err.errnum, EFBIG);
	assert_non_null(strstr(err.message, "big"));
	assert_false(has_release(&world, &a));
	assert_int_equal(stage_fd(&world, fd, NULL, &a.manifest.digest, &err), 0);
	assert_installed(&world, &a, 0);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_byte_exact),
		cmocka_unit_test(a_farm_shares_what_stayed),
		cmocka_unit_test(recycling_gives_the_same_tree),
		cmocka_unit_test(recycling_trusts_nothing_touched),
		cmocka_unit_test(a_changed_base_is_noticed),
		cmocka_unit_test(mode_and_kind_are_verified),
		cmocka_unit_test(staging_again_is_idempotent),
		cmocka_unit_test(links_that_leave_are_refused),
		cmocka_unit_test(a_large_file_streams),
		cmocka_unit_test(damaged_bundles_change_nothing),
		cmocka_unit_test(a_failing_write_is_clean),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
