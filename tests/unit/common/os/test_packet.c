#include "common/base/mem.h"
#include "common/os/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sys/socket.h>

#include <cmocka.h>

static void carries_the_largest_packet_and_a_file(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	int pair[2], pipe_fds[2], passed = -1;
	assert_int_equal(packet_pair(pair, &err), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	AUTO(buf) struct buf big = {0}, got = {0};
	memset(buf_reserve(&big, PACKET_MAX), 'x', PACKET_MAX);
	big.len = PACKET_MAX;
	assert_int_equal(packet_send(pair[0], buf_bytes(&big), pipe_fds[1], &err), PACKET_SENT);
	assert_int_equal(packet_recv(pair[1], &got, &passed, &err), PACKET_RECEIVED);
	assert_int_equal(got.len, PACKET_MAX);
	assert_memory_equal(got.data, big.data, PACKET_MAX);
	assert_true(passed >= 0);
	assert_true(fcntl(passed, F_GETFD) & FD_CLOEXEC);
	char c = 0;
	assert_int_equal(write(passed, "z", 1), 1);
	assert_int_equal(read(pipe_fds[0], &c, 1), 1);
	assert_int_equal(c, 'z');
	int fds[] = {pair[0], pair[1], pipe_fds[0], pipe_fds[1], passed};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void says_full_empty_and_closed(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	int pair[2], passed = 0;
	assert_int_equal(packet_pair(pair, &err), 0);
	for (int i = 0; i < 2; i++)
		fcntl(pair[i], F_SETFL, O_NONBLOCK);
	AUTO(buf) struct buf got = {0};
	assert_int_equal(packet_recv(pair[1], &got, &passed, &err), PACKET_EMPTY);
	int sent = 0, rc;
	while ((rc = packet_send(pair[0], BYTES_STR("message"), -1, &err)) == PACKET_SENT)
		sent++;
	assert_int_equal(rc, PACKET_BLOCKED);
	for (int i = 0; i < sent; i++) {
		assert_int_equal(packet_recv(pair[1], &got, &passed, &err), PACKET_RECEIVED);
		assert_int_equal(passed, -1);
	}
	close(pair[0]);
	assert_int_equal(packet_recv(pair[1], &got, &passed, &err), PACKET_CLOSED);
	assert_true(packet_send(pair[1], BYTES_STR("message"), -1, &err) < 0);
	assert_int_equal(err.code, ERR_UNREACHABLE);
	close(pair[1]);
}

static void refuses_what_does_not_fit(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	int pair[2], size = 2 * PACKET_MAX;
	assert_int_equal(packet_pair(pair, &err), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	AUTO(buf) struct buf big = {0}, got = {0};
	memset(buf_reserve(&big, PACKET_MAX + 1), 'x', PACKET_MAX + 1);
	big.len = PACKET_MAX + 1;
	assert_true(packet_send(pair[0], buf_bytes(&big), -1, &err) < 0);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_int_equal(send(pair[0], big.data, big.len, 0), PACKET_MAX + 1);
	assert_true(packet_recv(pair[1], &got, NULL, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_int_equal(packet_send(pair[0], BYTES_STR("ok"), -1, &err), PACKET_SENT);
	assert_int_equal(packet_recv(pair[1], &got, NULL, &err), PACKET_RECEIVED);
	assert_int_equal(got.len, 2);
	close(pair[0]);
	close(pair[1]);
}

/* Two fds in one packet: refused, and neither stays open here. */
static void refuses_more_than_one_file(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	int pair[2], passed = -1;
	assert_int_equal(packet_pair(pair, &err), 0);
	int before = dup(0);
	close(before);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = &passed, .iov_len = 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(2 * sizeof(int))};
	memcpy(CMSG_DATA(header), (int[]){0, 0}, 2 * sizeof(int));
	assert_int_equal(sendmsg(pair[0], &message, 0), 1);
	AUTO(buf) struct buf got = {0};
	assert_true(packet_recv(pair[1], &got, &passed, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	int after = dup(0);
	assert_int_equal(before, after);
	close(after);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_the_largest_packet_and_a_file),
		cmocka_unit_test(says_full_empty_and_closed),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(refuses_more_than_one_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
