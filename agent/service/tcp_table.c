#include "agent/service/tcp_table.h"

#include "common/base/mem.h"

#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
	SOCKETS_MAX = 16384, /* looked at in one walk */
	LINE_SIZE = 512,
	DUMP_SIZE = 32 * 1024, /* what the kernel sends at once at most */
};

static void set_address(struct tcp_socket *socket, const uint32_t words[static 4])
{
	const uint32_t mapped[4] = {0, 0, htonl(0xffff), words[0]};
	memcpy(&socket->address, socket->family == AF_INET ? mapped : words, sizeof(mapped));
}

/* ---- /proc ---- */

int tcp_table_parse_line(const char *line, struct tcp_socket *ret)
{
	/* "sl: local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode …"; an address is
	 * one or four words of 32 bits, each printed as the machine reads it. */
	char local[33], remote[33];
	unsigned port, remote_port, state;
	uint64_t inode;
	int fields = sscanf(line,
		" %*u: %32[0-9A-F]:%4X %32[0-9A-F]:%4X %2X %*8X:%*8X %*X:%*X %*X %*u %*d %" SCNu64,
		local, &port, remote, &remote_port, &state, &inode);
	size_t digits = fields == 6 ? strlen(local) : 0;
	if (digits != strlen(remote) || (digits != 8 && digits != 32))
		return -1;
	uint32_t words[4] = {0};
	for (size_t i = 0; i < digits / 8; i++) {
		char word[9] = "";
		memcpy(word, local + 8 * i, 8);
		words[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	*ret = (struct tcp_socket){
		.port = port,
		.family = digits == 8 ? AF_INET : AF_INET6,
		.listens = state == TCP_LISTEN,
		.inode = inode,
	};
	set_address(ret, words);
	return 0;
}

int tcp_table_walk_proc(int family, unsigned port, tcp_table_fn *fn, void *user)
{
	FILE *file = fopen(family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6", "re");
	if (!file)
		return -1;
	char line[LINE_SIZE];
	struct tcp_socket socket = {.listens = 1};
	/* Those that listen come before all others (tcp_seq_start in net/ipv4/tcp_ipv4.c), of which
	 * there may be a hundred thousand. */
	for (size_t i = 0; i < SOCKETS_MAX && socket.listens && fgets(line, sizeof(line), file);
		i++)
		if (tcp_table_parse_line(line, &socket) == 0 && socket.listens &&
			socket.port == port)
			fn(user, &socket);
	fclose(file);
	return 0;
}

/* ---- sock_diag ---- */

int tcp_table_parse_diag(struct bytes message, struct tcp_socket *ret)
{
	struct inet_diag_msg msg;
	if (message.len < sizeof(msg))
		return -1;
	memcpy(&msg, message.data, sizeof(msg));
	if (msg.idiag_family != AF_INET && msg.idiag_family != AF_INET6)
		return -1;
	struct tcp_socket socket = {
		.port = ntohs(msg.id.idiag_sport),
		.family = msg.idiag_family,
		.listens = msg.idiag_state == TCP_LISTEN,
		.inode = msg.idiag_inode,
	};
	set_address(&socket, msg.id.idiag_src);
	struct nlattr attr;
	for (size_t at = NLMSG_ALIGN(sizeof(msg)); at + sizeof(attr) <= message.len;
		at += (size_t)NLA_ALIGN(attr.nla_len)) {
		memcpy(&attr, message.data + at, sizeof(attr));
		if (attr.nla_len < sizeof(attr) || attr.nla_len > message.len - at)
			return -1;
		if (attr.nla_type == INET_DIAG_SKV6ONLY && attr.nla_len > sizeof(attr))
			socket.v6_only = message.data[at + sizeof(attr)];
	}
	*ret = socket;
	return 0;
}

static int ask_diag(int fd, int family, unsigned port)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} ask = {
		.header = {.nlmsg_len = sizeof(ask),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.request = {.sdiag_family = (uint8_t)family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1 << TCP_LISTEN,
			.id.idiag_sport = htons((uint16_t)port)},
	};
	return sendto(fd, &ask, sizeof(ask), 0, (const struct sockaddr *)&kernel, sizeof(kernel)) ==
			       (ssize_t)sizeof(ask)
		       ? 0
		       : -1;
}

enum dump { DUMP_MORE = 0, DUMP_DONE = 1 };

/* One datagram of the answer. */
static int take_dump(struct bytes dump, unsigned port, tcp_table_fn *fn, void *user)
{
	struct nlmsghdr header;
	for (size_t at = 0; at + sizeof(header) <= dump.len; at += NLMSG_ALIGN(header.nlmsg_len)) {
		struct tcp_socket socket;
		memcpy(&header, dump.data + at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > dump.len - at ||
			header.nlmsg_type == NLMSG_ERROR)
			return -1;
		if (header.nlmsg_type == NLMSG_DONE)
			return DUMP_DONE;
		struct bytes message = {
			dump.data + at + sizeof(header), header.nlmsg_len - sizeof(header)};
		if (tcp_table_parse_diag(message, &socket) == 0 && socket.listens &&
			socket.port == port)
			fn(user, &socket);
	}
	return DUMP_MORE;
}

int tcp_table_walk_diag(int family, unsigned port, tcp_table_fn *fn, void *user)
{
	AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0 || ask_diag(fd, family, port) < 0)
		return -1;
	AUTO(buf) struct buf dump = {0};
	/* Each has a socket or is the end. */
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		/* The kernel has written it before the question returns. */
		ssize_t n = recv(fd, buf_reserve(&dump, DUMP_SIZE), DUMP_SIZE, MSG_DONTWAIT);
		int rc = n <= 0 ? -1 : take_dump(BYTES(dump.data, (size_t)n), port, fn, user);
		if (rc != DUMP_MORE)
			return rc < 0 ? -1 : 0;
	}
	return -1;
}

int tcp_table_walk(unsigned port, tcp_table_fn *fn, void *user)
{
	static const int families[] = {AF_INET, AF_INET6};
	int rc = -1;
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (tcp_table_walk_diag(families[i], port, fn, user) == 0 ||
			tcp_table_walk_proc(families[i], port, fn, user) == 0)
			rc = 0;
	return rc;
}
