#include "common/link/transport.h"

#include "common/base/mem.h"
#include "common/link/loop.h"
#include "common/link/wire.h"

#include <assert.h>

/* The receive buffer of an idle connection, and of a busy one: a whole record fits. */
enum { RECEIVE_IDLE = 1024, RECEIVE_BUSY = LINK_FRAME_MAX + RECORD_PREFIX };

struct transport {
	struct link_loop *loop;
	nng_stream *stream;
	nng_aio *send_aio, *receive_aio;
	const struct transport_ops *ops; /* NULL once closed */
	void *user;
	struct buf sending;
	size_t sending_done;
	uint8_t *in;
	size_t in_len, in_cap;
	bool receiving, paused, busy;
	uint64_t bytes_sent, bytes_received;
	bool resume_posted;
	struct loop_job sent, received, resumed, reap, reaped;
};

int transport_err(struct err *err, int rv, const char *what, const char *name)
{
	if (rv & NNG_ESYSERR)
		return err_errno(err, ERR_UNREACHABLE, rv & ~NNG_ESYSERR, "%s %s", what, name);
	return err_set(err, ERR_UNREACHABLE, "%s %s: %s", what, name, nng_strerror(rv));
}

/* On one of nng's threads. */
static void on_sent(void *arg)
{
	struct transport *transport = arg;
	loop_post(transport->loop, &transport->sent);
}

static void on_received(void *arg)
{
	struct transport *transport = arg;
	loop_post(transport->loop, &transport->received);
}

static void broken(struct transport *transport, int rv)
{
	struct err err = ERR_INIT;
	err_set(&err, ERR_UNREACHABLE, "the connection broke: %s", nng_strerror(rv));
	transport->ops->broken(transport->user, &err);
}

static void send_rest(struct transport *transport)
{
	nng_iov iov = {
		.iov_buf = transport->sending.data + transport->sending_done,
		.iov_len = transport->sending.len - transport->sending_done,
	};
	nng_aio_set_iov(transport->send_aio, 1, &iov);
	nng_stream_send(transport->stream, transport->send_aio);
}

void transport_send(struct transport *transport, struct buf *bytes)
{
	assert(transport->sending.len == 0 && bytes->len > 0);
	transport->sending = *bytes;
	*bytes = (struct buf){0};
	transport->sending_done = 0;
	send_rest(transport);
}

/* A send takes what the socket has room for. */
static void run_sent(struct loop_job *job)
{
	struct transport *transport = CONTAINER_OF(job, struct transport, sent);
	if (!transport->ops)
		return;
	int rv = nng_aio_result(transport->send_aio);
	if (rv) {
		broken(transport, rv);
		return;
	}
	size_t count = nng_aio_count(transport->send_aio);
	transport->bytes_sent += count;
	transport->sending_done += count;
	if (transport->sending_done < transport->sending.len) {
		send_rest(transport);
		return;
	}
	buf_release(&transport->sending);
	transport->ops->sent(transport->user);
}

static void resize_in(struct transport *transport, size_t cap)
{
	if (transport->in_cap == cap)
		return;
	transport->in = xrealloc(transport->in, cap);
	transport->in_cap = cap;
}

static void receive_next(struct transport *transport)
{
	if (!transport->ops || transport->paused || transport->receiving)
		return;
	bool large = transport->busy || transport->in_len >= RECEIVE_IDLE;
	resize_in(transport, large ? RECEIVE_BUSY : RECEIVE_IDLE);
	assert(transport->in_len < transport->in_cap);
	nng_iov iov = {
		.iov_buf = transport->in + transport->in_len,
		.iov_len = transport->in_cap - transport->in_len,
	};
	transport->receiving = true;
	nng_aio_set_iov(transport->receive_aio, 1, &iov);
	nng_stream_recv(transport->stream, transport->receive_aio);
}

static void hand_over(struct transport *transport)
{
	size_t used =
		transport->ops->received(transport->user, BYTES(transport->in, transport->in_len));
	assert(used <= transport->in_len);
	transport->in_len -= used;
	memmove(transport->in, transport->in + used, transport->in_len);
	receive_next(transport);
}

