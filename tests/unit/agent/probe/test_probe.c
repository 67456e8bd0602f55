/* The real fairlead-probe, asked over its socket. */
#include "agent/probe/probe.h"
#include "common/base/pb.h"
#include "common/os/packet.h"
#include "common/os/spawn.h"

#include <errno.h>
#include <setjmp.h>

#include <cmocka.h>

#include "tests/unit/agent/service/http_server.h"

static struct {
	struct http_server server;
	struct spawned program;
	int fd;
	unsigned closed_port;
	int closed_fd; /* bound, so that nobody else gets the port; nobody listens */
} bench;

static int setup(void **state)
{
	(void)state;
	http_server_start(&bench.server);
	bench.closed_fd = http_server_listen(&bench.closed_port);
	int pair[2];
	assert_int_equal(packet_pair(pair, NULL), 0);
	const char *argv[] = {"fairlead-probe", NULL};
	const struct spawn_fd fds[] = {{pair[1], 3}};
	const struct spawn spawn = {
		.program = BIN_DIR "/fairlead-probe", .argv = argv, .fds = fds, .fd_count = 1};
	struct err err = ERR_INIT;
	/* A proxy of the environment is not asked. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	if (spawn_run(&spawn, &bench.program, &err) < 0)
		fail_msg("%s", err.message);
	close(pair[1]);
	bench.fd = pair[0];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	/* It ends by itself when its socket closes. */
	close(bench.fd);
	struct pollfd ended = {.fd = bench.program.pidfd, .events = POLLIN};
	assert_int_equal(poll(&ended, 1, 10000), 1);
	struct spawn_end end;
	assert_int_equal(spawn_reap(&bench.program, &end, NULL), SPAWN_ENDED);
	assert_int_equal(end.status, 0);
	assert_int_equal(end.signal, 0);
	http_server_stop(&bench.server);
	close(bench.closed_fd);
	return 0;
}

static void send_probe(uint64_t number, Fairlead__V1__Probe *probe)
{
	Fairlead__V1__ProbeRequest request = FAIRLEAD__V1__PROBE_REQUEST__INIT;
	request.request = number;
	request.probe = probe;
	AUTO(buf) struct buf packet = {0};
	PB_PACK(&request, &packet);
	assert_int_equal(packet_send(bench.fd, buf_bytes(&packet), -1, NULL), PACKET_SENT);
}

static Fairlead__V1__ProbeReply *receive(void)
{
	struct pollfd readable = {.fd = bench.fd, .events = POLLIN};
	assert_int_equal(poll(&readable, 1, 20000), 1);
	AUTO(buf) struct buf packet = {0};
	Fairlead__V1__ProbeReply *reply = NULL;
	assert_int_equal(packet_recv(bench.fd, &packet, NULL, NULL), PACKET_RECEIVED);
	assert_int_equal(PB_UNPACK(fairlead__v1__probe_reply, buf_bytes(&packet), &reply, NULL), 0);
	assert_true(strlen(reply->answer) <= PROBE_ANSWER_MAX);
	return reply;
}

static void ask_http(uint64_t number, const char *path, uint64_t timeout_ms, const char *contains)
{
	Fairlead__V1__HttpProbe http = FAIRLEAD__V1__HTTP_PROBE__INIT;
	Fairlead__V1__Probe probe = FAIRLEAD__V1__PROBE__INIT;
	AUTO_FREE char *url = strstr(path, "://")
				      ? xstrdup(path)
				      : xasprintf("http://127.0.0.1:%u%s", bench.server.port, path);
	http.url = url;
	http.status_min = 200;
	http.status_max = 299;
	http.body_contains = pb_str(contains);
	probe.http = &http;
	probe.timeout_ms = timeout_ms;
	send_probe(number, &probe);
}

