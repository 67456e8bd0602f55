#include "tests/unit/agent/store/fixture.h"

#include <sched.h>
#include <sys/mount.h>

/* This process gets a mount namespace of its own, as root or through a user namespace; false where
 * the system allows neither. */
static bool own_mounts(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	if (unshare(CLONE_NEWNS) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return false;
		AUTO_FREE char *uids = xasprintf("0 %u 1", uid);
		AUTO_FREE char *gids = xasprintf("0 %u 1", gid);
		const char *const files[][2] = {
			{"/proc/self/setgroups", "deny"},
			{"/proc/self/uid_map", uids},
			{"/proc/self/gid_map", gids},
		};
		for (size_t i = 0; i < ARRAY_LEN(files); i++) {
			AUTO_CLOSE int fd = open(files[i][0], O_WRONLY | O_CLOEXEC);
			if (fd < 0 || fd_write_all(fd, files[i][1], strlen(files[i][1]), NULL) < 0)
				return false;
		}
	}
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void a_full_disk_fails_cleanly(void **state)
{
	(void)state;
	char dir[] = "/tmp/fairlead-test-XXXXXX";
	assert_non_null(mkdtemp(dir));
	if (!own_mounts() || mount("none", dir, "tmpfs", 0, "size=2m") < 0) {
		rmdir(dir);
		print_message("neither root nor user namespaces here: skipped\n");
		skip();
	}
	struct err err = ERR_INIT;
	struct world world = {.keep_releases = 2};
	fairlead__v1__prepare__init(&world.plan);
	assert_int_equal(store_open(dir, "app", "test", &world.store, &err), 0);
	AUTO(memtree) struct memtree a = {0};
	AUTO(memtree) struct memtree b = {0};
	AUTO(buf) struct buf big = {0};
	size_t len = 1500 * 1000;
	randombytes_buf(buf_reserve(&big, len), len);
	big.len = len;
	tree_text(&a, "small", "small");
	tree_finish(&a);
	tree_text(&b, "small", "small");
	tree_put(&b, "big-1", MANIFEST_FILE, big.data, big.len);
	big.data[0] ^= 1;
	tree_put(&b, "big-2", MANIFEST_FILE, big.data, big.len);
	tree_finish(&b);
	deploy(&world, NULL, &a);
	assert_int_equal(stage_tree(&world, &a, &b, &err), -1);
	assert_int_equal(err.code, ERR_NOSPACE);
	assert_int_equal(err.errnum, ENOSPC);
	assert_non_null(strstr(err.message, "big-2"));
	assert_false(has_release(&world, &b));
	assert_installed(&world, &a, 0);
	AUTO_FREE char *tmp = xasprintf("%s/tmp", world.store.path);
	AUTO_CLOSE int tmpfd = open_dir(tmp, &err);
	assert_int_equal(count_below(tmpfd), 1000); /* the space is given back */
	close(TAKE_FD(tmpfd));
	store_release(&world.store);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
	rmdir(dir);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk_fails_cleanly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
