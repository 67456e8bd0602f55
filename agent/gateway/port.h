/* The gateway's end of its socketpair with the core: packets out, queued while the socket is
 * full, and packets in (proto/fairlead/v1/local.proto).
 *
 * Invariant: packets leave in the order they were sent. One thread; nothing blocks. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "fairlead/v1/local.pb-c.h"

#include <sys/queue.h>

struct port_packet {
	STAILQ_ENTRY(port_packet) next;
	struct buf bytes;
};

struct port {
	int fd; /* borrowed, O_NONBLOCK */
	STAILQ_HEAD(, port_packet) queue;
	size_t queued_bytes;
	struct buf in;
};

/* Above this the gateway takes nothing more from the network until the core has caught up. */
enum { PORT_QUEUE_MAX = 1024 * 1024 };

void port_init(struct port *port, int fd);
void port_release(struct port *port);
/* A message whose packed form is over PACKET_MAX is an error of ours: ERR_LIMIT. ERR_UNREACHABLE
 * when the core is gone. */
int port_send(struct port *port, const Fairlead__V1__ToCore *message, struct err *err);
/* Send what is queued, as far as the socket takes it. */
int port_flush(struct port *port, struct err *err);

enum port_receive { PORT_MESSAGE = 0, PORT_EMPTY = 1, PORT_CLOSED = 2 };
/* The core's next message (pb_free it) and the fd that came along, or -1. ERR_INVALID: a packet
 * that does not parse was dropped. */
int port_receive(struct port *port, Fairlead__V1__ToGateway **ret, int *ret_fd, struct err *err);
