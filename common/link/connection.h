/* The inside of a struct link, of either side: transport, handshake, session and calls put
 * together, and what differs between dialer and server in one table of functions.
 *
 * A link goes through its states once, forwards. The application's part ends with `closed` or
 * connection_close; the object then sends its last frame, waits a moment for the peer to hang up
 * (data still unread would be lost with a reset), and frees itself in a task of the loop. */
#pragma once

#include "common/link/handshake.h"
#include "common/link/loop.h"
#include "common/link/mux.h"
#include "common/link/session.h"
#include "common/link/transport.h"

enum link_state {
	LINK_CONNECTING, /* dialer: TCP */
	LINK_SHAKING,    /* handshake messages */
	LINK_SIGNING,    /* server: waits for link_server_signed; does not read */
	LINK_ADMITTING,  /* server: waits for link_server_admit; does not read */
	LINK_WAITING,    /* dialer: session runs, ADMIT has not come */
	LINK_OPEN,
	LINK_FAREWELL, /* the last frame goes out; then the peer hangs up, or time does */
	LINK_GONE,     /* freed in the next task */
};

/* Where a server keeps it. */
enum link_place { LINK_NOWHERE, LINK_IN_LOBBY, LINK_INSIDE };

struct link_role_ops {
	enum handshake_role role;
	/* Sign link->handshake->transcript: connection_signed now or later. */
	void (*sign)(struct link *link);
	/* The handshake is done; a server decides: connection_admit or connection_fail. */
	void (*proven)(struct link *link);
	/* Calls may start (dialer) or come (server). */
	void (*opened)(struct link *link);
	void (*called)(struct link *link, struct link_call *call, const char *method,
		uint64_t deadline_ms);
	/* Lost, after its calls were ended. Not called after connection_close. */
	void (*closed)(struct link *link, const struct err *err);
	/* The object is about to be freed. */
	void (*freed)(struct link *link);
};

struct link {
	struct link_loop *loop;
	const struct link_role_ops *role;
	enum link_state state;
	char *peer_name; /* "10.0.0.11:7443", for messages */
	struct transport *transport;
	struct handshake *handshake; /* NULL once done */
	struct session session;
	struct mux mux;
	struct public_key peer; /* proven */
	struct buf out;         /* sealed, waits for the transport */
	bool sending;
	bool admit_wanted, farewell_wanted;
	bool peer_parted;                    /* its last frame has come */
	bool lingers;                        /* counted in loop->lingering */
	uint64_t bytes_sent, bytes_received; /* of the transport, once that is closed */
	struct buf farewell;                 /* payload of GOAWAY */
	struct timer timer;
	uint64_t give_up_at_ms; /* before LINK_OPEN, and in LINK_FAREWELL */
	uint64_t heard_at_ms;
	bool pinged;
	struct loop_task task; /* flush, sweep, free */

	/* dialer */
	struct loop_member member;
	struct err *trouble; /* it could not even begin; told by the timer */
	struct dial *dial;
	const struct signing_key *self;
	struct public_key pinned;
	const struct link_ops *ops;
	void *user;

	/* server */
	struct link_server *server;
	TAILQ_ENTRY(link) next; /* in the list of its place */
	enum link_place place;
	bool asked;           /* for its signature (lobby.h) */
	uint64_t request;     /* the number sign and admit go by */
	struct in6_addr site; /* address_site of the peer */
};

struct link *connection_new(struct link_loop *loop, const struct link_role_ops *role,
	const char *peer_name, unsigned streams_max);
/* The TCP connection is there: take it and shake hands, until give_up_at_ms. */
void connection_begin(struct link *link, nng_stream *stream, const struct public_key *self);
void connection_signed(struct link *link, const struct signature *signature);
void connection_admit(struct link *link);
/* Refuse or end: GOAWAY with `reason` (NULL: none) if there is a session; no callback. */
void connection_close(struct link *link, const struct err *reason);
/* End at once and without a word: somebody else needs the place. No callback. */
void connection_drop(struct link *link);
/* Tell the application, calls first, then end as above. From the loop only. */
void connection_fail(struct link *link, const struct err *reason);
/* Set the timer to what is due next. */
void connection_schedule(struct link *link);
