#include "agent/shim/report.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/pb.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

static void it_is_awaited_until_the_reader_has_gone(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_true(report_is_awaited(fds[1]));
	close(fds[0]);
	assert_false(report_is_awaited(fds[1]));
	close(fds[1]);
}

/* The state that a failure of this kind is told as. */
static void assert_told_as(enum err_code code, const char *state)
{
	int fds[2];
	uint8_t packed[4096];
	struct err err = ERR_INIT;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	err_set(&err, code, "no luck");
	report_failure(&fds[1], &err);
	assert_int_equal(fds[1], -1);
	ssize_t len = read(fds[0], packed, sizeof(packed));
	assert_true(len > 0);
	Fairlead__V1__ShimReply *reply = NULL;
	assert_int_equal(
		PB_UNPACK(fairlead__v1__shim_reply, BYTES(packed, (size_t)len), &reply, NULL), 0);
	assert_string_equal(reply->status->state, state);
	assert_string_equal(reply->status->message, "no luck");
	pb_free(&reply->base);
	close(fds[0]);
}

static void a_release_is_blamed_only_for_what_it_does(void **state)
{
	(void)state;
	assert_told_as(ERR_FAILED, "failed");
	assert_told_as(ERR_CONFIG, "failed");
	assert_told_as(ERR_IO, "error");
	assert_told_as(ERR_INTERNAL, "error");
	assert_told_as(ERR_EXISTS, "error"); /* another supervisor of the service */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_awaited_until_the_reader_has_gone),
		cmocka_unit_test(a_release_is_blamed_only_for_what_it_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
