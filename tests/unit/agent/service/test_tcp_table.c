/* The kernel's tables: their forms, and what both kinds say of real sockets. */
#include "agent/service/tcp_table.h"

#include "common/base/mem.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

static const struct {
	const char *line, *address; /* no address: does not parse */
	unsigned port;
	int family, listens;
	uint64_t inode;
} lines[] = {
	{"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        "
	 "0 449128 1 0000000095f47dc7 100 0 0 10 0\n",
		"::ffff:127.0.0.1", 8080, AF_INET, 1, 449128},
	{" 123: 00000000:0050 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        "
	 "0 18446744073709551615 1 0000000000000000 100 0 0 10 0\n",
		"::ffff:0.0.0.0", 80, AF_INET, 1, UINT64_MAX},
	{"   7: 0100007F:1F90 0100007F:D2F0 01 00000000:00000000 02:000A75C0 00000000     0        "
	 "0 77 2 0000000000000000 20 4 30 10 -1\n",
		"::ffff:127.0.0.1", 8080, AF_INET, 0, 77},
	{"   1: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A "
	 "00000000:00000000 00:00000000 00000000    33        0 5 1 0000000000000000 100 0 0 10 "
	 "0\n",
		"::", 443, AF_INET6, 1, 5},
	{"   1: 0000000000000000FFFF00000100007F:01BB 00000000000000000000000000000000:0000 0A "
	 "00000000:00000000 00:00000000 00000000    33        0 6 1 0000000000000000 100 0 0 10 "
	 "0\n",
		"::ffff:127.0.0.1", 443, AF_INET6, 1, 6},
	{"   1: B80D0120000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A "
	 "00000000:00000000 00:00000000 00000000    33        0 7 1 0000000000000000 100 0 0 10 "
	 "0\n",
		"2001:db8::1", 443, AF_INET6, 1, 7},
	{"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
	 "timeout inode\n",
		NULL, 0, 0, 0, 0},
	{"", NULL, 0, 0, 0, 0},
	{"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0\n",
		NULL, 0, 0, 0, 0},
	{"   0: 0100007:1F90 0000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 1 1\n",
		NULL, 0, 0, 0, 0},
	{"   0: 0100007F00:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 1 1\n",
		NULL, 0, 0, 0, 0},
};

static void lines_are_read_as_the_kernel_writes_them(void **state)
{
	(void)state;
	if (htonl(1) == 1)
		skip(); /* the samples are of a little-endian machine */
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct tcp_socket socket = {.port = 4711};
		int rc = tcp_table_parse_line(lines[i].line, &socket);
		assert_int_equal(rc, lines[i].address ? 0 : -1);
		if (rc < 0) {
			assert_int_equal(socket.port, 4711);
			continue;
		}
		struct in6_addr address;
		assert_int_equal(inet_pton(AF_INET6, lines[i].address, &address), 1);
		assert_memory_equal(&socket.address, &address, sizeof(address));
		assert_int_equal(socket.port, lines[i].port);
		assert_int_equal(socket.family, lines[i].family);
		assert_int_equal(socket.listens, lines[i].listens);
		assert_true(socket.inode == lines[i].inode);
	}
}

static void diag_messages_are_checked(void **state)
{
	(void)state;
	struct {
		struct inet_diag_msg msg;
		struct nlattr attr;
		uint8_t value, padding[3];
	} packet = {
		.msg = {.idiag_family = AF_INET6,
			.idiag_state = TCP_LISTEN,
			.id = {.idiag_sport = htons(443), .idiag_src = {0, 0, 0, htonl(1)}},
			.idiag_inode = UINT32_MAX},
		.attr = {.nla_len = sizeof(struct nlattr) + 1, .nla_type = INET_DIAG_SKV6ONLY},
		.value = 1,
	};
	struct tcp_socket socket;
	assert_int_equal(tcp_table_parse_diag(BYTES(&packet, sizeof(packet)), &socket), 0);
	assert_memory_equal(&socket.address, &in6addr_loopback, sizeof(socket.address));
	assert_int_equal(socket.port, 443);
	assert_int_equal(socket.family, AF_INET6);
	assert_int_equal(socket.v6_only, 1);
	assert_int_equal(socket.listens, 1);
	assert_true(socket.inode == UINT32_MAX);
	/* Whatever is cut off, nothing beyond is read (ASan). */
	for (size_t len = 0; len < sizeof(packet); len++) {
		int whole = len >= sizeof(packet.msg) + sizeof(packet.attr) + 1;
		uint8_t *exact = memcpy(xmalloc(len ? len : 1), &packet, len);
		int rc = tcp_table_parse_diag(BYTES(exact, len), &socket);
		if (len < sizeof(packet.msg))
			assert_int_equal(rc, -1);
		else if (rc == 0)
			assert_int_equal(socket.v6_only, whole);
		free(exact);
	}
	packet.attr.nla_len = 0; /* would never end */
	assert_int_equal(tcp_table_parse_diag(BYTES(&packet, sizeof(packet)), &socket), -1);
	packet.msg.idiag_family = AF_UNIX;
	assert_int_equal(tcp_table_parse_diag(BYTES(&packet, sizeof(packet)), &socket), -1);
}

/* ---- the kernel's own ---- */

struct found {
	unsigned count;
	struct tcp_socket last;
};

static void count_socket(void *user, const struct tcp_socket *socket)
{
	struct found *found = user;
	found->count++;
	found->last = *socket;
}

static uint64_t inode_of(int fd)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void both_kinds_name_the_same_socket(void **state)
{
	(void)state;
	int (*const walks[])(int, unsigned, tcp_table_fn *, void *) = {
		tcp_table_walk_diag, tcp_table_walk_proc};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	struct in6_addr wanted;
	assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.1", &wanted), 1);
	for (int listens = 0; listens < 2; listens++) {
		if (listens)
			assert_int_equal(listen(fd, 1), 0);
		unsigned port = ntohs(at.sin_port), readable = 0;
		for (size_t i = 0; i < ARRAY_LEN(walks); i++) {
			struct found found = {0};
			if (walks[i](AF_INET, port, count_socket, &found) < 0)
				continue;
			readable++;
			assert_int_equal(found.count, listens);
			if (!listens)
				continue;
			assert_true(found.last.inode == inode_of(fd));
			assert_int_equal(found.last.family, AF_INET);
			assert_memory_equal(&found.last.address, &wanted, sizeof(wanted));
		}
		assert_true(readable > 0);
		struct found found = {0};
		assert_int_equal(tcp_table_walk(port, count_socket, &found), 0);
		assert_int_equal(found.count, listens);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_read_as_the_kernel_writes_them),
		cmocka_unit_test(diag_messages_are_checked),
		cmocka_unit_test(both_kinds_name_the_same_socket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
