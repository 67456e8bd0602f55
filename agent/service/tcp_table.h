/* The listening TCP sockets of our own network namespace, as the kernel's tables name them.
 *
 * From sock_diag(7), which looks at nothing else; where the kernel does not have it, from
 * /proc/net/tcp and tcp6 (proc(5)), which costs milliseconds on a host with much memory: it walks
 * the whole table of connections. Reads only; any thread; never blocks for long. */
#pragma once

#include "common/base/buf.h"

#include <netinet/in.h>

struct tcp_socket {
	struct in6_addr address; /* network order; IPv4 as ::ffff:a.b.c.d */
	unsigned port;
	int family;  /* of the socket: AF_INET, AF_INET6 */
	int v6_only; /* IPV6_V6ONLY; /proc does not tell, then 0 */
	int listens;
	uint64_t inode; /* as in /proc/<pid>/fd/N -> "socket:[inode]" */
};

typedef void tcp_table_fn(void *user, const struct tcp_socket *socket);
/* Every one that listens at `port`, IPv4 first. Both kinds of table; -1: neither can be read. */
int tcp_table_walk(unsigned port, tcp_table_fn *fn, void *user);

/* One kind of one family; -1 when it is not there. */
int tcp_table_walk_diag(int family, unsigned port, tcp_table_fn *fn, void *user);
int tcp_table_walk_proc(int family, unsigned port, tcp_table_fn *fn, void *user);

/* One line of /proc/net/tcp or tcp6. -1 if it does not parse (the heading does not), *ret
 * untouched. Pure. */
int tcp_table_parse_line(const char *line, struct tcp_socket *ret);
/* One inet_diag_msg with its attributes (linux/inet_diag.h). -1 if it is none. Pure. */
int tcp_table_parse_diag(struct bytes message, struct tcp_socket *ret);
