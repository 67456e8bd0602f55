#include "tests/unit/agent/store/fixture.h"

#define AUTO_WORLD AUTO(world) struct world
#define AUTO_TREE AUTO(memtree) struct memtree

static void share(struct world *world, const char *const *dirs, const char *const *files)
{
	static ProtobufCBinaryData list[2][8];
	size_t counts[2] = {0};
	for (; dirs && *dirs; dirs++)
		list[0][counts[0]++] = pb_borrow(*dirs, strlen(*dirs));
	for (; files && *files; files++)
		list[1][counts[1]++] = pb_borrow(*files, strlen(*files));
	world->plan.shared_dirs = list[0];
	world->plan.n_shared_dirs = counts[0];
	world->plan.shared_files = list[1];
	world->plan.n_shared_files = counts[1];
}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static char *shared(const struct world *world, const char *path)
{
	return xasprintf("%s/shared/%s", world->store.path, path);
}

static void assert_link(
	const struct world *world, const struct memtree *tree, const char *path, const char *target)
{
	AUTO_FREE char *full = in_release(world, tree, path);
	char is[256];
	ssize_t n = readlink(full, is, sizeof(is) - 1);
	assert_true(n > 0);
	is[n] = '\0';
	assert_string_equal(is, target);
}

static void verify(const struct world *world, const struct memtree *tree)
{
	struct err err = ERR_INIT;
	if (store_verify(&world->store, &tree->manifest.digest, STORE_VERIFY_STAT, &err) < 0 ||
		store_verify(&world->store, &tree->manifest.digest, STORE_VERIFY_FULL, &err) < 0)
		fail_msg("%s", err.message);
}

static void app(struct memtree *tree, const char *version, const char *seed)
{
	tree_text(tree, "main.py", version);
	tree_text(tree, "data/seed.json", seed);
	tree_text(tree, "data/more/deep", "deep seed");
	tree_text(tree, "settings.ini", seed);
	tree_finish(tree);
}

static void shared_paths_are_made_once_and_survive(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	world.keep_releases = 1;
	share(&world, LIST("data", "var/logs"), LIST("settings.ini", ".env"));
	struct memtree trees[4] = {0};
	AUTO_FREE char *seed = shared(&world, "data/seed.json");
	AUTO_FREE char *deep = shared(&world, "data/more/deep");
	AUTO_FREE char *settings = shared(&world, "settings.ini");
	AUTO_FREE char *logs = shared(&world, "var/logs");
	AUTO_FREE char *env = shared(&world, ".env");
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		char version[16], seeded[16];
		snprintf(version, sizeof(version), "version %zu", i);
		snprintf(seeded, sizeof(seeded), "seed %zu", i); /* tracked, and it changes */
		app(&trees[i], version, seeded);
		deploy(&world, i ? &trees[i - 1] : NULL, &trees[i]); /* whole, farm, recycled… */
		verify(&world, &trees[i]);
		assert_link(&world, &trees[i], "data", "../../shared/data");
		assert_link(&world, &trees[i], "var/logs", "../../../shared/var/logs");
		assert_link(&world, &trees[i], "settings.ini", "../../shared/settings.ini");
		assert_link(&world, &trees[i], ".env", "../../shared/.env");
		AUTO_FREE char *through = in_release(&world, &trees[i], "data/seed.json");
		if (i == 0) {
			assert_text(through, "seed 0");
			assert_text(deep, "deep seed");
			assert_text(settings, "seed 0");
			struct stat st;
			assert_int_equal(stat(logs, &st), 0);
			assert_int_equal(st.st_mode, S_IFDIR | 0755);
			assert_true(access(env, F_OK) < 0);
			write_text(through, "the user's data");
			write_text(env, "SECRET=1");
		}
		assert_text(seed, "the user's data");
		assert_text(settings, "seed 0");
		assert_text(env, "SECRET=1");
	}
	for (size_t i = 0; i < ARRAY_LEN(trees); i++)
		memtree_release(&trees[i]);
}

