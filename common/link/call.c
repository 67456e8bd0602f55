#include "common/link/call.h"

#include "common/base/mem.h"
#include "common/link/status.h"

#include <assert.h>

struct link_call *call_new(struct mux *mux, uint32_t stream)
{
	struct link_call *call = xcalloc(1, sizeof(*call));
	call->mux = mux;
	call->stream = stream;
	call->send_credit = LINK_STREAM_CREDIT;
	call->receive_credit = LINK_STREAM_CREDIT;
	STAILQ_INIT(&call->outgoing);
	TAILQ_INSERT_TAIL(&mux->calls, call, next);
	mux->count++;
	return call;
}

static void drop_outgoing(struct link_call *call)
{
	for (struct call_message *message; (message = STAILQ_FIRST(&call->outgoing));) {
		STAILQ_REMOVE_HEAD(&call->outgoing, next);
		free(message);
	}
	call->outgoing_bytes = 0;
	call->outgoing_done = 0;
}

void call_free(struct link_call *call)
{
	drop_outgoing(call);
	buf_release(&call->incoming);
	buf_release(&call->status);
	free(call->method);
	free(call);
}

void call_kill(struct link_call *call)
{
	if (call->phase == CALL_DEAD)
		return;
	call->phase = CALL_DEAD;
	call->mux->count--;
	call->mux->wanted(call->mux); /* somebody must sweep */
}

void call_finish(struct link_call *call, const struct err *reason)
{
	bool tell = call->phase == CALL_LIVE && call->ops;
	call_kill(call);
	if (tell)
		call->ops->ended(call, reason, call->user);
}

/* ---- the end, from this side ---- */

static void give_up(struct link_call *call)
{
	drop_outgoing(call);
	buf_release(&call->incoming);
	if (call->open_sent) {
		call->phase = CALL_CANCELLED;
		call->deadline_at_ms = 0;
		call->mux->wanted(call->mux);
	} else {
		call_kill(call);
	}
}

void call_end(struct link_call *call, const struct err *status)
{
	assert(call->mux->role == MUX_CALLEE);
	buf_clear(&call->status);
	status_encode(status, &call->status);
	call->end_wanted = true;
	call->phase = CALL_DRAINING;
	buf_release(&call->incoming);
	call->mux->wanted(call->mux);
}

void call_expire(struct link_call *call)
{
	enum call_phase phase = call->phase;
	if (phase != CALL_LIVE && phase != CALL_DRAINING)
		return;
	struct err err = ERR_INIT;
	err_set(&err, ERR_DEADLINE, "the deadline of %s passed",
		call->method ? call->method : "the call");
	call->deadline_at_ms = 0;
	if (call->mux->role == MUX_CALLER) {
		give_up(call);
	} else {
		drop_outgoing(call);
		call_end(call, &err);
	}
	if (phase == CALL_LIVE && call->ops)
		call->ops->ended(call, &err, call->user);
}

/* ---- frames in ---- */

static void grant(struct link_call *call, uint32_t bytes)
{
	call->owed += bytes;
	call->receive_credit += bytes;
	call->mux->wanted(call->mux);
}

/* A whole message; `held` grows instead of `owed` when the callback asks for it. */
static void deliver(struct link_call *call, struct bytes message)
{
	uint32_t cost = call->incoming_cost;
	call->incoming_cost = 0;
	call->hold = false;
	call->ops->message(call, message, call->user);
	if (call->phase != CALL_LIVE)
		return;
	if (call->hold)
		call->held += cost;
	else
		grant(call, cost);
	call->hold = false;
}

static int receive_data(struct link_call *call, const struct frame *frame, struct err *err)
{
	bool more = frame->flags & FRAME_MORE;
	uint32_t cost = frame_cost(frame->payload.len);
	if (call->peer_ended)
		return err_set(
			err, ERR_INVALID, "a message after the last on stream %u", call->stream);
	if (more && frame->payload.len != FRAME_PAYLOAD_MAX)
		return err_set(err, ERR_INVALID, "a piece of %zu bytes on stream %u",
			frame->payload.len, call->stream);
	if (cost > call->receive_credit)
		return err_set(
			err, ERR_INVALID, "more than was granted on stream %u", call->stream);
	if (call->incoming.len + frame->payload.len > LINK_MESSAGE_MAX)
		return err_set(err, ERR_INVALID, "a message of more than %d bytes on stream %u",
			LINK_MESSAGE_MAX, call->stream);
	call->receive_credit -= cost;
	if (call->phase != CALL_LIVE)
		return 0; /* nobody reads it; the credit is not given back */
	call->incoming_cost += cost;
	if (!more && call->incoming.len == 0) {
		deliver(call, frame->payload);
		return 0;
	}
	buf_append(&call->incoming, frame->payload.data, frame->payload.len);
	if (more)
		return 0;
	struct buf whole = call->incoming;
	call->incoming = (struct buf){0};
	deliver(call, buf_bytes(&whole));
	buf_release(&whole);
	return 0;
}

