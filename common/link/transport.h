/* Bytes over TCP through nng_stream: dialing, listening, connections.
 *
 * All three kinds live on the loop thread; nng's threads only post to it. After *_close no
 * callback comes; nng's parts are then taken down on the reaper thread in the order that nng
 * 1.5.2 survives (stream close, aio stop, aio free, then stream, dialer or listener free), and
 * the object is freed on the loop thread behind everything that was posted about it. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"

#include <netinet/in.h>
#include <nng/nng.h>

struct link_loop;

/* ---- dialing ---- */
struct dial;
/* With a stream (the callee's) or an error; the dial is over and must be closed. */
typedef void dial_done(void *user, nng_stream *stream, const struct err *err);
/* One attempt: a fresh dialer and aio. url as of address_url; name is for messages. */
int dial_start(struct link_loop *loop, const char *url, const char *name, dial_done *done,
	void *user, struct dial **ret, struct err *err);
void dial_close(struct dial *dial);

/* ---- listening ---- */
struct listener;
typedef void listener_accepted(void *user, nng_stream *stream);
/* Accepts one connection after the other: the next once the loop has come round to this one, so
 * that a flood of them takes turns with everything else. After an error such as EMFILE it backs
 * off, and so it does while more closed connections than CLOSING_MAX wait to be taken down. */
enum { CLOSING_MAX = 256 };
int listener_start(struct link_loop *loop, const char *url, listener_accepted *accepted, void *user,
	struct listener **ret, struct err *err);
int listener_port(const struct listener *listener);
void listener_close(struct listener *listener);

/* ---- connections ---- */
struct transport;
struct transport_ops {
	/* Returns how many bytes were used; the rest comes again, in front of the next. */
	size_t (*received)(void *user, struct bytes bytes);
	void (*sent)(void *user); /* all of the last transport_send is out */
	/* Broken, or ended by the peer (ERR_UNREACHABLE). Nothing follows; close it. */
	void (*broken)(void *user, const struct err *err);
};
/* Takes the stream. Does not read before transport_resume. NULL when memory is out. */
struct transport *transport_new(
	struct link_loop *loop, nng_stream *stream, const struct transport_ops *ops, void *user);
/* Takes the content of `bytes` and leaves it empty. One at a time: wait for `sent`. */
void transport_send(struct transport *transport, struct buf *bytes);
/* Read on, beginning with what is left over. Pausing holds for the next callback on. */
void transport_resume(struct transport *transport);
void transport_pause(struct transport *transport);
void transport_close(struct transport *transport);
void transport_traffic(
	const struct transport *transport, uint64_t *ret_sent, uint64_t *ret_received);

/* The peer's IP address, IPv4 as ::ffff:a.b.c.d, without the port. */
struct in6_addr stream_peer(nng_stream *stream);
/* nng's error number as an error. */
int transport_err(struct err *err, int rv, const char *what, const char *name);