static void run_received(struct loop_job *job)
{
	struct transport *transport = CONTAINER_OF(job, struct transport, received);
	if (!transport->ops)
		return;
	transport->receiving = false;
	int rv = nng_aio_result(transport->receive_aio);
	size_t count = rv ? 0 : nng_aio_count(transport->receive_aio);
	if (count == 0) {
		broken(transport, rv ? rv : NNG_ECLOSED);
		return;
	}
	transport->bytes_received += count;
	transport->in_len += count;
	transport->busy = count >= RECEIVE_IDLE || transport->in_len == transport->in_cap;
	hand_over(transport);
}

static void run_resumed(struct loop_job *job)
{
	struct transport *transport = CONTAINER_OF(job, struct transport, resumed);
	transport->resume_posted = false;
	if (!transport->ops || transport->paused || transport->receiving)
		return;
	if (transport->in_len > 0)
		hand_over(transport);
	else
		receive_next(transport);
}

static void run_reap(struct loop_job *job)
{
	struct transport *transport = CONTAINER_OF(job, struct transport, reap);
	nng_stream_close(transport->stream);
	nng_aio *aios[] = {transport->send_aio, transport->receive_aio};
	for (size_t i = 0; i < ARRAY_LEN(aios); i++)
		if (aios[i])
			nng_aio_stop(aios[i]);
	for (size_t i = 0; i < ARRAY_LEN(aios); i++)
		nng_aio_free(aios[i]);
	nng_stream_free(transport->stream);
	loop_post(transport->loop, &transport->reaped);
}

static void run_reaped(struct loop_job *job)
{
	struct transport *transport = CONTAINER_OF(job, struct transport, reaped);
	transport->loop->owned--;
	transport->loop->closing--;
	buf_release(&transport->sending);
	free(transport->in);
	free(transport);
}

struct transport *transport_new(
	struct link_loop *loop, nng_stream *stream, const struct transport_ops *ops, void *user)
{
	struct transport *transport = xcalloc(1, sizeof(*transport));
	*transport = (struct transport){
		.loop = loop,
		.stream = stream,
		.ops = ops,
		.user = user,
		.paused = true,
		.sent.run = run_sent,
		.received.run = run_received,
		.resumed.run = run_resumed,
		.reap.run = run_reap,
		.reaped.run = run_reaped,
	};
	loop->owned++;
	if (nng_aio_alloc(&transport->send_aio, on_sent, transport) ||
		nng_aio_alloc(&transport->receive_aio, on_received, transport)) {
		transport_close(transport);
		return NULL;
	}
	return transport;
}

void transport_resume(struct transport *transport)
{
	transport->paused = false;
	if (transport->resume_posted)
		return;
	transport->resume_posted = true;
	loop_post(transport->loop, &transport->resumed);
}

void transport_pause(struct transport *transport)
{
	transport->paused = true;
}

void transport_close(struct transport *transport)
{
	if (!transport)
		return;
	transport->ops = NULL;
	transport->loop->closing++;
	loop_reap(transport->loop, &transport->reap);
}

void transport_traffic(
	const struct transport *transport, uint64_t *ret_sent, uint64_t *ret_received)
{
	*ret_sent = transport->bytes_sent;
	*ret_received = transport->bytes_received;
}

struct in6_addr stream_peer(nng_stream *stream)
{
	struct in6_addr address = IN6ADDR_ANY_INIT;
	nng_sockaddr peer;
	if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &peer))
		return address;
	if (peer.s_family == NNG_AF_INET6) {
		memcpy(&address, peer.s_in6.sa_addr, sizeof(address));
	} else if (peer.s_family == NNG_AF_INET) {
		address.s6_addr[10] = address.s6_addr[11] = 0xff;
		memcpy(&address.s6_addr[12], &peer.s_in.sa_addr, 4);
	}
	return address;
}
