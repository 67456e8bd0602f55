#include "agent/gateway/gateway.h"

#include "agent/gateway/calls.h"
#include "agent/gateway/port.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

/* Packets taken from the core before the links get their turn. */
enum { PACKETS_AT_ONCE = 64 };

struct gateway {
	struct port port;
	struct link_loop *loop;
	struct link_server *server;
	struct gateway_calls *calls;
};

enum gateway_turn { GATEWAY_GOES_ON = 0, GATEWAY_ENDS = 1 };

/* ---- the server's questions ---- */

static void on_sign(
	struct link_server *server, uint64_t request, const uint8_t transcript[32], void *user)
{
	struct gateway *gateway = user;
	(void)server;
	Fairlead__V1__SignRequest sign = FAIRLEAD__V1__SIGN_REQUEST__INIT;
	sign.request = request;
	sign.transcript = pb_borrow(transcript, 32);
	Fairlead__V1__ToCore message = FAIRLEAD__V1__TO_CORE__INIT;
	message.sign = &sign;
	port_send(&gateway->port, &message, NULL);
}

static void on_admit(
	struct link_server *server, uint64_t request, const struct public_key *peer, void *user)
{
	struct gateway *gateway = user;
	(void)server;
	Fairlead__V1__AdmitRequest admit = FAIRLEAD__V1__ADMIT_REQUEST__INIT;
	admit.request = request;
	admit.peer_key = pb_borrow(peer->bytes, sizeof(peer->bytes));
	Fairlead__V1__ToCore message = FAIRLEAD__V1__TO_CORE__INIT;
	message.admit = &admit;
	port_send(&gateway->port, &message, NULL);
}

static void on_called(struct link_server *server, struct link_call *call, const char *method,
	uint64_t deadline_ms, const struct public_key *peer, void *user)
{
	struct gateway *gateway = user;
	(void)server;
	gateway_calls_open(gateway->calls, call, method, deadline_ms, peer);
}

static const struct link_server_ops server_ops = {
	.sign = on_sign,
	.admit = on_admit,
	.called = on_called,
};

/* ---- the core's answers ---- */

static void receive_signature(struct gateway *gateway, const Fairlead__V1__SignReply *reply)
{
	struct signature signature;
	if (reply->signature.len != sizeof(signature.bytes)) {
		link_server_signed(gateway->server, reply->request, NULL);
		return;
	}
	memcpy(signature.bytes, reply->signature.data, sizeof(signature.bytes));
	link_server_signed(gateway->server, reply->request, &signature);
}

static void handle(struct gateway *gateway, const Fairlead__V1__ToGateway *message, int fd)
{
	if (message->sign)
		receive_signature(gateway, message->sign);
	if (message->admit)
		link_server_admit(
			gateway->server, message->admit->request, message->admit->admitted);
	gateway_calls_receive(gateway->calls, message, fd);
}

static int receive(struct gateway *gateway, struct err *err)
{
	for (int i = 0; i < PACKETS_AT_ONCE; i++) {
		Fairlead__V1__ToGateway *message = NULL;
		int fd = -1;
		int rc = port_receive(&gateway->port, &message, &fd, err);
		if (rc < 0 && err->code != ERR_INVALID && err->code != ERR_LIMIT)
			return -1;
		if (rc < 0)
			continue; /* a packet that makes no sense */
		if (rc != PORT_MESSAGE)
			return rc == PORT_CLOSED ? GATEWAY_ENDS : GATEWAY_GOES_ON;
		handle(gateway, message, fd);
		pb_free(&message->base);
	}
	return GATEWAY_GOES_ON;
}

/* ---- the loop ---- */

/* One turn. While the core is far behind, the network waits. */
static int turn(struct gateway *gateway, struct err *err)
{
	bool behind = gateway->port.queued_bytes > PORT_QUEUE_MAX;
	bool queued = gateway->port.queued_bytes > 0;
	struct pollfd fds[] = {
		{.fd = gateway->port.fd, .events = (short)(POLLIN | (queued ? POLLOUT : 0))},
		{.fd = behind ? -1 : link_loop_fd(gateway->loop), .events = POLLIN},
	};
	if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
		return err_errno(err, ERR_INTERNAL, errno, "cannot wait for events");
	if (fds[0].revents & POLLOUT && port_flush(&gateway->port, err) < 0)
		return err->code == ERR_UNREACHABLE ? GATEWAY_ENDS : -1;
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
		int rc = receive(gateway, err);
		if (rc != GATEWAY_GOES_ON)
			return rc;
	}
	if (!behind)
		link_loop_dispatch(gateway->loop);
	return GATEWAY_GOES_ON;
}

static int serve(struct gateway *gateway, const char *address, const struct public_key *identity,
	const struct link_server_limits *limits, struct err *err)
{
	if (link_loop_new(&gateway->loop, err) < 0 ||
		link_listen(gateway->loop, address, identity, limits, &server_ops, gateway,
			&gateway->server, err) < 0)
		return -1;
	Fairlead__V1__Ready ready = FAIRLEAD__V1__READY__INIT;
	ready.port = (uint32_t)link_server_port(gateway->server);
	Fairlead__V1__ToCore message = FAIRLEAD__V1__TO_CORE__INIT;
	message.ready = &ready;
	if (port_send(&gateway->port, &message, err) < 0)
		return -1;
	int rc;
	do
		rc = turn(gateway, err);
	while (rc == GATEWAY_GOES_ON);
	return rc < 0 ? -1 : 0;
}

int gateway_run(int core_fd, const char *address, const struct public_key *identity,
	const struct link_server_limits *limits, struct err *err)
{
	int flags = fcntl(core_fd, F_GETFL);
	if (flags < 0 || fcntl(core_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_errno(err, ERR_USAGE, errno, "fd %d is not the core's socket", core_fd);
	struct gateway gateway = {0};
	port_init(&gateway.port, core_fd);
	gateway.calls = gateway_calls_new(&gateway.port);
	int rc = serve(&gateway, address, identity, limits, err);
	link_loop_free(gateway.loop);
	gateway_calls_free(gateway.calls);
	port_release(&gateway.port);
	return rc;
}
