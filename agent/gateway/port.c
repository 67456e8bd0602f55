#include "agent/gateway/port.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/packet.h"

void port_init(struct port *port, int fd)
{
	*port = (struct port){.fd = fd};
	STAILQ_INIT(&port->queue);
}

static void drop_first(struct port *port)
{
	struct port_packet *packet = STAILQ_FIRST(&port->queue);
	STAILQ_REMOVE_HEAD(&port->queue, next);
	port->queued_bytes -= packet->bytes.len;
	buf_release(&packet->bytes);
	free(packet);
}

void port_release(struct port *port)
{
	while (!STAILQ_EMPTY(&port->queue))
		drop_first(port);
	buf_release(&port->in);
}

int port_flush(struct port *port, struct err *err)
{
	struct port_packet *packet;
	while ((packet = STAILQ_FIRST(&port->queue))) {
		int rc = packet_send(port->fd, buf_bytes(&packet->bytes), -1, err);
		if (rc != PACKET_SENT)
			return rc < 0 ? -1 : 0;
		drop_first(port);
	}
	return 0;
}

int port_send(struct port *port, const Fairlead__V1__ToCore *message, struct err *err)
{
	struct port_packet *packet = xcalloc(1, sizeof(*packet));
	PB_PACK(message, &packet->bytes);
	if (packet->bytes.len > PACKET_MAX) {
		err_set(err, ERR_LIMIT, "a message of %zu bytes for the core", packet->bytes.len);
		buf_release(&packet->bytes);
		free(packet);
		return -1;
	}
	STAILQ_INSERT_TAIL(&port->queue, packet, next);
	port->queued_bytes += packet->bytes.len;
	return port_flush(port, err);
}

int port_receive(struct port *port, Fairlead__V1__ToGateway **ret, int *ret_fd, struct err *err)
{
	AUTO_CLOSE int fd = -1;
	int rc = packet_recv(port->fd, &port->in, &fd, err);
	if (rc != PACKET_RECEIVED)
		return rc < 0 ? -1 : rc == PACKET_EMPTY ? PORT_EMPTY : PORT_CLOSED;
	if (PB_UNPACK(fairlead__v1__to_gateway, buf_bytes(&port->in), ret, err) < 0)
		return -1;
	*ret_fd = TAKE_FD(fd);
	return PORT_MESSAGE;
}
