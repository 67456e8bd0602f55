#include "agent/shim/pidfile.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <setjmp.h>

#include <cmocka.h>

#define BOOT "01234567-89ab-cdef-0123-456789abcdef"
#define SIXTY_FOUR "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void only_whole_lines_parse(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		int rc;
	} cases[] = {
		{"42 99 " BOOT " " SIXTY_FOUR "\n", 0},
		{"42 99 " BOOT " x", 0},
		{"42 99 " BOOT "\n", -1},
		{"42 99\n", -1},
		{"1 99 " BOOT " x\n", -1}, /* init is nobody's service */
		{"0 99 " BOOT " x\n", -1},
		{"-42 99 " BOOT " x\n", -1},
		{"42 99 " BOOT " " SIXTY_FOUR "0\n", -1},
		{"42 99 " BOOT " x and more\n", -1},
		{"", -1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pidfile file = {0};
		assert_int_equal(pidfile_parse(cases[i].line, &file), cases[i].rc);
		assert_int_equal(file.pid, cases[i].rc == 0 ? 42 : 0);
		assert_int_equal(file.start_ticks, cases[i].rc == 0 ? 99 : 0);
	}
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	char dir[] = "/tmp/fairlead-pidfile-XXXXXX";
	assert_non_null(mkdtemp(dir));
	int dirfd = open_dir(dir, NULL);
	struct err err = ERR_INIT;
	struct pidfile file;
	assert_int_equal(pidfile_read(dirfd, "a.pid", &file, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(pidfile_write(dirfd, "a.pid", getpid(), SIXTY_FOUR, NULL), 0);
	assert_int_equal(pidfile_read(dirfd, "a.pid", &file, NULL), 0);
	struct process self;
	assert_int_equal(process_read(getpid(), &self, NULL), 0);
	assert_int_equal(file.pid, getpid());
	assert_true(file.start_ticks == self.start_ticks);
	assert_string_equal(file.release, SIXTY_FOUR);
	assert_int_equal(file_write_atomic(dirfd, "a.pid", BYTES_STR("nonsense"), 0600, NULL), 0);
	assert_int_equal(pidfile_read(dirfd, "a.pid", &file, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	close(dirfd);
	assert_int_equal(tree_remove(AT_FDCWD, dir, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_whole_lines_parse),
		cmocka_unit_test(what_is_written_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