static int receive_credit(struct link_call *call, const struct frame *frame, struct err *err)
{
	call->send_credit += get_u32(frame->payload.data);
	if (call->send_credit > LINK_STREAM_CREDIT)
		return err_set(err, ERR_INVALID, "credit of %llu bytes on stream %u",
			(unsigned long long)call->send_credit, call->stream);
	call->mux->wanted(call->mux);
	return 0;
}

static int receive_half_close(struct link_call *call, const struct frame *frame, struct err *err)
{
	if (frame->payload.len != 0 || call->peer_ended || call->incoming.len > 0)
		return err_set(
			err, ERR_INVALID, "END frame out of turn on stream %u", call->stream);
	call->peer_ended = true;
	if (call->phase == CALL_LIVE && call->ops->half_closed)
		call->ops->half_closed(call, call->user);
	return 0;
}

static int receive_status(struct link_call *call, const struct frame *frame, struct err *err)
{
	struct err status = ERR_INIT;
	if (status_decode(frame->payload, &status, err) < 0)
		return -1;
	if (status.code == ERR_NONE && call->incoming.len > 0)
		return err_set(
			err, ERR_INVALID, "END frame within a message on stream %u", call->stream);
	call_finish(call, &status);
	return 0;
}

static int receive_cancel(struct link_call *call, const struct frame *frame, struct err *err)
{
	(void)frame;
	if (call->mux->role != MUX_CALLEE)
		return err_set(err, ERR_INVALID, "CANCEL frame from the callee on stream %u",
			call->stream);
	struct err cancelled = ERR_INIT;
	err_set(&cancelled, ERR_CANCELLED, "the caller gave up");
	call_finish(call, &cancelled);
	return 0;
}

int call_receive(struct link_call *call, const struct frame *frame, struct err *err)
{
	bool caller = call->mux->role == MUX_CALLER;
	if (frame->type == FRAME_DATA)
		return receive_data(call, frame, err);
	if (frame->type == FRAME_CREDIT)
		return receive_credit(call, frame, err);
	if (frame->type == FRAME_CANCEL)
		return receive_cancel(call, frame, err);
	return caller ? receive_status(call, frame, err) : receive_half_close(call, frame, err);
}

/* ---- frames out ---- */

static bool pull(
	struct link_call *call, enum frame_type type, struct bytes payload, struct buf *plain)
{
	struct frame frame = {.type = type, .stream = call->stream, .payload = payload};
	frame_encode(&frame, plain);
	return true;
}

static bool pull_open(struct link_call *call, uint64_t now_ms, struct buf *plain)
{
	uint64_t left = 0;
	if (call->deadline_at_ms)
		left = call->deadline_at_ms > now_ms ? call->deadline_at_ms - now_ms : 1;
	AUTO(buf) struct buf payload = {0};
	open_encode(call->method, left, &payload);
	call->open_sent = true;
	return pull(call, FRAME_OPEN, buf_bytes(&payload), plain);
}

static bool pull_credit(struct link_call *call, struct buf *plain)
{
	uint8_t payload[4];
	put_u32(payload, call->owed);
	call->owed = 0;
	return pull(call, FRAME_CREDIT, BYTES(payload, sizeof(payload)), plain);
}

bool call_pull_control(struct link_call *call, uint64_t now_ms, struct buf *plain)
{
	if (call->phase == CALL_CANCELLED) {
		call_kill(call);
		return pull(call, FRAME_CANCEL, BYTES(NULL, 0), plain);
	}
	if (call->phase != CALL_LIVE)
		return false;
	if (!call->open_sent)
		return pull_open(call, now_ms, plain);
	return call->owed > 0 && !call->peer_ended && pull_credit(call, plain);
}

