/* Who listens: real sockets of real processes. */
#include "agent/service/listener.h"

#include "common/base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

static void the_closest_listener_gets_the_connection(void **state)
{
	(void)state;
	static const struct {
		const char *listens;
		int family;
		const char *asked;
		enum listener_fit fit;
	} cases[] = {
		{"::ffff:127.0.0.1", AF_INET, "::ffff:127.0.0.1", LISTENER_FIT_EXACT},
		{"::ffff:127.0.0.1", AF_INET6, "::ffff:127.0.0.1", LISTENER_FIT_MAPPED},
		{"::ffff:0.0.0.0", AF_INET, "::ffff:127.0.0.1", LISTENER_FIT_ANY4},
		{"::ffff:0.0.0.0", AF_INET6, "::ffff:127.0.0.1", LISTENER_FIT_ANY6},
		{"::", AF_INET6, "::ffff:127.0.0.1", LISTENER_FIT_ANY6},
		{"::", AF_INET6, "::1", LISTENER_FIT_ANY6},
		{"::1", AF_INET6, "::1", LISTENER_FIT_EXACT},
		{"::ffff:0.0.0.0", AF_INET, "::1", LISTENER_FIT_NONE},
		{"::ffff:127.0.0.2", AF_INET, "::ffff:127.0.0.1", LISTENER_FIT_NONE},
		{"::1", AF_INET6, "::ffff:127.0.0.1", LISTENER_FIT_NONE},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tcp_socket socket = {
			.family = cases[i].family, .port = 80, .listens = 1, .inode = 1};
		struct in6_addr asked;
		assert_int_equal(inet_pton(AF_INET6, cases[i].listens, &socket.address), 1);
		assert_int_equal(inet_pton(AF_INET6, cases[i].asked, &asked), 1);
		assert_int_equal(listener_fit(&socket, &asked), cases[i].fit);
		socket.v6_only = 1;
		assert_int_equal(listener_fit(&socket, &asked),
			IN6_IS_ADDR_V4MAPPED(&asked) ? LISTENER_FIT_NONE : cases[i].fit);
		socket.v6_only = 0;
		socket.listens = 0;
		assert_int_equal(listener_fit(&socket, &asked), LISTENER_FIT_NONE);
	}
}

/* ---- processes ---- */

enum { V6ONLY = 1, REUSE = 2 };

/* A listening socket; 0 as *port: any free one, and it says which. -1: the host has no IPv6. */
static int listen_at(const char *address, unsigned *port, int flags)
{
	int is_v6 = strchr(address, ':') != NULL, on = 1, only = !!(flags & V6ONLY);
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)*port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
	struct sockaddr *at = is_v6 ? (void *)&v6 : (void *)&v4;
	socklen_t len = is_v6 ? sizeof(v6) : sizeof(v4);
	assert_int_equal(
		inet_pton(at->sa_family, address, is_v6 ? (void *)&v6.sin6_addr : &v4.sin_addr), 1);
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 && is_v6)
		return -1;
	if (is_v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (flags & REUSE)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, at, len) < 0 && is_v6 && errno == EADDRNOTAVAIL) {
		close(fd);
		return -1;
	}
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, at, &len), 0);
	*port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
	return fd;
}

/* What lies between a service's first process and the one that listens. */
enum between {
	FAMILY, /* its ancestors; it has left the session */
	ORPHAN, /* nothing any more: it is only of the session */
};

static void live(unsigned depth, enum between between, int fd, int ready)
{
	unsigned generation = 0;
	pid_t below = 0;
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (generation < depth && (below = fork()) == 0) {
		generation++;
		if (between == FAMILY)
			prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	/* Of a test that fails nobody ends the orphan. */
	alarm(60);
	if (generation < depth) {
		if (fd >= 0)
			close(fd);
		if (between == ORPHAN && generation > 0)
			_exit(0);
		if (between == ORPHAN)
			waitpid(below, NULL, 0);
	} else if (generation > 0 && between == FAMILY) {
		setsid();
	}
	if (write(ready, "x", 1) == 1)
		for (;;)
			pause();
	_exit(1);
}

/* A process as a service is, `fd` (taken; -1: none) held by the one `depth` generations below it
 * only. */
static pid_t holder(int fd, unsigned depth, enum between between)
{
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0)
		live(depth, between, fd, ready[1]);
	for (unsigned left = between == ORPHAN ? 2 : depth + 1; left > 0; left--)
		assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	if (fd >= 0)
		close(fd);
	return pid;
}

static void end(pid_t leader)
{
	kill(-leader, SIGKILL);
	waitpid(leader, NULL, 0);
}

static void assert_described(pid_t service, unsigned port, pid_t pid)
{
	AUTO(buf) struct buf text = {0};
	AUTO_FREE char *wanted =
		xasprintf("port %u is held by pid %d (test_agent_serv)", port, pid);
	listener_describe(service, "127.0.0.1", port, &text);
	assert_string_equal(buf_str(&text), pid ? wanted : "");
}

static void the_service_itself_listens(void **state)
{
	(void)state;
	unsigned port = 0;
	pid_t service = holder(listen_at("127.0.0.1", &port, 0), 0, FAMILY);
	assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_OURS);
	assert_int_equal(listener_find(service, "0.0.0.0", port), LISTENER_OURS);
	assert_int_equal(listener_find(service, "127.0.0.2", port), LISTENER_UNKNOWN);
	assert_described(service, port, 0);
	end(service);
	assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_UNKNOWN);
	assert_described(service, port, 0);
}

