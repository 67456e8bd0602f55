#include "common/link/connection.h"

#include "common/base/mem.h"
#include "common/link/address.h"
#include "common/link/lobby.h"

#include <arpa/inet.h>

/* When the caller leaves a limit 0. */
static const struct link_server_limits default_limits = {
	.connections = 1024,
	.connections_per_address = 64,
	.handshakes = 256,
	.handshakes_per_address = 64,
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
	struct lobby lobby;
	struct link_list inside; /* let in */
	unsigned inside_count;
};

/* ---- places ---- */

static void leave(struct link *link)
{
	struct link_server *server = link->server;
	if (link->place == LINK_IN_LOBBY)
		lobby_leave(&server->lobby, link);
	if (link->place != LINK_INSIDE)
		return;
	TAILQ_REMOVE(&server->inside, link, next);
	server->inside_count--;
	link->place = LINK_NOWHERE;
}

static void move_inside(struct link *link)
{
	struct link_server *server = link->server;
	leave(link);
	TAILQ_INSERT_TAIL(&server->inside, link, next);
	server->inside_count++;
	link->place = LINK_INSIDE;
}

static unsigned count_inside(const struct link_server *server, const struct in6_addr *site)
{
	unsigned count = 0;
	const struct link *link;
	TAILQ_FOREACH(link, &server->inside, next)
	count += memcmp(&link->site, site, sizeof(*site)) == 0;
	return count;
}

/* ---- a link's events ---- */

/* One for each that waits to be signed and each that was: so nobody waits while one may be asked
 * for. Last in its caller, since the server may be freed from inside of it. */
static void ask_for_signature(struct link_server *server)
{
	struct link *link = lobby_next_to_sign(&server->lobby);
	if (link)
		server->ops->sign(server, link->request, link->handshake->transcript, server->user);
}

static void sign(struct link *link)
{
	ask_for_signature(link->server);
}

static void proven(struct link *link)
{
	struct link_server *server = link->server;
	server->ops->admit(server, link->request, &link->peer, server->user);
}

/* link_server_admit has made room for it. */
static void opened(struct link *link)
{
	(void)link;
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
	if (link->server)
		leave(link);
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

/* Somebody has to make room; what it still had to say is nothing that anybody waits for. */
static void show_out(struct link *link)
{
	leave(link);
	link->server = NULL;
	connection_drop(link);
}

static void accepted(void *user, nng_stream *stream)
{
	struct link_server *server = user;
	struct in6_addr address = stream_peer(stream), site = address_site(&address);
	struct link *crowding = lobby_crowded(&server->lobby, &site);
	if (crowding)
		show_out(crowding);
	char name[INET6_ADDRSTRLEN] = "";
	inet_ntop(AF_INET6, &address, name, sizeof(name));
	struct link *link =
		connection_new(server->loop, &responder, name, server->limits.streams_per_link);
	link->server = server;
	link->site = site;
	link->request = ++server->last_request;
	link->give_up_at_ms = loop_now_ms(server->loop) + LINK_HANDSHAKE_TIMEOUT_MS;
	lobby_enter(&server->lobby, link);
	connection_begin(link, stream, &server->identity);
}

/* ---- the application's side ---- */

static unsigned limit(unsigned wanted, unsigned by_default)
{
	return wanted ? wanted : by_default;
}

static struct link_server_limits complete(const struct link_server_limits *given)
{
	const struct link_server_limits *preset = &default_limits;
	return (struct link_server_limits){
		.connections = limit(given->connections, preset->connections),
		.connections_per_address =
			limit(given->connections_per_address, preset->connections_per_address),
		.handshakes = limit(given->handshakes, preset->handshakes),
		.handshakes_per_address =
			limit(given->handshakes_per_address, preset->handshakes_per_address),
		.streams_per_link = limit(given->streams_per_link, preset->streams_per_link),
	};
}

unsigned link_server_fds(const struct link_server_limits *limits)
{
	enum { LOOP_FDS = 16 }; /* the loop's, the listener's and those of nng */
	struct link_server_limits all = complete(limits);
	return all.connections + all.handshakes + CLOSING_MAX + LOOP_FDS;
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
	struct link_server *server = xcalloc(1, sizeof(*server));
	*server = (struct link_server){
		.member.close = close_member,
		.loop = loop,
		.identity = *identity,
		.limits = complete(limits ? limits : &default_limits),
		.ops = ops,
		.user = user,
	};
	TAILQ_INIT(&server->inside);
	lobby_init(
		&server->lobby, server->limits.handshakes, server->limits.handshakes_per_address);
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

unsigned link_server_guests(const struct link_server *server)
{
	return server->lobby.count;
}

static void close_all(struct link_list *links)
{
	struct err reason = ERR_INIT;
	err_set(&reason, ERR_UNREACHABLE, "the host shuts down");
	for (struct link *link; (link = TAILQ_FIRST(links));) {
		leave(link);
		link->server = NULL;
		connection_close(link, &reason);
	}
}

void link_server_free(struct link_server *server)
{
	if (!server)
		return;
	close_all(&server->lobby.links);
	close_all(&server->inside);
	TAILQ_REMOVE(&server->loop->members, &server->member, next);
	listener_close(server->listener);
	free(server);
}

void link_server_signed(
	struct link_server *server, uint64_t request, const struct signature *signature)
{
	struct link *link = lobby_find(&server->lobby, request, LINK_SIGNING);
	struct err err = ERR_INIT;
	lobby_signed(&server->lobby);
	if (link && signature) {
		connection_signed(link, signature);
	} else if (link) {
		err_set(&err, ERR_INTERNAL, "the host did not sign the handshake");
		connection_close(link, &err);
	}
	ask_for_signature(server);
}

static void refuse(struct link *link)
{
	char text[KEY_TEXT_SIZE];
	struct err refusal = ERR_INIT;
	err_set(&refusal, ERR_AUTH, "the host does not let in key %s",
		public_key_text(&link->peer, text));
	err_hint(&refusal,
		"Add this key to the host's policy file, or use one that is in it and has "
		"not expired.");
	connection_close(link, &refusal);
}

/* Whoever is known is told, so that the operator behind a full address can do something. */
static void turn_away(struct link *link, const char *from, unsigned limit, const char *key)
{
	struct err refusal = ERR_INIT;
	err_set(&refusal, ERR_LIMIT, "the host has %u connections%s already", limit, from);
	err_hint(&refusal,
		"Try again when others have ended, or raise limits.%s in the host's agent.yaml.",
		key);
	connection_close(link, &refusal);
}

void link_server_admit(struct link_server *server, uint64_t request, bool admitted)
{
	struct link *link = lobby_find(&server->lobby, request, LINK_ADMITTING);
	const struct link_server_limits *limits = &server->limits;
	if (!link)
		return;
	if (!admitted) {
		refuse(link);
	} else if (server->inside_count >= limits->connections) {
		turn_away(link, "", limits->connections, "connections");
	} else if (count_inside(server, &link->site) >= limits->connections_per_address) {
		turn_away(link, " from your address", limits->connections_per_address,
			"connections_per_address");
	} else {
		move_inside(link);
		connection_admit(link);
	}
}
