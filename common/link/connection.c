#include "common/link/connection.h"

#include "common/base/mem.h"
#include "common/link/status.h"

#include <assert.h>

enum {
	WRITER_MAX = 256 * 1024, /* sealed and not yet sent; more only makes a PING wait */
	FAREWELL_TIMEOUT_MS = 1000,
};

/* ---- timer ---- */

void connection_schedule(struct link *link)
{
	uint64_t due = link->give_up_at_ms;
	if (link->state == LINK_OPEN)
		due = link->heard_at_ms +
		      (link->pinged ? LINK_PING_TIMEOUT_MS : LINK_PING_INTERVAL_MS);
	uint64_t deadline = mux_deadline(&link->mux);
	if (deadline && (!due || deadline < due))
		due = deadline;
	if (due && link->state != LINK_GONE)
		loop_timer_set(link->loop, &link->timer, due);
	else
		loop_timer_stop(link->loop, &link->timer);
}

static void check_pulse(struct link *link, uint64_t now)
{
	uint64_t silent = now - link->heard_at_ms;
	if (silent >= LINK_PING_TIMEOUT_MS) {
		struct err err = ERR_INIT;
		err_set(&err, ERR_UNREACHABLE, "no answer from %s for %d s", link->peer_name,
			LINK_PING_TIMEOUT_MS / 1000);
		connection_fail(link, &err);
	} else if (silent >= LINK_PING_INTERVAL_MS && !link->pinged) {
		link->pinged = true;
		mux_ping(&link->mux);
	}
}

static void gone(struct link *link)
{
	link->state = LINK_GONE;
	loop_defer(link->loop, &link->task);
}

static void give_up(struct link *link)
{
	struct err err = ERR_INIT;
	if (link->trouble) {
		err = *link->trouble;
		connection_fail(link, &err);
		return;
	}
	if (link->role->role == HANDSHAKE_RESPONDER) {
		connection_drop(link); /* a stranger whose time is over: there is nobody to tell */
		return;
	}
	err_set(&err, ERR_UNREACHABLE,
		link->state == LINK_CONNECTING ? "no connection to %s in time"
					       : "%s does not complete the handshake in time",
		link->peer_name);
	err_hint(&err, "Check that fairlead-agent runs there and that no firewall drops its port.");
	connection_fail(link, &err);
}

static void run_timer(struct timer *timer)
{
	struct link *link = CONTAINER_OF(timer, struct link, timer);
	uint64_t now = loop_now_ms(link->loop);
	bool late = link->give_up_at_ms && link->give_up_at_ms <= now;
	if (link->state == LINK_FAREWELL && late)
		gone(link);
	else if (link->state < LINK_OPEN && late)
		give_up(link);
	else if (link->state == LINK_OPEN)
		check_pulse(link, now);
	mux_tick(&link->mux, now);
	connection_schedule(link);
}

/* ---- sending ---- */

static void seal(struct link *link, const struct frame *frame, enum session_tag tag)
{
	struct buf *plain = &link->loop->plain_out;
	buf_clear(plain);
	frame_encode(frame, plain);
	session_seal(&link->session, buf_bytes(plain), tag, &link->out);
}

/* Seal what is wanted, as late as possible, so that a control frame overtakes data. */
static void fill(struct link *link)
{
	struct buf *plain = &link->loop->plain_out;
	if (link->admit_wanted) {
		link->admit_wanted = false;
		seal(link, &(struct frame){.type = FRAME_ADMIT}, SESSION_TAG_MESSAGE);
	}
	if (link->farewell_wanted) {
		link->farewell_wanted = false;
		seal(link,
			&(struct frame){
				.type = FRAME_GOAWAY, .payload = buf_bytes(&link->farewell)},
			SESSION_TAG_FINAL);
		buf_release(&link->farewell);
	}
	if (link->state != LINK_OPEN && link->state != LINK_WAITING)
		return;
	while (link->out.len + RECORD_PREFIX + LINK_FRAME_MAX <= WRITER_MAX) {
		buf_clear(plain);
		if (!mux_pull(&link->mux, loop_now_ms(link->loop), plain))
			break;
		session_seal(&link->session, buf_bytes(plain), SESSION_TAG_MESSAGE, &link->out);
	}
}

