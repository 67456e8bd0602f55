#include "common/link/connection.h"

#include "common/base/mem.h"
#include "common/link/address.h"

#include <arpa/inet.h>

/* When the caller leaves a limit 0. */
static const struct link_server_limits default_limits = {
	.connections = 1024,
	.connections_per_address = 64,
	.unauthenticated = 64,
	.streams_per_link = 64,
};

struct link_server {
	struct loop_member member;
	struct link_loop *loop;
	struct listener *listener;
	struct public_key identity;
	struct link_server_limits limits;
	const struct link_server_ops *ops;
	void *user;
	uint64_t last_request;
	TAILQ_HEAD(, link) links;
};

/* ---- limits ---- */

struct census {
	unsigned all, at_address, unauthenticated;
};

static struct census count_links(const struct link_server *server, const struct in6_addr *address)
{
	struct census census = {0};
	const struct link *link;
	TAILQ_FOREACH(link, &server->links, next)
	{
		census.all++;
		census.at_address += memcmp(&link->address, address, sizeof(*address)) == 0;
		census.unauthenticated += link->state != LINK_OPEN;
	}
	return census;
}

/* With too many handshakes in progress the next wait in the kernel's backlog. */
static void set_pace(struct link_server *server)
{
	struct census census = count_links(server, &in6addr_any);
	listener_set_pace(server->listener, census.unauthenticated < server->limits.unauthenticated
						    ? LISTENER_ACCEPTS
						    : LISTENER_PAUSES);
}

/* ---- a link's events ---- */

static void sign(struct link *link)
{
	struct link_server *server = link->server;
	server->ops->sign(server, link->request, link->handshake->transcript, server->user);
}

static void proven(struct link *link)
{
	struct link_server *server = link->server;
	server->ops->admit(server, link->request, &link->peer, server->user);
}

static void opened(struct link *link)
{
	set_pace(link->server);
}

static void called(
	struct link *link, struct link_call *call, const char *method, uint64_t deadline_ms)
{
	struct link_server *server = link->server;
	server->ops->called(server, call, method, deadline_ms, &link->peer, server->user);
}

/* The server has told its application through the calls. */
static void closed(struct link *link, const struct err *err)
{
	(void)link;
	(void)err;
}

static void freed(struct link *link)
{
	if (!link->server)
		return;
	TAILQ_REMOVE(&link->server->links, link, next);
	set_pace(link->server);
}

static const struct link_role_ops responder = {
	.role = HANDSHAKE_RESPONDER,
	.sign = sign,
	.proven = proven,
	.opened = opened,
	.called = called,
	.closed = closed,
	.freed = freed,
};

static void accepted(void *user, nng_stream *stream)
{
	struct link_server *server = user;
	struct in6_addr address = stream_peer(stream);
	struct census census = count_links(server, &address);
	if (census.all >= server->limits.connections ||
		census.at_address >= server->limits.connections_per_address) {
		static const struct transport_ops none = {0};
		transport_close(transport_new(server->loop, stream, &none, NULL));
		return;
	}
	char name[INET6_ADDRSTRLEN] = "";
	inet_ntop(AF_INET6, &address, name, sizeof(name));
	struct link *link =
		connection_new(server->loop, &responder, name, server->limits.streams_per_link);
	link->server = server;
	link->address = address;
	link->request = ++server->last_request;
	link->give_up_at_ms = loop_now_ms(server->loop) + LINK_HANDSHAKE_TIMEOUT_MS;
	TAILQ_INSERT_TAIL(&server->links, link, next);
	connection_begin(link, stream, &server->identity);
	set_pace(server);
}

/* ---- the application's side ---- */

static unsigned limit(unsigned wanted, unsigned by_default)
{
	return wanted ? wanted : by_default;
}

static void close_member(struct loop_member *member)
{
	link_server_free(CONTAINER_OF(member, struct link_server, member));
}

int link_listen(struct link_loop *loop, const char *address, const struct public_key *identity,
	const struct link_server_limits *limits, const struct link_server_ops *ops, void *user,
	struct link_server **ret, struct err *err)
{
	AUTO_FREE char *url = NULL;
	if (address_url(address, &url, err) < 0)
		return -1;
	const struct link_server_limits *given = limits ? limits : &default_limits;
	struct link_server *server = xcalloc(1, sizeof(*server));
	*server = (struct link_server){
		.member.close = close_member,
		.loop = loop,
		.identity = *identity,
		.limits =
			{
				.connections =
					limit(given->connections, default_limits.connections),
				.connections_per_address = limit(given->connections_per_address,
					default_limits.connections_per_address),
				.unauthenticated = limit(
					given->unauthenticated, default_limits.unauthenticated),
				.streams_per_link = limit(
					given->streams_per_link, default_limits.streams_per_link),
			},
		.ops = ops,
		.user = user,
	};
	TAILQ_INIT(&server->links);
	if (listener_start(loop, url, accepted, server, &server->listener, err) < 0) {
		free(server);
		return -1;
	}
	TAILQ_INSERT_TAIL(&loop->members, &server->member, next);
	*ret = server;
	return 0;
}

int link_server_port(const struct link_server *server)
{
	return listener_port(server->listener);
}

void link_server_free(struct link_server *server)
{
	if (!server)
		return;
	struct err reason = ERR_INIT;
	err_set(&reason, ERR_UNREACHABLE, "the host shuts down");
	for (struct link *link; (link = TAILQ_FIRST(&server->links));) {
		TAILQ_REMOVE(&server->links, link, next);
		link->server = NULL;
		connection_close(link, &reason);
	}
	TAILQ_REMOVE(&server->loop->members, &server->member, next);
	listener_close(server->listener);
	free(server);
}

static struct link *find(struct link_server *server, uint64_t request, enum link_state state)
{
	struct link *link;
	TAILQ_FOREACH(link, &server->links, next)
	if (link->request == request && link->state == state)
		return link;
	return NULL; /* the peer has hung up in the meantime */
}

void link_server_signed(
	struct link_server *server, uint64_t request, const struct signature *signature)
{
	struct link *link = find(server, request, LINK_SIGNING);
	if (link)
		connection_signed(link, signature);
}

void link_server_admit(struct link_server *server, uint64_t request, bool admitted)
{
	struct link *link = find(server, request, LINK_ADMITTING);
	if (!link)
		return;
	if (admitted) {
		connection_admit(link);
		return;
	}
	char text[KEY_TEXT_SIZE];
	struct err refusal = ERR_INIT;
	err_set(&refusal, ERR_AUTH, "the host does not let in key %s",
		public_key_text(&link->peer, text));
	err_hint(&refusal,
		"Add this key to the host's policy file, or use one that is in it and has "
		"not expired.");
	connection_close(link, &refusal);
}
