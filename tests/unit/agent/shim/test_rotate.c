#include "agent/shim/rotate.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>
#include <setjmp.h>
#include <sys/stat.h>

#include <cmocka.h>

struct logs {
	char dir[64];
	int dirfd;
	char *path;
};

static int setup(void **state)
{
	struct logs *logs = xcalloc(1, sizeof(*logs));
	snprintf(logs->dir, sizeof(logs->dir), "/tmp/fairlead-rotate-XXXXXX");
	assert_non_null(mkdtemp(logs->dir));
	logs->dirfd = open_dir(logs->dir, NULL);
	logs->path = xasprintf("%s/web.log", logs->dir);
	*state = logs;
	return 0;
}

static int teardown(void **state)
{
	struct logs *logs = *state;
	close(logs->dirfd);
	assert_int_equal(tree_remove(AT_FDCWD, logs->dir, NULL), 0);
	free(logs->path);
	free(logs);
	return 0;
}

static void assert_content(const struct logs *logs, const char *name, const char *content)
{
	AUTO(buf) struct buf text = {0};
	struct err err = ERR_INIT;
	int rc = file_read(logs->dirfd, name, 4096, &text, &err);
	if (!content) {
		assert_int_equal(rc, -1);
		assert_int_equal(err.code, ERR_NOT_FOUND);
		return;
	}
	assert_int_equal(rc, 0);
	assert_string_equal(buf_str(&text), content);
}

static void full_logs_move_aside_and_old_ones_go(void **state)
{
	const struct logs *logs = *state;
	struct rotate rotate;
	assert_int_equal(rotate_open(&rotate, logs->path, 8, 2, NULL), 0);
	static const char *const lines[] = {"one.\n", "two\n", "3\n", "four44\n", "five55\n"};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		rotate_write(&rotate, BYTES_STR(lines[i]));
	assert_content(logs, "web.log", "five55\n");
	assert_content(logs, "web.log.1", "four44\n");
	assert_content(logs, "web.log.2", "two\n3\n");
	assert_content(logs, "web.log.3", NULL);
	rotate_release(&rotate);
}

static void what_was_there_stays_and_counts(void **state)
{
	const struct logs *logs = *state;
	assert_int_equal(
		file_write_atomic(logs->dirfd, "web.log", BYTES_STR("before\n"), 0640, NULL), 0);
	struct rotate rotate;
	assert_int_equal(rotate_open(&rotate, logs->path, 10, 1, NULL), 0);
	rotate_write(&rotate, BYTES_STR("x\n"));
	assert_content(logs, "web.log", "before\nx\n");
	rotate_write(&rotate, BYTES_STR("after\n"));
	assert_content(logs, "web.log", "after\n");
	assert_content(logs, "web.log.1", "before\nx\n");
	rotate_release(&rotate);
}

static void keeping_none_begins_afresh(void **state)
{
	const struct logs *logs = *state;
	struct rotate rotate;
	assert_int_equal(rotate_open(&rotate, logs->path, 4, 0, NULL), 0);
	rotate_write(&rotate, BYTES_STR("one\n"));
	rotate_write(&rotate, BYTES_STR("two\n"));
	assert_content(logs, "web.log", "two\n");
	assert_content(logs, "web.log.1", NULL);
	rotate_release(&rotate);
}

static void a_lost_log_comes_back(void **state)
{
	const struct logs *logs = *state;
	struct rotate rotate;
	assert_int_equal(rotate_open(&rotate, logs->path, 4, 1, NULL), 0);
	rotate_write(&rotate, BYTES_STR("one\n"));
	/* A directory in its place: not opened for writing, nor moved onto the file beside it. */
	assert_int_equal(renameat(logs->dirfd, "web.log", logs->dirfd, "web.log.1"), 0);
	assert_int_equal(mkdirat(logs->dirfd, "web.log", 0755), 0);
	rotate_write(&rotate, BYTES_STR("two\n"));
	rotate_write(&rotate, BYTES_STR("three\n")); /* nowhere to go: lost, not fatal */
	assert_int_equal(unlinkat(logs->dirfd, "web.log", AT_REMOVEDIR), 0);
	rotate_write(&rotate, BYTES_STR("four\n"));
	assert_content(logs, "web.log", "four\n");
	rotate_release(&rotate);
}

static void a_symlink_is_no_log(void **state)
{
	const struct logs *logs = *state;
	assert_int_equal(symlinkat("elsewhere", logs->dirfd, "web.log"), 0);
	struct rotate rotate;
	struct err err = ERR_INIT;
	assert_int_equal(rotate_open(&rotate, logs->path, 4, 0, &err), -1);
	assert_int_equal(err.errnum, ELOOP);
	rotate_release(&rotate);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(full_logs_move_aside_and_old_ones_go),
		TEST(what_was_there_stays_and_counts),
		TEST(keeping_none_begins_afresh),
		TEST(a_lost_log_comes_back),
		TEST(a_symlink_is_no_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
