/* The shim's control socket, when there are no file descriptors left for who wants to talk. */
#include "agent/shim/control.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/os/packet.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000, FDS = 64 };

static void fill_status(void *user, Fairlead__V1__ServiceStatus *ret)
{
	(void)user;
	ret->pid = 4711;
}

static void stop(void *user, enum control_stop how)
{
	(void)user, (void)how;
}

static const struct control_calls calls = {.status = fill_status, .stop = stop};

/* One turn as the supervisor makes it. Returns what was polled for. */
static struct pollfd turn(struct control *control, int timeout_ms)
{
	struct pollfd fds[CONTROL_FDS];
	control_fds(control, fds);
	int wait = control_timeout_ms(control);
	if (wait < 0 || wait > timeout_ms)
		wait = timeout_ms;
	poll(fds, CONTROL_FDS, wait);
	control_serve(control, fds, &calls);
	return fds[0];
}

/* Not by a limit below what is open: poll(2) refuses more entries than the limit. */
static void take_all_descriptors(int taken[static FDS])
{
	struct rlimit few;
	getrlimit(RLIMIT_NOFILE, &few);
	few.rlim_cur = FDS;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < FDS; i++)
		taken[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(taken[FDS - 1], -1);
}

static void give_them_back(const int taken[static FDS])
{
	for (int i = 0; i < FDS; i++)
		if (taken[i] >= 0)
			close(taken[i]);
}

static void without_descriptors_it_waits_and_then_answers(void **state)
{
	(void)state;
	char folder[] = "/tmp/fairlead-control-XXXXXX";
	assert_non_null(mkdtemp(folder));
	AUTO_FREE char *path = xasprintf("%s/socket", folder);
	struct control control;
	struct err err = ERR_INIT;
	assert_int_equal(control_open(&control, path, &err), 0);
	AUTO_CLOSE int client = control_connect(control.dirfd, "socket", &err);
	assert_true(client >= 0);

	int taken[FDS];
	take_all_descriptors(taken);
	assert_true(turn(&control, PATIENCE_MS).revents & POLLIN);
	assert_true(control.accept_again_ms > 0);
	/* The socket stays readable, and is not looked at: no turn without a wait. */
	for (uint64_t until = control.accept_again_ms; clock_mono_ms() < until;) {
		struct pollfd listening = turn(&control, 10);
		assert_true(listening.fd == -1 || clock_mono_ms() >= until);
	}
	give_them_back(taken);

	Fairlead__V1__ShimRequest request = FAIRLEAD__V1__SHIM_REQUEST__INIT;
	request.verb = FAIRLEAD__V1__SHIM_VERB__SHIM_STATUS;
	AUTO(buf) struct buf packet = {0};
	PB_PACK(&request, &packet);
	assert_int_equal(packet_send(client, buf_bytes(&packet), -1, &err), PACKET_SENT);
	uint64_t until = clock_mono_ms() + PATIENCE_MS;
	while (packet_recv(client, &packet, NULL, &err) != PACKET_RECEIVED) {
		assert_true(clock_mono_ms() < until);
		turn(&control, 50);
	}
	assert_int_equal(control.accept_again_ms, 0);
	control_unlink(&control);
	control_release(&control);
	assert_int_equal(tree_remove(AT_FDCWD, folder, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_descriptors_it_waits_and_then_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
