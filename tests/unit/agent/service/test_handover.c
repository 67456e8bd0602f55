/* Sockets that outlive the service they are handed to: this program is that service too. */
#include "agent/service/listener.h"
#include "tests/unit/agent/service/driver_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum { RESTARTS = 5 };

/* ---- the service: answers with its pid, and ends between two answers ---- */

static int has_its_sockets(void)
{
	AUTO_FREE char *pid = xasprintf("%010d", getpid());
	return strcmp(getenv("LISTEN_PID"), pid) == 0 && strcmp(getenv("LISTEN_FDS"), "2") == 0 &&
	       strcmp(getenv("LISTEN_FDNAMES"), "web:admin") == 0;
}

static void on_term(int signal)
{
	(void)signal;
}

static int serve(void)
{
	sigset_t term, none;
	sigemptyset(&none);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGTERM, on_term);
	if (!has_its_sockets())
		return 2;
	struct pollfd fd = {.fd = 3, .events = POLLIN};
	while (ppoll(&fd, 1, NULL, &none) > 0) {
		int client = accept(3, NULL, NULL);
		pid_t me = getpid();
		if (client >= 0 && write(client, &me, sizeof(me)) > 0)
			close(client);
	}
	return 0;
}

/* ---- who asks it ---- */

struct asker {
	unsigned port;
	atomic_int end, asked, refused, broken;
};

/* The pid that answers; 0: refused; -1: the connection broke. */
static pid_t ask(unsigned port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return 0;
	ssize_t n;
	do {
		/* With a timeout, SIGCHLD interrupts it in spite of SA_RESTART (signal(7)). */
		n = recv(fd, &pid, sizeof(pid), MSG_WAITALL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(pid) ? pid : -1;
}

static void *keep_asking(void *user)
{
	struct asker *asker = user;
	while (!asker->end) {
		pid_t pid = ask(asker->port);
		asker->asked++;
		asker->refused += pid == 0;
		asker->broken += pid < 0;
	}
	return NULL;
}

/* ---- the tests ---- */

static unsigned free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(at);
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static char self[256];

static struct bench *with_sockets(unsigned *port)
{
	struct bench *b = bench_new("process");
	const char *const argv[] = {self, "serve", NULL};
	bench_command(b, argv);
	*port = free_port();
	b->process.sockets = b->sockets;
	b->process.n_sockets = 2;
	b->sockets[0] = xasprintf("127.0.0.1:%u", *port);
	b->sockets[1] = xasprintf("admin=127.0.0.1:%u", free_port());
	return b;
}

static void end(struct bench *b)
{
	bench_stop(b);
	free(b->sockets[0]);
	free(b->sockets[1]);
	bench_free(b);
}

static void no_connection_is_refused_in_a_restart(void **state)
{
	(void)state;
	struct asker asker = {0};
	struct bench *b = with_sockets(&asker.port);
	pthread_t thread;
	bench_start_well(b);
	pid_t first = b->pid;
	assert_int_equal(pthread_create(&thread, NULL, keep_asking, &asker), 0);
	for (int i = 0; i < RESTARTS; i++) {
		int before = asker.asked;
		WAIT_UNTIL((void)0, asker.asked > before + 2);
		bench_stop_for(b, SERVICE_STARTS_AGAIN);
		bench_start_well(b);
	}
	assert_int_not_equal(b->pid, first);
	assert_int_equal(ask(asker.port), b->pid);
	asker.end = 1;
	pthread_join(thread, NULL);
	assert_int_equal(asker.refused, 0);
	assert_int_equal(asker.broken, 0);
	end(b);
	assert_int_equal(ask(asker.port), 0); /* and then nobody listens */
}

/* ADR 7: the answer of a service that was handed its socket is its own. */
static void a_socket_handed_over_is_the_services(void **state)
{
	(void)state;
	unsigned port;
	struct bench *b = with_sockets(&port);
	bench_start_well(b);
	assert_int_equal(listener_find(b->pid, "127.0.0.1", port), LISTENER_OURS);
	bench_stop_for(b, SERVICE_STARTS_AGAIN);
	/* The supervisor holds it now, and is not the service. */
	assert_int_not_equal(listener_find(b->pid, "127.0.0.1", port), LISTENER_OURS);
	bench_start_well(b);
	assert_int_equal(listener_find(b->pid, "127.0.0.1", port), LISTENER_OURS);
	assert_int_not_equal(listener_find(getpid(), "127.0.0.1", port), LISTENER_OURS);
	end(b);
}

static void a_release_that_does_not_start_leaves_them_open(void **state)
{
	(void)state;
	unsigned port;
	struct bench *b = with_sockets(&port);
	bench_start_well(b);
	bench_stop_for(b, SERVICE_STARTS_AGAIN);
	static const char *const broken[] = {"/etc", NULL};
	const char *const good[] = {self, "serve", NULL};
	bench_command(b, broken);
	bench_start(b);
	assert_int_equal(b->err.code, ERR_FAILED);
	bench_ask(b);
	assert_string_equal(b->state, "stopped");
	struct asker asker = {.port = port};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, keep_asking, &asker), 0);
	bench_stop_for(b, SERVICE_STARTS_AGAIN);
	bench_command(b, good);
	bench_start_well(b);
	WAIT_UNTIL((void)0, asker.asked > 2);
	asker.end = 1;
	pthread_join(thread, NULL);
	assert_int_equal(asker.refused, 0);
	end(b);
}

static void a_port_that_is_taken_is_said(void **state)
{
	(void)state;
	unsigned port;
	struct bench *b = with_sockets(&port);
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	bench_start(b);
	assert_int_equal(b->err.code, ERR_FAILED);
	assert_non_null(strstr(b->err.message, b->sockets[0]));
	end(b);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_connection_is_refused_in_a_restart),
		cmocka_unit_test(a_socket_handed_over_is_the_services),
		cmocka_unit_test(a_release_that_does_not_start_leaves_them_open),
		cmocka_unit_test(a_port_that_is_taken_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