static void somebody_else_listens(void **state)
{
	(void)state;
	unsigned port = 0;
	pid_t service = holder(-1, 1, FAMILY);
	pid_t squatter = holder(listen_at("0.0.0.0", &port, 0), 0, FAMILY);
	assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_FOREIGN);
	assert_described(service, port, squatter);
	/* Of a service that is gone there is still somebody else. */
	assert_described(0, port, squatter);
	assert_int_equal(listener_find(0, "127.0.0.1", port), LISTENER_UNKNOWN);
	end(squatter);
	end(service);
}

static void descendants_are_the_service(void **state)
{
	(void)state;
	unsigned port = 0;
	pid_t service = holder(listen_at("127.0.0.1", &port, 0), 2, FAMILY);
	assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_OURS);
	assert_described(service, port, 0);
	end(service);
}

static void the_session_is_the_service(void **state)
{
	(void)state;
	unsigned port = 0;
	pid_t service = holder(listen_at("127.0.0.1", &port, 0), 2, ORPHAN);
	assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_OURS);
	end(service);
}

static void ipv6_any_is_ipv4_too(void **state)
{
	(void)state;
	unsigned port = 0;
	int fd = listen_at("::", &port, 0);
	if (fd < 0)
		skip();
	pid_t service = holder(fd, 0, FAMILY);
	pid_t other = holder(-1, 0, FAMILY);
	assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_OURS);
	assert_int_equal(listener_find(service, "::1", port), LISTENER_OURS);
	assert_int_equal(listener_find(other, "127.0.0.1", port), LISTENER_FOREIGN);
	assert_int_equal(listener_find(other, "::1", port), LISTENER_FOREIGN);
	end(service);
	end(other);
}

static void the_other_family_is_no_evidence(void **state)
{
	(void)state;
	unsigned port = 0;
	pid_t foreign = holder(listen_at("0.0.0.0", &port, 0), 0, FAMILY);
	int fd = listen_at("::", &port, V6ONLY);
	if (fd >= 0) {
		pid_t service = holder(fd, 0, FAMILY);
		assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_FOREIGN);
		assert_int_equal(listener_find(service, "::1", port), LISTENER_OURS);
		end(service);
	}
	end(foreign);
}

static void a_shared_port_is_no_evidence(void **state)
{
	(void)state;
	unsigned port = 0;
	pid_t service = holder(listen_at("127.0.0.1", &port, REUSE), 0, FAMILY);
	assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_OURS);
	pid_t other = holder(listen_at("127.0.0.1", &port, REUSE), 0, FAMILY);
	assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_FOREIGN);
	assert_described(service, port, other);
	end(other);
	end(service);
}

static void a_closer_listener_takes_it_all(void **state)
{
	(void)state;
	unsigned port = 0;
	pid_t other = holder(listen_at("0.0.0.0", &port, REUSE), 0, FAMILY);
	pid_t service = holder(listen_at("127.0.0.1", &port, REUSE), 0, FAMILY);
	assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_OURS);
	assert_int_equal(listener_find(service, "127.0.0.2", port), LISTENER_FOREIGN);
	end(service);
	/* This one is listed later. */
	int fd = listen_at("::ffff:127.0.0.1", &port, REUSE);
	if (fd >= 0) {
		service = holder(fd, 0, FAMILY);
		assert_int_equal(listener_find(service, "127.0.0.1", port), LISTENER_OURS);
		assert_int_equal(listener_find(other, "127.0.0.1", port), LISTENER_FOREIGN);
		end(service);
	}
	end(other);
}

static void other_hosts_are_unknown(void **state)
{
	(void)state;
	unsigned port = 0;
	pid_t service = holder(listen_at("0.0.0.0", &port, 0), 0, FAMILY);
	static const char *const addresses[] = {
		"192.0.2.1", "2001:db8::1", "fe80::1%lo", "localhost", ""};
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		assert_int_equal(listener_find(service, addresses[i], port), LISTENER_UNKNOWN);
	end(service);
}

static void files_that_cannot_be_seen_are_unknown(void **state)
{
	(void)state;
	unsigned port = 0;
	int fd = listen_at("127.0.0.1", &port, 0);
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t service = fork();
	if (service == 0) {
		setsid();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_DUMPABLE, 0);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	close(fd);
	int is_root = geteuid() == 0;
	assert_int_equal(listener_find(service, "127.0.0.1", port),
		is_root ? LISTENER_OURS : LISTENER_UNKNOWN);
	/* Nobody is accused of what may be the service's own. */
	assert_described(service, port, 0);
	end(service);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_closest_listener_gets_the_connection),
		cmocka_unit_test(the_service_itself_listens),
		cmocka_unit_test(somebody_else_listens),
		cmocka_unit_test(descendants_are_the_service),
		cmocka_unit_test(the_session_is_the_service),
		cmocka_unit_test(ipv6_any_is_ipv4_too),
		cmocka_unit_test(the_other_family_is_no_evidence),
		cmocka_unit_test(a_shared_port_is_no_evidence),
		cmocka_unit_test(a_closer_listener_takes_it_all),
		cmocka_unit_test(other_hosts_are_unknown),
		cmocka_unit_test(files_that_cannot_be_seen_are_unknown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
