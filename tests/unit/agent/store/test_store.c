#include "tests/unit/agent/store/fixture.h"

#define AUTO_WORLD AUTO(world) struct world
#define AUTO_TREE AUTO(memtree) struct memtree

static void opens_and_makes_its_folders(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		mode_t mode;
	} folders[] = {
		{"", 0755},
		{"/releases", 0755},
		{"/meta", 0700},
		{"/shared", 0755},
		{"/tmp", 0755},
		{"/state", 0700},
	};
	AUTO_WORLD world;
	mode_t mask = umask(077);
	world_init(&world);
	umask(mask);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		struct stat st;
		AUTO_FREE char *path = xasprintf("%s%s", world.store.path, folders[i].name);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, folders[i].mode);
	}
	struct err err = ERR_INIT;
	AUTO(store) struct store again = {0};
	assert_int_equal(store_open(world.dir, "app", "test", &again, &err), 0);
	AUTO(store) struct store existing = {0};
	assert_int_equal(store_open_existing(world.dir, "app", "test", &existing, &err), 0);
	struct store none = {0};
	assert_int_equal(store_open_existing(world.dir, "app", "other", &none, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_null(none.path);
}

static void names_cannot_leave_the_root(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	struct store store = {0};
	static const char *const names[] = {"..", "a/b", "", "../x", "-x"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct err err = ERR_INIT;
		assert_int_equal(store_open(world.dir, names[i], "e", &store, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_int_equal(store_open_existing(world.dir, "a", names[i], &store, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
	}
}

static void one_folder_has_one_owner(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	struct err err = ERR_INIT;
	AUTO(store) struct store first = {0};
	struct store second = {0};
	assert_int_equal(store_open(world.dir, "a-b", "c", &first, &err), 0);
	assert_int_equal(store_open(world.dir, "a", "b-c", &second, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_int_equal(store_open_existing(world.dir, "a", "b-c", &second, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
}

static void one_file(struct memtree *tree, const char *text)
{
	tree_text(tree, "file", text);
	tree_text(tree, "common", "in all of them");
	tree_finish(tree);
}

static void current_switches(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	AUTO_TREE b = {0};
	struct err err = ERR_INIT;
	struct digest current;
	one_file(&a, "a");
	one_file(&b, "b");
	AUTO_FREE char *path = xasprintf("%s/current/file", world.store.path);
	AUTO_FREE char *left = xasprintf("%s/tmp/current", world.store.path);
	AUTO_FREE char *link = xasprintf("%s/current", world.store.path);
	assert_int_equal(store_current(&world.store, &current, &err), 0);
	assert_true(digest_is_zero(&current));
	assert_int_equal(store_switch(&world.store, &a.manifest.digest, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	deploy(&world, NULL, &a);
	assert_text(path, "a");
	assert_int_equal(symlink("left by a crash", left), 0);
	deploy(&world, &a, &b);
	assert_text(path, "b");
	assert_int_equal(store_current(&world.store, &current, &err), 0);
	assert_true(digest_equal(&current, &b.manifest.digest));
	/* Somebody put something else there. */
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("/etc", link), 0);
	assert_int_equal(store_current(&world.store, &current, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(mkdir(link, 0755), 0);
	assert_int_equal(store_switch(&world.store, &a.manifest.digest, &err), -1);
	assert_int_equal(err.code, ERR_IO);
	assert_true(err.hint[0] != '\0');
}

static void records_come_newest_first(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	world.keep_releases = 9;
	struct memtree trees[3] = {0};
	struct err err = ERR_INIT;
	for (int i = 0; i < 3; i++) {
		one_file(&trees[i], (const char *[]){"0", "1", "2"}[i]);
		deploy(&world, i ? &trees[i - 1] : NULL, &trees[i]);
	}
	Fairlead__V1__ReleaseRecord **records = NULL;
	size_t count = 0;
	assert_int_equal(store_records(&world.store, &records, &count, &err), 0);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		assert_memory_equal(
			records[i]->manifest.data, trees[2 - i].manifest.digest.bytes, DIGEST_SIZE);
	store_records_free(records, count);
	Fairlead__V1__ReleaseRecord *one = NULL;
	assert_int_equal(store_record_read(&world.store, &trees[1].manifest.digest, &one, &err), 0);
	assert_int_equal(one->activated, 2);
	pb_free(&one->base);
	struct digest none = {.bytes = {7}};
	assert_int_equal(store_record_read(&world.store, &none, &one, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	/* A record or manifest under another's name is not believed. */
	char hex[2][DIGEST_HEX_SIZE];
	digest_hex(&trees[0].manifest.digest, hex[0]);
	digest_hex(&trees[1].manifest.digest, hex[1]);
	static const char *const suffixes[] = {"", ".manifest"};
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		AUTO_FREE char *from =
			xasprintf("%s/meta/%s%s", world.store.path, hex[0], suffixes[i]);
		AUTO_FREE char *to =
			xasprintf("%s/meta/%s%s", world.store.path, hex[1], suffixes[i]);
		assert_int_equal(rename(from, to), 0);
	}
	AUTO(manifest) struct manifest m = {0};
	assert_int_equal(
		store_record_read(&world.store, &trees[1].manifest.digest, &one, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(
		store_manifest_read(&world.store, &trees[1].manifest.digest, &m, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	for (int i = 0; i < 3; i++)
		memtree_release(&trees[i]);
}

/* Ten releases, newest last; what pruning leaves with keep_releases 2. */
static void prunes_what_is_due(void **state)
{
	(void)state;
	static const struct {
		enum outcome outcome;
		bool stays;
		const char *why;
	} cases[] = {
		{OUTCOME_VERIFIED, true, "current, although old"},
		{OUTCOME_VERIFIED, false, "beyond two verified"},
		{OUTCOME_FAILED, false, "beyond two failed"},
		{OUTCOME_VERIFIED, true, "asked to keep"},
		{OUTCOME_VERIFIED, true, "to be recycled next: the newest that is due"},
		{OUTCOME_FAILED, true, "second failed"},
		{OUTCOME_FAILED, true, "first failed"},
		{OUTCOME_VERIFIED, true, "second verified"},
		{OUTCOME_PREPARED, false, "never activated"},
		{OUTCOME_VERIFIED, true, "first verified"},
	};
	AUTO_WORLD world;
	world_init(&world);
	struct memtree trees[ARRAY_LEN(cases)] = {0};
	struct err err = ERR_INIT;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[2] = {(char)('a' + i), '\0'};
		one_file(&trees[i], text);
		assert_int_equal(stage_tree(&world, NULL, &trees[i], &err), 0);
		record(&world, &trees[i], cases[i].outcome);
	}
	AUTO_TREE orphan = {0};
	one_file(&orphan, "never recorded");
	assert_int_equal(stage_tree(&world, NULL, &orphan, &err), 0);
	assert_int_equal(store_switch(&world.store, &trees[0].manifest.digest, &err), 0);
	AUTO_FREE char *left = xasprintf("%s/tmp/stage-left", world.store.path);
	AUTO_FREE char *spool = xasprintf("%s/tmp/spool", world.store.path);
	assert_int_equal(mkdir(left, 0755), 0);
	write_text(spool, "not ours");
	if (store_prune(&world.store, &(struct store_keep){2, 2, &trees[3].manifest.digest, 1},
		    &err) < 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (has_release(&world, &trees[i]) != cases[i].stays)
			fail_msg("release %zu (%s)", i, cases[i].why);
		if (cases[i].stays)
			assert_installed(&world, &trees[i], 0);
		AUTO(manifest) struct manifest m = {0};
		assert_int_equal(
			store_manifest_read(&world.store, &trees[i].manifest.digest, &m, &err),
			cases[i].stays ? 0 : -1);
		memtree_release(&trees[i]);
	}
	assert_false(has_release(&world, &orphan));
	assert_true(access(left, F_OK) < 0);
	assert_text(spool, "not ours");
	/* What is left is kept: pruning again changes nothing. */
	AUTO_FREE char *releases = xasprintf("%s/releases", world.store.path);
	AUTO_CLOSE int fd = open_dir(releases, &err);
	size_t before = count_below(fd);
	assert_int_equal(store_prune(&world.store, &(struct store_keep){2, 2, NULL, 0}, &err), 0);
	assert_true(count_below(fd) <= before);
}

/* In steady state there are keep_releases and one more, which is recycled by each deployment. */
static void steady_state_recycles(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	world.keep_releases = 2;
	struct memtree trees[6] = {0};
	struct err err = ERR_INIT;
	ino_t spare = 0;
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		char text[2] = {(char)('a' + i), '\0'};
		one_file(&trees[i], text);
		deploy(&world, i ? &trees[i - 1] : NULL, &trees[i]);
		AUTO_FREE char *root = store_release_path(&world.store, &trees[i].manifest.digest);
		struct stat st;
		assert_int_equal(stat(root, &st), 0);
		/* The very directory of the release before the two kept ones. */
		if (i >= 3)
			assert_int_equal(st.st_ino, spare);
		assert_int_equal(
			store_prune(&world.store, &(struct store_keep){2, 2, NULL, 0}, &err), 0);
		assert_installed(&world, &trees[i], 0);
		if (i < 2)
			continue;
		AUTO_FREE char *next =
			store_release_path(&world.store, &trees[i - 2].manifest.digest);
		assert_int_equal(stat(next, &st), 0);
		spare = st.st_ino;
		assert_false(i > 2 && has_release(&world, &trees[i - 3]));
	}
	for (size_t i = 0; i < ARRAY_LEN(trees); i++)
		memtree_release(&trees[i]);
}

/* A release that was being removed when the power went: gone from the list, cleaned by pruning. */
static void half_removed_releases_are_gone(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	AUTO_TREE b = {0};
	struct err err = ERR_INIT;
	one_file(&a, "a");
	one_file(&b, "b");
	deploy(&world, NULL, &a);
	deploy(&world, &a, &b);
	AUTO_FREE char *from = store_release_path(&world.store, &a.manifest.digest);
	AUTO_FREE char *to = xasprintf("%s/tmp/prune-x", world.store.path);
	assert_int_equal(rename(from, to), 0);
	Fairlead__V1__ReleaseRecord **records = NULL;
	size_t count = 0;
	assert_int_equal(store_records(&world.store, &records, &count, &err), 0);
	assert_int_equal(count, 1);
	store_records_free(records, count);
	assert_int_equal(store_prune(&world.store, &(struct store_keep){2, 2, NULL, 0}, &err), 0);
	assert_true(access(to, F_OK) < 0);
	Fairlead__V1__ReleaseRecord *one = NULL;
	assert_int_equal(store_record_read(&world.store, &a.manifest.digest, &one, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_and_makes_its_folders),
		cmocka_unit_test(names_cannot_leave_the_root),
		cmocka_unit_test(one_folder_has_one_owner),
		cmocka_unit_test(current_switches),
		cmocka_unit_test(records_come_newest_first),
		cmocka_unit_test(prunes_what_is_due),
		cmocka_unit_test(steady_state_recycles),
		cmocka_unit_test(half_removed_releases_are_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