/* What is seeded is written in place one day: never an inode of a release. */
static void a_path_that_becomes_shared_is_copied(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	AUTO_TREE b = {0};
	AUTO_TREE c = {0};
	struct err err = ERR_INIT;
	app(&a, "one", "seed");
	app(&b, "two", "seed");
	app(&c, "three", "seed");
	deploy(&world, NULL, &a);
	share(&world, LIST("data"), LIST("settings.ini"));
	deploy(&world, &a, &b);
	AUTO_FREE char *seed = shared(&world, "data/seed.json");
	assert_text(seed, "seed");
	write_text(seed, "SEED");
	verify(&world, &a);
	verify(&world, &b);
	/* No longer shared: the base has no such file any more, so all is to be sent. */
	share(&world, NULL, NULL);
	assert_int_equal(stage_tree(&world, &b, &c, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	deploy(&world, NULL, &c);
	assert_installed(&world, &c, 0);
	assert_text(seed, "SEED");
}

static void a_lost_shared_folder_is_seeded_anew(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	AUTO_TREE b = {0};
	struct err err = ERR_INIT;
	share(&world, LIST("data"), NULL);
	app(&a, "one", "seed");
	app(&b, "two", "seed");
	deploy(&world, NULL, &a);
	assert_int_equal(tree_remove(world.store.dirfd, "shared/data", &err), 0);
	assert_int_equal(stage_tree(&world, &a, &b, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	deploy(&world, NULL, &b);
	AUTO_FREE char *seed = shared(&world, "data/seed.json");
	assert_text(seed, "seed");
}

static void operators_may_link_shared_elsewhere(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	share(&world, LIST("data"), NULL);
	app(&a, "one", "seed");
	AUTO_FREE char *data = shared(&world, "data");
	AUTO_FREE char *elsewhere = xasprintf("%s/elsewhere", world.dir);
	assert_int_equal(mkdir(elsewhere, 0700), 0);
	assert_int_equal(symlink(elsewhere, data), 0);
	deploy(&world, NULL, &a);
	verify(&world, &a);
	AUTO_FREE char *seed = shared(&world, "data/seed.json");
	assert_true(access(seed, F_OK) < 0);
}

static void clashes_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *dir, *dir2, *file;
		enum err_code code;
	} cases[] = {
		{"main.py", NULL, NULL, ERR_CONFIG},      /* a file of the release */
		{"main.py/x", NULL, NULL, ERR_CONFIG},    /* below one */
		{NULL, NULL, "data", ERR_CONFIG},         /* a directory of the release */
		{NULL, NULL, "link", ERR_CONFIG},         /* a link */
		{"data", "data/more", NULL, ERR_INVALID}, /* one in the other */
		{"data", "data", NULL, ERR_INVALID},
		{"data", NULL, "data/seed.json", ERR_INVALID},
		{"../outside", NULL, NULL, ERR_INVALID},
		{"/etc", NULL, NULL, ERR_INVALID},
		{"data/.git", NULL, NULL, ERR_INVALID},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_WORLD world;
		world_init(&world);
		AUTO_TREE a = {0};
		struct err err = ERR_INIT;
		tree_put(&a, "link", MANIFEST_LINK, "main.py", 7);
		app(&a, "one", "seed");
		const char *dirs[] = {cases[i].dir, cases[i].dir2, NULL};
		share(&world, dirs, LIST(cases[i].file));
		assert_int_equal(stage_tree(&world, NULL, &a, &err), -1);
		if (err.code != cases[i].code)
			fail_msg("case %zu: %s", i, err.message);
		assert_false(has_release(&world, &a));
	}
}

static void other_shared_paths_are_another_tree(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	struct err err = ERR_INIT;
	app(&a, "one", "seed");
	share(&world, LIST("data"), NULL);
	assert_int_equal(stage_tree(&world, NULL, &a, &err), 0);
	share(&world, LIST("logs"), NULL);
	assert_int_equal(stage_tree(&world, NULL, &a, &err), 0); /* not in use: made anew */
	assert_installed(&world, &a, 1);
	assert_int_equal(store_switch(&world.store, &a.manifest.digest, &err), 0);
	share(&world, LIST("data"), NULL);
	assert_int_equal(stage_tree(&world, NULL, &a, &err), -1);
	assert_int_equal(err.code, ERR_PREFLIGHT);
	assert_installed(&world, &a, 1);
}

static void a_bent_shared_link_is_noticed(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	AUTO_TREE a = {0};
	struct err err = ERR_INIT;
	app(&a, "one", "seed");
	share(&world, LIST("data"), NULL);
	deploy(&world, NULL, &a);
	AUTO_FREE char *link = in_release(&world, &a, "data");
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("../../shared/dat.", link), 0);
	assert_int_equal(
		store_verify(&world.store, &a.manifest.digest, STORE_VERIFY_STAT, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
}

/* Root gives them away; anybody else can give them only to himself. */
static void shared_paths_belong_to_the_service(void **state)
{
	(void)state;
	AUTO_WORLD world;
	world_init(&world);
	struct store_owner owner = {
		geteuid() == 0 ? 65534 : geteuid(), geteuid() == 0 ? 65534 : getegid()};
	world.shared_owner = &owner;
	share(&world, LIST("data", "var/logs"), LIST("settings.ini"));
	AUTO_TREE tree = {0};
	app(&tree, "one", "seed");
	deploy(&world, NULL, &tree);
	static const char *const paths[] = {
		"data", "data/seed.json", "data/more/deep", "var/logs", "settings.ini"};
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		AUTO_FREE char *path = shared(&world, paths[i]);
		struct stat st;
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_uid, owner.uid);
		assert_int_equal(st.st_gid, owner.gid);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_paths_are_made_once_and_survive),
		cmocka_unit_test(a_path_that_becomes_shared_is_copied),
		cmocka_unit_test(a_lost_shared_folder_is_seeded_anew),
		cmocka_unit_test(operators_may_link_shared_elsewhere),
		cmocka_unit_test(clashes_are_refused),
		cmocka_unit_test(other_shared_paths_are_another_tree),
		cmocka_unit_test(a_bent_shared_link_is_noticed),
		cmocka_unit_test(shared_paths_belong_to_the_service),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
