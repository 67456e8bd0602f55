/* The calls of one link: streams, credit, deadlines, cancellation (docs/protocol.md). The inside
 * of a struct link_call.
 *
 * Pure: frames in (mux_receive), frames out (mux_pull), time passed in. Callbacks into the
 * application come from mux_receive, mux_tick, mux_notify and mux_lost only. A call that is over
 * stays in memory, marked CALL_DEAD, until mux_sweep, so every function here and every callback
 * may end any call at any time. */
#pragma once

#include "common/link/link.h"
#include "common/link/wire.h"

#include <sys/queue.h>

enum mux_role { MUX_CALLER, MUX_CALLEE };

enum call_phase {
	CALL_LIVE,      /* the application holds it */
	CALL_DRAINING,  /* callee: ended; what is queued and END still go out */
	CALL_CANCELLED, /* caller: given up; CANCEL still goes out */
	CALL_DEAD,      /* freed by the next sweep */
};

struct call_message {
	STAILQ_ENTRY(call_message) next;
	size_t len;
	uint8_t data[];
};

struct link_call {
	TAILQ_ENTRY(link_call) next;
	struct mux *mux;
	const struct link_call_ops *ops; /* callee: NULL until accepted */
	void *user;
	uint32_t stream;
	enum call_phase phase;
	char *method;            /* caller: owned until OPEN is out, and for messages */
	uint64_t deadline_at_ms; /* 0: none */

	STAILQ_HEAD(, call_message) outgoing;
	size_t outgoing_done;  /* bytes of the first that are out */
	size_t outgoing_bytes; /* queued, in all */
	uint64_t send_credit;
	bool open_sent, end_wanted, peer_ended, drained;
	struct buf status; /* payload of END */

	struct buf incoming; /* the pieces of a message so far */
	uint32_t incoming_cost;
	uint32_t receive_credit; /* what the peer may still send */
	uint32_t held, owed;     /* credit: kept back by link_call_hold; to be granted next */
	bool hold;               /* asked for in the message callback */
};

TAILQ_HEAD(call_list, link_call);

struct mux {
	enum mux_role role;
	struct call_list calls;
	unsigned count, streams_max; /* all but the dead; callee: how many may be open */
	uint32_t last_stream;        /* the highest opened */
	bool dropped;                /* the link is going down: no new calls */
	bool ping_wanted, pong_wanted;
	uint8_t pong[8];
	/* Callee: a call was opened; accept or end it before returning. */
	void (*called)(
		struct mux *mux, struct link_call *call, const char *method, uint64_t deadline_ms);
	/* Something is to be pulled. */
	void (*wanted)(struct mux *mux);
};

void mux_init(struct mux *mux, enum mux_role role, unsigned streams_max);
/* No callbacks; frees all calls. */
void mux_release(struct mux *mux);

/* One frame of the peer, of a type that belongs to streams, or PING or PONG. ERR_INVALID,
 * ERR_LIMIT: it breaks the protocol, and the link must end. */
int mux_receive(struct mux *mux, const struct frame *frame, uint64_t now_ms, struct err *err);
/* Append the next frame to send to `plain`; false when there is none. */
bool mux_pull(struct mux *mux, uint64_t now_ms, struct buf *plain);
/* `writable` for the calls whose queue has run empty since. */
void mux_notify(struct mux *mux);
/* End the calls whose deadline has passed. */
void mux_tick(struct mux *mux, uint64_t now_ms);
/* The next deadline; 0 for none. */
uint64_t mux_deadline(const struct mux *mux);
void mux_ping(struct mux *mux);
/* The link is lost: every live call ends with `reason`. */
void mux_lost(struct mux *mux, const struct err *reason);
/* Drop every call without a callback. */
void mux_drop(struct mux *mux);
void mux_sweep(struct mux *mux);

/* Caller: NULL when the link is going down. deadline_at_ms 0: none. */
struct link_call *mux_start(struct mux *mux, const char *method, uint64_t deadline_at_ms,
	const struct link_call_ops *ops, void *user);
