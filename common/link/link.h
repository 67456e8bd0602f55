/* gRPC-style calls over an encrypted, mutually authenticated nng_stream (docs/protocol.md).
 *
 * Threads: nng's threads only move bytes and post completions to a struct link_loop. Every other
 * thing, and every callback below, happens on the one thread that calls link_loop_dispatch.
 * No function here blocks, except link_loop_wait and the *_free functions of a loop.
 *
 * Lifetimes, for both sides. A struct link ends with its `closed` callback, or silently with
 * link_close; a struct link_call with its `ended` callback, or silently with link_call_cancel,
 * link_call_end, or the end of its link by link_close or link_server_free. Each of these may be
 * called from inside any callback, including the `closed` or `ended` of that very object, where
 * it does nothing. Memory is given back later, at the end of a dispatch, so an object that ends
 * inside of a callback is valid until that callback returns, and no longer.
 *
 * Limits before authentication: messages of at most 256 bytes, handshake <= 5 s from its first byte
 * to its last, handshakes in progress per address and in all. Messages are at most LINK_MESSAGE_MAX
 * bytes; a stream's receiver grants credit. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/trust/key.h"

#include <stdbool.h>

enum {
	LINK_FRAME_MAX = 64 * 1024,
	LINK_MESSAGE_MAX = 256 * 1024,
	LINK_STREAM_CREDIT = 256 * 1024, /* initial, each way, in bytes */
	LINK_HANDSHAKE_TIMEOUT_MS = 5000,
	LINK_PING_INTERVAL_MS = 15000,
	LINK_PING_TIMEOUT_MS = 30000,
};

struct link_loop;
struct link;
struct link_call;
struct link_server;

/* ---- loop ---- */
int link_loop_new(struct link_loop **ret, struct err *err);
/* Closes what is left, without callbacks; lets last frames go out (at most 250 ms) and waits for
 * nng's threads. Not from inside a callback. */
void link_loop_free(struct link_loop *loop);
/* Readable when link_loop_dispatch has something to do, timers included; for poll(2) or uv_poll.
 * Nobody needs to look at link_loop_timeout_ms as well. */
int link_loop_fd(const struct link_loop *loop);
/* Milliseconds until the next deadline, -1 for none. */
int link_loop_timeout_ms(const struct link_loop *loop);
/* Run due callbacks and timers; never blocks. Not from inside a callback. */
void link_loop_dispatch(struct link_loop *loop);
/* poll + dispatch, once, at most timeout_ms (-1: until something happens). */
void link_loop_wait(struct link_loop *loop, int timeout_ms);

/* ---- calls, both sides ---- */
struct link_call_ops {
	/* One whole message; borrowed bytes. Its credit is granted back when this returns, unless
	 * link_call_hold was called inside: then with link_call_release. */
	void (*message)(struct link_call *call, struct bytes message, void *user);
	/* Server side: the client has sent its last message. May be NULL. */
	void (*half_closed)(struct link_call *call, void *user);
	/* Everything queued has been written to the socket, so there is room again after
	 * LINK_SEND_BLOCKED; comes each time the queue runs empty. May be NULL. */
	void (*writable)(struct link_call *call, void *user);
	/* The end, once. Client side: status OK is err->code == ERR_NONE; a deadline that passes is
	 * ERR_DEADLINE, a lost link ERR_UNREACHABLE. Server side: only when the client cancelled,
	 * the deadline passed or the link was lost (never after link_call_end). */
	void (*ended)(struct link_call *call, const struct err *err, void *user);
};

enum link_send { LINK_SEND_OK = 0, LINK_SEND_BLOCKED = 1 }; /* BLOCKED: nothing was taken */
/* Queue one message of at most LINK_MESSAGE_MAX bytes (copied); enum link_send. ERR_LIMIT: too
 * large; ERR_UNREACHABLE: call is NULL; ERR_INTERNAL: it is half-closed or has ended. */
int link_call_send(struct link_call *call, struct bytes message, struct err *err);
/* Inside of `message`: keep that message's credit back, until link_call_release gives back all
 * that is held. Messages still come while the window (LINK_STREAM_CREDIT) lasts. */
void link_call_hold(struct link_call *call);
void link_call_release(struct link_call *call);
void *link_call_user(const struct link_call *call);
void link_call_set_user(struct link_call *call, void *user);