static void flush(struct link *link)
{
	if (link->sending || !link->transport)
		return;
	fill(link);
	if (link->out.len == 0)
		return;
	link->sending = true;
	transport_send(link->transport, &link->out);
}

/* ---- the end ---- */

static void hang_up(struct link *link)
{
	if (!link->transport)
		return;
	transport_traffic(link->transport, &link->bytes_sent, &link->bytes_received);
	transport_close(link->transport);
	link->transport = NULL;
}

static void free_link(struct link *link)
{
	link->role->freed(link);
	dial_close(link->dial);
	hang_up(link);
	mux_release(&link->mux);
	loop_forget(link->loop, &link->task);
	loop_timer_stop(link->loop, &link->timer);
	if (link->handshake)
		handshake_release(link->handshake);
	free(link->handshake);
	session_release(&link->session);
	buf_release(&link->out);
	buf_release(&link->farewell);
	free(link->trouble);
	free(link->peer_name);
	link->loop->lingering -= link->lingers;
	link->loop->owned--;
	free(link);
}

void connection_close(struct link *link, const struct err *reason)
{
	if (link->state >= LINK_FAREWELL)
		return;
	bool session = link->state >= LINK_ADMITTING;
	mux_drop(&link->mux);
	dial_close(link->dial);
	link->dial = NULL;
	if (!link->transport || !(session || link->sending || link->out.len)) {
		hang_up(link);
		gone(link);
		return;
	}
	if (session) {
		link->farewell_wanted = true;
		status_encode(reason, &link->farewell);
	}
	link->state = LINK_FAREWELL;
	link->give_up_at_ms = loop_now_ms(link->loop) + FAREWELL_TIMEOUT_MS;
	link->lingers = true;
	link->loop->lingering++;
	transport_resume(link->transport);
	loop_defer(link->loop, &link->task);
}

void connection_drop(struct link *link)
{
	mux_drop(&link->mux);
	hang_up(link);
	gone(link);
}

/* Of a call it only matters that the link is lost: ERR_INVALID would be the other side's verdict on
 * what was asked. */
static void lose_calls(struct link *link, const struct err *reason)
{
	struct err lost = *reason;
	if (lost.code == ERR_INVALID || lost.code == ERR_LIMIT)
		lost.code = ERR_UNREACHABLE;
	mux_lost(&link->mux, &lost);
}

void connection_fail(struct link *link, const struct err *reason)
{
	if (link->state >= LINK_FAREWELL)
		return;
	lose_calls(link, reason);
	if (link->state >= LINK_FAREWELL)
		return; /* the application closed it when it heard of its calls */
	connection_close(link, reason);
	link->role->closed(link, reason);
}

/* Nothing more can be said to this peer. */
static void lose(struct link *link, struct err *reason)
{
	hang_up(link);
	if (link->state == LINK_FAREWELL)
		gone(link);
	else
		connection_fail(link, reason);
}

static void run_task(struct loop_task *task)
{
	struct link *link = CONTAINER_OF(task, struct link, task);
	if (link->state == LINK_GONE) {
		free_link(link);
		return;
	}
	flush(link);
	mux_sweep(&link->mux);
	connection_schedule(link);
}

/* ---- receiving ---- */

static void finish_handshake(struct link *link)
{
	struct session_keys keys;
	handshake_keys(link->handshake, &keys);
	session_init(&link->session, &keys);
	sodium_memzero(&keys, sizeof(keys));
	link->peer = link->handshake->peer;
	handshake_release(link->handshake);
	free(TAKE(link->handshake));
	link->state = link->role->role == HANDSHAKE_INITIATOR ? LINK_WAITING : LINK_ADMITTING;
	link->role->proven(link);
}