/* An empty message takes memory too. */
static size_t weight(size_t len)
{
	return len < FRAME_COST_MIN ? FRAME_COST_MIN : len;
}

/* One frame of the first message. Only the last of a message is not full, so that its cost, and
 * with it the credit a message needs, does not depend on how much credit there was. */
static bool pull_message(struct link_call *call, struct call_message *message, struct buf *plain)
{
	size_t left = message->len - call->outgoing_done;
	size_t len = left < FRAME_PAYLOAD_MAX ? left : FRAME_PAYLOAD_MAX;
	if (call->send_credit < frame_cost(len))
		return false;
	call->send_credit -= frame_cost(len);
	struct frame frame = {
		.type = FRAME_DATA,
		.flags = len < left ? FRAME_MORE : 0,
		.stream = call->stream,
		.payload = BYTES(message->data + call->outgoing_done, len),
	};
	frame_encode(&frame, plain);
	call->outgoing_done += len;
	if (len < left)
		return true;
	STAILQ_REMOVE_HEAD(&call->outgoing, next);
	call->outgoing_bytes -= weight(message->len);
	call->outgoing_done = 0;
	call->drained = STAILQ_EMPTY(&call->outgoing);
	free(message);
	return true;
}

bool call_pull_data(struct link_call *call, struct buf *plain)
{
	if (call->phase != CALL_LIVE && call->phase != CALL_DRAINING)
		return false;
	struct call_message *message = STAILQ_FIRST(&call->outgoing);
	if (message)
		return pull_message(call, message, plain);
	if (!call->end_wanted)
		return false;
	call->end_wanted = false;
	if (call->mux->role == MUX_CALLEE)
		call_kill(call);
	return pull(call, FRAME_END, buf_bytes(&call->status), plain);
}

/* ---- the application's side ---- */

int link_call_send(struct link_call *call, struct bytes message, struct err *err)
{
	if (!call)
		return err_set(err, ERR_UNREACHABLE, "the link is lost");
	if (message.len > LINK_MESSAGE_MAX)
		return err_set(err, ERR_LIMIT, "a message of %zu bytes, at most %d are possible",
			message.len, LINK_MESSAGE_MAX);
	if (call->phase != CALL_LIVE || call->end_wanted)
		return err_set(err, ERR_INTERNAL, "a message on a call that has ended");
	if (!STAILQ_EMPTY(&call->outgoing) &&
		call->outgoing_bytes + weight(message.len) > LINK_STREAM_CREDIT)
		return LINK_SEND_BLOCKED;
	struct call_message *queued = xmalloc(sizeof(*queued) + message.len);
	queued->len = message.len;
	if (message.len)
		memcpy(queued->data, message.data, message.len);
	STAILQ_INSERT_TAIL(&call->outgoing, queued, next);
	call->outgoing_bytes += weight(message.len);
	call->mux->wanted(call->mux);
	return LINK_SEND_OK;
}

void link_call_hold(struct link_call *call)
{
	call->hold = true;
}

void link_call_release(struct link_call *call)
{
	uint32_t held = call->held;
	call->held = 0;
	if (held && call->phase == CALL_LIVE)
		grant(call, held);
}

void *link_call_user(const struct link_call *call)
{
	return call->user;
}

void link_call_set_user(struct link_call *call, void *user)
{
	call->user = user;
}

void link_call_half_close(struct link_call *call)
{
	if (!call || call->phase != CALL_LIVE)
		return;
	call->end_wanted = true;
	call->mux->wanted(call->mux);
}

void link_call_cancel(struct link_call *call)
{
	if (!call || call->phase != CALL_LIVE)
		return;
	if (call->mux->role == MUX_CALLER) {
		give_up(call);
		return;
	}
	struct err cancelled = ERR_INIT;
	err_set(&cancelled, ERR_CANCELLED, "the host gave up");
	call_end(call, &cancelled);
}

void link_call_accept(struct link_call *call, const struct link_call_ops *ops, void *user)
{
	call->ops = ops;
	call->user = user;
}

void link_call_end(struct link_call *call, const struct err *err)
{
	if (call && call->phase == CALL_LIVE)
		call_end(call, err);
}