/* ---- client ---- */
struct link_ops {
	void (*opened)(struct link *link, void *user); /* peer verified; calls may start */
	/* Never opened, or broken: ERR_UNREACHABLE, ERR_AUTH (not the pinned key; not admitted),
	 * ERR_INVALID (protocol), ERR_UNSUPPORTED (version), ERR_CONFIG (address). Calls in
	 * progress have ended before. The link is freed after. */
	void (*closed)(struct link *link, const struct err *err, void *user);
};

/* "host:port", "1.2.3.4:7443", "[::1]:7443". `self` is borrowed until the link has ended, pinned is
 * copied. timeout_ms is until `opened`, 0 for 10 s. Failure comes
 * through `closed`, never from inside of this function. */
struct link *link_dial(struct link_loop *loop, const char *address, const struct signing_key *self,
	const struct public_key *pinned, uint64_t timeout_ms, const struct link_ops *ops,
	void *user);
/* Sends GOAWAY and TAG_FINAL, frees; calls in progress are dropped without callbacks. */
void link_close(struct link *link);
/* Bytes written to and read from the socket so far. */
void link_traffic(const struct link *link, uint64_t *ret_sent, uint64_t *ret_received);

/* deadline_ms from now, 0 for none. The method is "/fairlead.v1.Agent/Prepare". Calls may be
 * started, and messages sent, before `opened`; they wait for it at the host. NULL only from
 * inside of a callback of a link that is already lost; the functions for calls accept that. */
struct link_call *link_call_start(struct link *link, const char *method, uint64_t deadline_ms,
	const struct link_call_ops *ops, void *user);
/* No more messages from here; what is queued still goes out. */
void link_call_half_close(struct link_call *call);
void link_call_cancel(struct link_call *call); /* no callback follows; the call is freed */

/* ---- server ---- */
struct link_server_ops {
	/* Sign this 32-byte transcript as KEY_CONTEXT_LINK_RESPONDER and answer with
	 * link_server_signed, now or later: the gateway holds no key and asks the core. Only so
	 * many are asked for at once (lobby.h), so each must be answered. */
	void (*sign)(struct link_server *server, uint64_t request, const uint8_t transcript[32],
		void *user);
	/* The initiator has proven `peer`: answer with link_server_admit, now or later. */
	void (*admit)(struct link_server *server, uint64_t request, const struct public_key *peer,
		void *user);
	/* A call was opened: set its ops with link_call_accept, or end it, before returning. `peer`
	 * is valid as long as the call. */
	void (*called)(struct link_server *server, struct link_call *call, const char *method,
		uint64_t deadline_ms, const struct public_key *peer, void *user);
};

/* 0 stands for the default. Strangers and peers that were let in are counted apart, so neither
 * takes the other's place. An IPv6 address counts with all others of its /64. */
struct link_server_limits {
	unsigned connections;             /* let in, in all; 1024. The next reads ERR_LIMIT */
	unsigned connections_per_address; /* let in; 64 */
	unsigned handshakes;              /* in progress, in all; 256. The next takes the place of
					   * the oldest, see lobby.h */
	unsigned handshakes_per_address;  /* in progress; 64 */
	unsigned streams_per_link;        /* 64; a call beyond ends with ERR_LIMIT */
};

/* The most file descriptors a server with these limits holds at once. */
unsigned link_server_fds(const struct link_server_limits *limits);
/* Port 0 picks a free one. `identity` is the host's public key, sent in the handshake. */
int link_listen(struct link_loop *loop, const char *address, const struct public_key *identity,
	const struct link_server_limits *limits, const struct link_server_ops *ops, void *user,
	struct link_server **ret, struct err *err);
int link_server_port(const struct link_server *server);
/* How many handshakes are in progress. */
unsigned link_server_guests(const struct link_server *server);
/* Closes its links and drops their calls without callbacks. */
void link_server_free(struct link_server *server);
/* A request whose peer has hung up meanwhile is ignored. NULL: there will be no signature, and the
 * peer is hung up on. */
void link_server_signed(
	struct link_server *server, uint64_t request, const struct signature *signature);
/* Not admitted, or admitted beyond the limits: the peer reads why. */
void link_server_admit(struct link_server *server, uint64_t request, bool admitted);
void link_call_accept(struct link_call *call, const struct link_call_ops *ops, void *user);
/* Server side: the status that ends the call (NULL or code NONE: OK); sent after what is queued;
 * the call is freed. */
void link_call_end(struct link_call *call, const struct err *err);