void connection_signed(struct link *link, const struct signature *signature)
{
	assert(link->state == LINK_SIGNING);
	link->state = LINK_SHAKING;
	if (handshake_signed(link->handshake, signature, &link->out) == HANDSHAKE_DONE)
		finish_handshake(link);
	loop_defer(link->loop, &link->task);
	transport_resume(link->transport);
}

static void opened(struct link *link)
{
	link->state = LINK_OPEN;
	link->give_up_at_ms = 0;
	link->heard_at_ms = loop_now_ms(link->loop);
	loop_defer(link->loop, &link->task);
	link->role->opened(link);
}

void connection_admit(struct link *link)
{
	assert(link->state == LINK_ADMITTING);
	link->admit_wanted = true;
	transport_resume(link->transport);
	opened(link);
}

static int shake(struct link *link, struct bytes message, struct err *err)
{
	int step = handshake_receive(link->handshake, message, &link->out, err);
	loop_defer(link->loop, &link->task);
	if (step < 0)
		return -1;
	if (step == HANDSHAKE_SIGN) {
		link->state = LINK_SIGNING;
		link->role->sign(link);
	} else if (step == HANDSHAKE_DONE) {
		finish_handshake(link);
	}
	return 0;
}

static int receive_goaway(struct link *link, struct bytes payload, struct err *err)
{
	struct err reason = ERR_INIT;
	if (status_decode(payload, &reason, err) < 0)
		return -1;
	if (reason.code == ERR_NONE)
		err_set(&reason, ERR_UNREACHABLE, "the link was closed");
	err_wrap(&reason, "%s", link->peer_name);
	lose(link, &reason);
	return 0;
}

static int receive_frame(struct link *link, struct bytes body, struct err *err)
{
	struct buf *plain = &link->loop->plain_in;
	int kind = session_open(&link->session, body, plain, err);
	struct frame frame;
	if (kind < 0 || kind == SESSION_OPENED_HEADER)
		return kind < 0 ? -1 : 0;
	if (frame_decode(buf_bytes(plain), &frame, err) < 0)
		return -1;
	if ((kind == SESSION_OPENED_FINAL) != (frame.type == FRAME_GOAWAY))
		return err_set(err, ERR_INVALID, "%s frame out of turn", frame_name(frame.type));
	if (frame.type == FRAME_GOAWAY)
		return receive_goaway(link, frame.payload, err);
	if (link->state == LINK_OPEN)
		return mux_receive(&link->mux, &frame, loop_now_ms(link->loop), err);
	if (frame.type != FRAME_ADMIT)
		return err_set(err, ERR_INVALID, "%s frame before ADMIT", frame_name(frame.type));
	opened(link);
	return 0;
}

static bool reads(const struct link *link)
{
	return link->state == LINK_SHAKING || link->state == LINK_WAITING ||
	       link->state == LINK_OPEN;
}

static int receive_record(struct link *link, struct bytes in, size_t *ret_used, struct err *err)
{
	struct bytes body;
	int rc = record_next(
		in, link->handshake ? HANDSHAKE_MESSAGE_MAX : LINK_FRAME_MAX, &body, err);
	if (rc != RECORD_WHOLE)
		return rc;
	*ret_used += RECORD_PREFIX + body.len;
	link->heard_at_ms = loop_now_ms(link->loop);
	link->pinged = false;
	return link->handshake ? shake(link, body, err) : receive_frame(link, body, err);
}

/* Both sides have sent their last frame: nobody needs to wait for the other to hang up. */
static void part(struct link *link)
{
	if (link->state == LINK_FAREWELL && link->peer_parted && !link->sending &&
		!link->farewell_wanted && link->out.len == 0)
		gone(link);
}

/* What comes in after our last frame is looked at for the peer's own last frame only. */
static size_t receive_farewell(struct link *link, struct bytes in)
{
	size_t used = 0;
	struct bytes body;
	int rc = 0;
	if (link->handshake)
		return in.len;
	while (rc == 0 && !link->peer_parted) {
		rc = record_next(BYTES(in.data + used, in.len - used), LINK_FRAME_MAX, &body, NULL);
		if (rc != RECORD_WHOLE)
			break;
		used += RECORD_PREFIX + body.len;
		int kind = session_open(&link->session, body, &link->loop->plain_in, NULL);
		rc = kind < 0 ? -1 : 0;
		link->peer_parted = kind == SESSION_OPENED_FINAL;
	}
	part(link);
	return rc < 0 || link->peer_parted ? in.len : used;
}

