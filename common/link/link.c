#include "common/link/connection.h"

#include "common/base/mem.h"
#include "common/link/address.h"

/* Until `opened`, when the caller does not say. */
enum { DIAL_TIMEOUT_MS = 10000 };

/* Before the peer is told anything, its proof was checked against the pinned key. */
static void sign(struct link *link)
{
	struct signature signature = signing_key_sign(link->self, KEY_CONTEXT_LINK_INITIATOR,
		BYTES(link->handshake->transcript, sizeof(link->handshake->transcript)));
	connection_signed(link, &signature);
}

/* Now the host decides; calls may go out already, they wait there. */
static void proven(struct link *link)
{
	(void)link;
}

static void opened(struct link *link)
{
	if (link->ops->opened)
		link->ops->opened(link, link->user);
}

/* The dialer's mux never lets a call of the peer through. */
static void called(
	struct link *link, struct link_call *call, const char *method, uint64_t deadline_ms)
{
	(void)link;
	(void)method;
	(void)deadline_ms;
	link_call_end(call, NULL);
}

static void detach(struct link *link)
{
	if (!link->member.close)
		return;
	TAILQ_REMOVE(&link->loop->members, &link->member, next);
	link->member.close = NULL;
}

static void closed(struct link *link, const struct err *err)
{
	detach(link);
	if (link->ops->closed)
		link->ops->closed(link, err, link->user);
}

static void freed(struct link *link)
{
	detach(link);
}

static const struct link_role_ops dialer = {
	.role = HANDSHAKE_INITIATOR,
	.sign = sign,
	.proven = proven,
	.opened = opened,
	.called = called,
	.closed = closed,
	.freed = freed,
};

static void dialed(void *user, nng_stream *stream, const struct err *err)
{
	struct link *link = user;
	dial_close(TAKE(link->dial));
	if (err) {
		connection_fail(link, err);
		return;
	}
	uint64_t limit = loop_now_ms(link->loop) + LINK_HANDSHAKE_TIMEOUT_MS;
	if (link->give_up_at_ms > limit)
		link->give_up_at_ms = limit;
	connection_begin(link, stream, signing_key_public(link->self));
}

static void close_member(struct loop_member *member)
{
	link_close(CONTAINER_OF(member, struct link, member));
}

struct link *link_dial(struct link_loop *loop, const char *address, const struct signing_key *self,
	const struct public_key *pinned, uint64_t timeout_ms, const struct link_ops *ops,
	void *user)
{
	struct link *link = connection_new(loop, &dialer, address, 0);
	link->self = self;
	link->pinned = *pinned;
	link->ops = ops;
	link->user = user;
	link->give_up_at_ms = loop_now_ms(loop) + (timeout_ms ? timeout_ms : DIAL_TIMEOUT_MS);
	link->member.close = close_member;
	TAILQ_INSERT_TAIL(&loop->members, &link->member, next);
	struct err err = ERR_INIT;
	AUTO_FREE char *url = NULL;
	if (address_url(address, &url, &err) < 0 ||
		dial_start(loop, url, address, dialed, link, &link->dial, &err) < 0) {
		link->trouble = xmemdup(&err, sizeof(err));
		link->give_up_at_ms = loop_now_ms(loop) + 1; /* from the loop, not from in here */
	}
	connection_schedule(link);
	return link;
}

void link_close(struct link *link)
{
	if (!link)
		return;
	detach(link);
	connection_close(link, NULL);
}

void link_traffic(const struct link *link, uint64_t *ret_sent, uint64_t *ret_received)
{
	*ret_sent = link->bytes_sent;
	*ret_received = link->bytes_received;
	if (link->transport)
		transport_traffic(link->transport, ret_sent, ret_received);
}

struct link_call *link_call_start(struct link *link, const char *method, uint64_t deadline_ms,
	const struct link_call_ops *ops, void *user)
{
	uint64_t at = deadline_ms ? loop_now_ms(link->loop) + deadline_ms : 0;
	return mux_start(&link->mux, method, at, ops, user);
}
