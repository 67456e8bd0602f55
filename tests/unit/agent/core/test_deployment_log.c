#include "agent/core/deployment_log.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#include <setjmp.h>

#include <cmocka.h>

static void the_line_is_exact(void **state)
{
	(void)state;
	Fairlead__V1__DeploymentStatus status = FAIRLEAD__V1__DEPLOYMENT_STATUS__INIT;
	status.commit_from = pb_str("abc1234567890");
	status.commit_to = pb_str("def5678901234");
	status.class_ = FAIRLEAD__V1__ACTION_CLASS__APP_ONLY;
	status.ended_unix_ms = 1736346615000;
	status.started_unix_ms = status.ended_unix_ms - 45200;
	struct {
		enum deployment_log_kind kind;
		Fairlead__V1__State state;
		const char *line;
	} cases[] = {
		{DEPLOYMENT_LOG_DEPLOY, FAIRLEAD__V1__STATE__STATE_COMMITTED,
			"2025-01-08T14:30:15+00:00 [DEPLOY] APP_ONLY: abc1234 → def5678 (45s)"},
		{DEPLOYMENT_LOG_FAILED, FAIRLEAD__V1__STATE__STATE_ROLLED_BACK,
			"2025-01-08T14:30:15+00:00 [DEPLOY-FAILED] APP_ONLY: abc1234 → def5678 "
			"(45s)"},
		{DEPLOYMENT_LOG_ROLLBACK, FAIRLEAD__V1__STATE__STATE_ROLLED_BACK,
			"2025-01-08T14:30:15+00:00 [ROLLBACK] APP_ONLY: def5678 → abc1234 (45s)"},
		{DEPLOYMENT_LOG_ROLLBACK, FAIRLEAD__V1__STATE__STATE_COMMITTED,
			"2025-01-08T14:30:15+00:00 [ROLLBACK] APP_ONLY: abc1234 → def5678 (45s)"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		status.state = cases[i].state;
		struct deployment_log_entry entry = {cases[i].kind, &status, 3};
		AUTO_FREE char *line = deployment_log_line(&entry);
		assert_string_equal(line, cases[i].line);
	}
}

static void a_foreign_label_cannot_forge_a_line(void **state)
{
	(void)state;
	Fairlead__V1__DeploymentStatus status = FAIRLEAD__V1__DEPLOYMENT_STATUS__INIT;
	status.commit_to = pb_str("a\nb\x1b[0m");
	struct deployment_log_entry entry = {DEPLOYMENT_LOG_DEPLOY, &status, 0};
	AUTO_FREE char *line = deployment_log_line(&entry);
	assert_null(strchr(line, '\n'));
	assert_null(strchr(line, '\x1b'));
	assert_non_null(strstr(line, "none → a\\nb\\x1b"));
}

static void read_lines(int dirfd, const char *name, const char *expected)
{
	AUTO(buf) struct buf content = {0};
	assert_int_equal(file_read(dirfd, name, 4096, &content, NULL), 0);
	assert_string_equal(buf_str(&content), expected);
}

static void what_a_crash_left_out_is_completed_once(void **state)
{
	(void)state;
	char dir[] = "/tmp/fairlead-log-XXXXXX";
	assert_non_null(mkdtemp(dir));
	AUTO_CLOSE int dirfd = open_dir(dir, NULL);
	Fairlead__V1__DeploymentStatus status = FAIRLEAD__V1__DEPLOYMENT_STATUS__INIT;
	status.commit_to = pb_str("def5678901234");
	struct deployment_log_entry entry = {DEPLOYMENT_LOG_DEPLOY, &status, 1};
	struct err err = ERR_INIT;
	AUTO_FREE char *line = deployment_log_line(&entry);
	AUTO_FREE char *one = xasprintf("%s\n", line);
	AUTO_FREE char *two = xasprintf("%s\n%s\n", line, line);
	AUTO_FREE char *torn = xasprintf("%.20s", line);
	/* Two deployments may well have the same line; a crash does not add a third. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			deployment_log_write(dirfd, &entry, DEPLOYMENT_LOG_APPEND, &err), 0);
	assert_int_equal(deployment_log_write(dirfd, &entry, DEPLOYMENT_LOG_COMPLETE, &err), 0);
	read_lines(dirfd, "deployment.log", two);
	assert_int_equal(
		file_write_atomic(dirfd, "deployment.log", BYTES_STR(torn), 0644, &err), 0);
	assert_int_equal(deployment_log_write(dirfd, &entry, DEPLOYMENT_LOG_COMPLETE, &err), 0);
	read_lines(dirfd, "deployment.log", one);
	/* A power loss may keep a line's length without the line, and a later one whole. */
	AUTO(buf) struct buf holed = {0};
	buf_append(&holed, torn, strlen(torn));
	buf_append(&holed, (const uint8_t[8]){0}, 8);
	buf_append_str(&holed, one);
	assert_int_equal(
		file_write_atomic(dirfd, "deployment.log", buf_bytes(&holed), 0644, &err), 0);
	assert_int_equal(deployment_log_write(dirfd, &entry, DEPLOYMENT_LOG_COMPLETE, &err), 0);
	read_lines(dirfd, "deployment.log", one);
	assert_int_equal(deployment_log_sync(dirfd, &err), 0);
	tree_remove(AT_FDCWD, dir, NULL);
}

static void a_large_file_makes_room_for_a_new_one(void **state)
{
	(void)state;
	char dir[] = "/tmp/fairlead-log-XXXXXX";
	assert_non_null(mkdtemp(dir));
	AUTO_CLOSE int dirfd = open_dir(dir, NULL);
	Fairlead__V1__DeploymentStatus status = FAIRLEAD__V1__DEPLOYMENT_STATUS__INIT;
	struct deployment_log_entry entry = {DEPLOYMENT_LOG_DEPLOY, &status, 1};
	struct err err = ERR_INIT;
	AUTO_FREE char *large = xcalloc(DEPLOYMENT_LOG_MAX_BYTES, 1);
	assert_int_equal(deployment_log_rotate(dirfd, &err), 0); /* nothing is there yet */
	assert_int_equal(deployment_log_write(dirfd, &entry, DEPLOYMENT_LOG_APPEND, &err), 0);
	assert_int_equal(deployment_log_rotate(dirfd, &err), 0);
	assert_int_equal(faccessat(dirfd, "deployment.log.1", F_OK, 0), -1);
	assert_int_equal(file_write_atomic(dirfd, "deployment.log",
				 BYTES(large, DEPLOYMENT_LOG_MAX_BYTES), 0644, &err),
		0);
	assert_int_equal(deployment_log_rotate(dirfd, &err), 0);
	assert_int_equal(faccessat(dirfd, "deployment.log.1", F_OK, 0), 0);
	assert_int_equal(faccessat(dirfd, "deployment.log", F_OK, 0), -1);
	assert_int_equal(faccessat(dirfd, "deployment.log.json", F_OK, 0), 0);
	assert_int_equal(deployment_log_write(dirfd, &entry, DEPLOYMENT_LOG_APPEND, &err), 0);
	AUTO_FREE char *line = deployment_log_line(&entry);
	AUTO_FREE char *one = xasprintf("%s\n", line);
	read_lines(dirfd, "deployment.log", one);
	tree_remove(AT_FDCWD, dir, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_is_exact),
		cmocka_unit_test(a_foreign_label_cannot_forge_a_line),
		cmocka_unit_test(what_a_crash_left_out_is_completed_once),
		cmocka_unit_test(a_large_file_makes_room_for_a_new_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