static size_t on_received(void *user, struct bytes bytes)
{
	struct link *link = user;
	struct err err = ERR_INIT;
	size_t used = 0;
	int rc = 0;
	while (rc == 0 && reads(link))
		rc = receive_record(link, BYTES(bytes.data + used, bytes.len - used), &used, &err);
	if (rc < 0) {
		if (err.code == ERR_INVALID || err.code == ERR_LIMIT)
			err_wrap(&err, "%s breaks the protocol", link->peer_name);
		if (err.code == ERR_INVALID && link->state < LINK_WAITING)
			err_hint(&err, "Check that this is the address of a fairlead-agent.");
		connection_fail(link, &err);
	}
	if (link->state == LINK_GONE)
		return bytes.len;
	if (link->state == LINK_FAREWELL)
		return used + receive_farewell(link, BYTES(bytes.data + used, bytes.len - used));
	if (!reads(link))
		transport_pause(link->transport);
	return used;
}

static void on_sent(void *user)
{
	struct link *link = user;
	link->sending = false;
	loop_defer(link->loop, &link->task);
	mux_notify(&link->mux);
	part(link);
}

static void on_broken(void *user, const struct err *reason)
{
	struct link *link = user;
	struct err err = *reason;
	err_wrap(&err, "%s", link->peer_name);
	if (link->state < LINK_WAITING)
		err_hint(&err,
			"Check that this is the address of a fairlead-agent; it also hangs up "
			"when too many connect at once.");
	lose(link, &err);
}

static const struct transport_ops transport_ops = {
	.received = on_received,
	.sent = on_sent,
	.broken = on_broken,
};

/* ---- the beginning ---- */

static void wanted(struct mux *mux)
{
	struct link *link = CONTAINER_OF(mux, struct link, mux);
	loop_defer(link->loop, &link->task);
}

static void called(
	struct mux *mux, struct link_call *call, const char *method, uint64_t deadline_ms)
{
	struct link *link = CONTAINER_OF(mux, struct link, mux);
	link->role->called(link, call, method, deadline_ms);
}

struct link *connection_new(struct link_loop *loop, const struct link_role_ops *role,
	const char *peer_name, unsigned streams_max)
{
	struct link *link = xcalloc(1, sizeof(*link));
	link->loop = loop;
	link->role = role;
	link->peer_name = xstrdup(peer_name);
	link->timer.run = run_timer;
	link->task.run = run_task;
	mux_init(&link->mux, role->role == HANDSHAKE_INITIATOR ? MUX_CALLER : MUX_CALLEE,
		streams_max);
	link->mux.wanted = wanted;
	link->mux.called = called;
	loop->owned++;
	return link;
}

void connection_begin(struct link *link, nng_stream *stream, const struct public_key *self)
{
	link->transport = transport_new(link->loop, stream, &transport_ops, link);
	if (!link->transport) {
		struct err err = ERR_INIT;
		err_set(&err, ERR_LIMIT, "no memory for a connection to %s", link->peer_name);
		connection_fail(link, &err);
		return;
	}
	uint8_t ephemeral[32];
	randombytes_buf(ephemeral, sizeof(ephemeral));
	link->handshake = xmalloc(sizeof(*link->handshake));
	handshake_init(link->handshake, link->role->role, self,
		link->role->role == HANDSHAKE_INITIATOR ? &link->pinned : NULL, link->peer_name,
		ephemeral);
	sodium_memzero(ephemeral, sizeof(ephemeral));
	link->state = LINK_SHAKING;
	if (link->role->role == HANDSHAKE_INITIATOR)
		handshake_start(link->handshake, &link->out);
	loop_defer(link->loop, &link->task);
	transport_resume(link->transport);
}
