/* Who listens at a TCP address of this host: the evidence that an answer came from the service.
 *
 * The kernel's table (tcp_table.h) names the listening sockets of our own network namespace, the
 * one probes connect from; /proc/<pid>/fd says who holds them. A service is its process, that
 * one's descendants and its session (it leads one, agent/shim/launch.h); one that leaves both is
 * not found. All of it is true for the moment it was read. Reads only, no state; each call looks
 * at a bounded number of sockets and files, and may block as reading /proc does. */
#pragma once

#include "agent/service/tcp_table.h"

#include <sys/types.h>

enum listener {
	LISTENER_OURS,    /* every socket that may have been connected to is the service's */
	LISTENER_FOREIGN, /* somebody else holds one, and may have answered */
	/* Nothing is known: no address of this host, nobody listens (any more, or behind a packet
	 * filter's redirection), or a process that does not let us see its files. */
	LISTENER_UNKNOWN,
};

/* `service` is the pid of its process; `address` a numeric IPv4 or IPv6 address. Of a service
 * whose first process holds the socket, no other process is looked at. */
enum listener listener_find(pid_t service, const char *address, unsigned port);

/* Append "port 8080 is held by pid 123 (python3)" when a process that is not of the service holds
 * it, or "… by another process" when it does not let us see who; nothing otherwise. Looks at every
 * process of the host: for failures only. */
void listener_describe(pid_t service, const char *address, unsigned port, struct buf *ret);

/* How well a listening socket fits a connection to `address`: the kernel takes the best there is
 * (net/ipv4/inet_hashtables.c), and any one of several equals. Pure. */
enum listener_fit {
	LISTENER_FIT_NONE,
	LISTENER_FIT_ANY6,   /* [::], for IPv4 too unless it is IPV6_V6ONLY */
	LISTENER_FIT_ANY4,   /* 0.0.0.0 */
	LISTENER_FIT_MAPPED, /* [::ffff:a.b.c.d] */
	LISTENER_FIT_EXACT,
};
enum listener_fit listener_fit(const struct tcp_socket *socket, const struct in6_addr *address);