static void http_answers_are_judged_and_shown(void **state)
{
	(void)state;
	static const struct {
		const char *path, *contains;
		int ok;
		const char *shown[2];
	} cases[] = {
		{"/health", "", 1, {"HTTP 200 in ", "ms: all \\x1bgood"}},
		{"/health", "good", 1, {"HTTP 200 in "}},
		{"/health", "better", 0, {", wanted 'better' in the body"}},
		{"/broken", "", 0, {"HTTP 503 in ", ", wanted 200-299: no db :("}},
		{"/moved", "", 0, {"HTTP 302 in "}},
		{"/big", "big:", 1, {"HTTP 200 in ", "xxx…"}},
		{"/big", "small", 0, {"in the first 64 KiB"}},
		{"/cut", "", 0, {"no HTTP answer after "}},
		{"/garbage", "", 0, {"no HTTP answer after "}},
		{"/silent", "", 0, {"no HTTP answer after ", "Timeout was reached"}},
		{"file:///etc/passwd", "", 0, {"no HTTP answer after ", "Unsupported protocol"}},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ask_http(i, cases[i].path, strcmp(cases[i].path, "/silent") ? 10000 : 100,
			cases[i].contains);
		Fairlead__V1__ProbeReply *reply = receive();
		assert_int_equal(reply->request, i);
		if (reply->ok != cases[i].ok)
			fail_msg("%s: %s", cases[i].path, reply->answer);
		int connects = strncmp(cases[i].path, "file:", 5) != 0;
		assert_string_equal(reply->peer_address, connects ? "127.0.0.1" : "");
		assert_int_equal(reply->peer_port, connects ? bench.server.port : 0);
		for (size_t j = 0; j < 2 && cases[i].shown[j]; j++)
			if (!strstr(reply->answer, cases[i].shown[j]))
				fail_msg("%s: '%s' is not in '%s'", cases[i].path,
					cases[i].shown[j], reply->answer);
		pb_free(&reply->base);
	}
}

static void ports_are_open_or_not(void **state)
{
	(void)state;
	const struct {
		const char *host;
		unsigned port;
		int ok;
		const char *shown;
	} cases[] = {
		{"127.0.0.1", bench.server.port, 1, "connected to 127.0.0.1:"},
		{"localhost", bench.server.port, 1, "connected to localhost:"},
		{"127.0.0.1", bench.closed_port, 0, "Connection refused"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		Fairlead__V1__TcpProbe tcp = FAIRLEAD__V1__TCP_PROBE__INIT;
		Fairlead__V1__Probe probe = FAIRLEAD__V1__PROBE__INIT;
		tcp.host = pb_str(cases[i].host);
		tcp.port = cases[i].port;
		probe.tcp = &tcp;
		probe.timeout_ms = 10000;
		send_probe(i, &probe);
		Fairlead__V1__ProbeReply *reply = receive();
		assert_non_null(strstr(reply->answer, cases[i].shown));
		assert_int_equal(reply->ok, cases[i].ok);
		if (reply->ok) {
			/* Numeric, whatever it was called. */
			assert_non_null(strpbrk(reply->peer_address, ".:"));
			assert_int_equal(reply->peer_port, cases[i].port);
		} else {
			assert_string_equal(reply->peer_address, "");
		}
		pb_free(&reply->base);
	}
}

static void a_probe_of_no_kind_is_refused(void **state)
{
	(void)state;
	Fairlead__V1__Probe probe = FAIRLEAD__V1__PROBE__INIT;
	probe.timeout_ms = 1;
	send_probe(7, &probe);
	Fairlead__V1__ProbeReply *reply = receive();
	assert_int_equal(reply->request, 7);
	assert_int_equal(reply->ok, 0);
	assert_non_null(strstr(reply->answer, "neither http nor tcp"));
	pb_free(&reply->base);
}

static void slow_ones_hold_nobody_up(void **state)
{
	(void)state;
	enum { SILENT = PROBE_RUNNING_MAX - 1 };
	for (uint64_t i = 0; i < SILENT; i++)
		ask_http(100 + i, "/silent", 60000, "");
	ask_http(1, "/health", 10000, "");
	Fairlead__V1__ProbeReply *reply = receive();
	assert_int_equal(reply->request, 1);
	assert_int_equal(reply->ok, 1);
	pb_free(&reply->base);
}

static void more_than_run_at_once_wait_for_their_turn(void **state)
{
	(void)state;
	enum { MANY = PROBE_RUNNING_MAX * 2 };
	for (uint64_t i = 0; i < MANY; i++)
		ask_http(i, i % 8 ? "/health" : "/silent", i % 8 ? 10000 : 50, "");
	unsigned good = 0;
	for (size_t i = 0; i < MANY; i++) {
		Fairlead__V1__ProbeReply *reply = receive();
		good += reply->ok != 0;
		pb_free(&reply->base);
	}
	assert_int_equal(good, MANY - MANY / 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(http_answers_are_judged_and_shown),
		TEST(ports_are_open_or_not),
		TEST(a_probe_of_no_kind_is_refused),
		TEST(slow_ones_hold_nobody_up),
		TEST(more_than_run_at_once_wait_for_their_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
