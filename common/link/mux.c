#include "common/link/mux.h"

#include "common/base/mem.h"
#include "common/link/call.h"

#include <assert.h>

/* Streams that are refused or drain count too: a caller that opens far more than it may, and
 * never reads what it is told, is cut off. */
enum { STREAMS_ABUSE = 4 };

void mux_init(struct mux *mux, enum mux_role role, unsigned streams_max)
{
	*mux = (struct mux){.role = role, .streams_max = streams_max};
	TAILQ_INIT(&mux->calls);
}

void mux_release(struct mux *mux)
{
	mux_drop(mux);
	mux_sweep(mux);
}

void mux_sweep(struct mux *mux)
{
	struct link_call *next;
	for (struct link_call *call = TAILQ_FIRST(&mux->calls); call; call = next) {
		next = TAILQ_NEXT(call, next);
		if (call->phase != CALL_DEAD)
			continue;
		TAILQ_REMOVE(&mux->calls, call, next);
		call_free(call);
	}
}

void mux_drop(struct mux *mux)
{
	mux->dropped = true;
	struct link_call *call;
	TAILQ_FOREACH(call, &mux->calls, next)
	call_kill(call);
}

void mux_lost(struct mux *mux, const struct err *reason)
{
	mux->dropped = true;
	struct link_call *call;
	TAILQ_FOREACH(call, &mux->calls, next)
	call_finish(call, reason);
}

struct link_call *mux_start(struct mux *mux, const char *method, uint64_t deadline_at_ms,
	const struct link_call_ops *ops, void *user)
{
	assert(mux->role == MUX_CALLER && strlen(method) <= METHOD_MAX);
	if (mux->dropped || mux->last_stream > UINT32_MAX - 3)
		return NULL;
	mux->last_stream = mux->last_stream ? mux->last_stream + 2 : 1;
	struct link_call *call = call_new(mux, mux->last_stream);
	call->method = xstrdup(method);
	call->deadline_at_ms = deadline_at_ms;
	call->ops = ops;
	call->user = user;
	mux->wanted(mux);
	return call;
}

static struct link_call *find(const struct mux *mux, uint32_t stream)
{
	struct link_call *call;
	TAILQ_FOREACH(call, &mux->calls, next)
	if (call->stream == stream)
		return call->phase == CALL_DEAD ? NULL : call;
	return NULL;
}

static int receive_open(
	struct mux *mux, const struct frame *frame, uint64_t now_ms, struct err *err)
{
	char method[METHOD_MAX + 1];
	uint64_t deadline_ms = 0;
	if (mux->role != MUX_CALLEE || frame->stream % 2 == 0 || frame->stream <= mux->last_stream)
		return err_set(err, ERR_INVALID, "stream %u cannot be opened", frame->stream);
	if (open_decode(frame->payload, method, &deadline_ms, err) < 0)
		return -1;
	if (mux->count >= STREAMS_ABUSE * mux->streams_max)
		return err_set(err, ERR_LIMIT, "more than %u streams at once",
			STREAMS_ABUSE * mux->streams_max);
	mux->last_stream = frame->stream;
	struct link_call *call = call_new(mux, frame->stream);
	call->open_sent = true;
	if (mux->count > mux->streams_max) {
		struct err busy = ERR_INIT;
		err_set(&busy, ERR_LIMIT, "more than %u calls at once", mux->streams_max);
		call_end(call, &busy);
		return 0;
	}
	/* A deadline beyond any clock is none. */
	if (deadline_ms && deadline_ms < UINT64_MAX - now_ms)
		call->deadline_at_ms = now_ms + deadline_ms;
	mux->called(mux, call, method, deadline_ms);
	if (call->phase == CALL_LIVE && !call->ops) {
		struct err unserved = ERR_INIT;
		err_set(&unserved, ERR_UNSUPPORTED, "nobody serves '%s'", method);
		call_end(call, &unserved);
	}
	return 0;
}

static int receive_on_stream(struct mux *mux, const struct frame *frame, struct err *err)
{
	struct link_call *call = find(mux, frame->stream);
	if (call)
		return call_receive(call, frame, err);
	if (frame->stream % 2 == 0 || frame->stream > mux->last_stream)
		return err_set(err, ERR_INVALID, "%s frame on stream %u that was never opened",
			frame_name(frame->type), frame->stream);
	return 0; /* it crossed with the end of that stream */
}

int mux_receive(struct mux *mux, const struct frame *frame, uint64_t now_ms, struct err *err)
{
	switch (frame->type) {
	case FRAME_OPEN:
		return receive_open(mux, frame, now_ms, err);
	case FRAME_DATA:
	case FRAME_CREDIT:
	case FRAME_END:
	case FRAME_CANCEL:
		return receive_on_stream(mux, frame, err);
	case FRAME_PING:
		memcpy(mux->pong, frame->payload.data, sizeof(mux->pong));
		mux->pong_wanted = true;
		mux->wanted(mux);
		return 0;
	case FRAME_PONG:
		return 0; /* that it came is all it says */
	case FRAME_ADMIT:
	case FRAME_GOAWAY:
	case FRAME_TYPE_COUNT:
		break;
	}
	return err_set(err, ERR_INVALID, "%s frame out of turn", frame_name(frame->type));
}

/* Control frames of the link, then of the streams, then data, one stream after the other. */
bool mux_pull(struct mux *mux, uint64_t now_ms, struct buf *plain)
{
	static const uint8_t zero[8];
	struct frame frame = {0};
	if (mux->pong_wanted) {
		mux->pong_wanted = false;
		frame.type = FRAME_PONG;
		frame.payload = BYTES(mux->pong, sizeof(mux->pong));
	} else if (mux->ping_wanted) {
		mux->ping_wanted = false;
		frame.type = FRAME_PING;
		frame.payload = BYTES(zero, sizeof(zero));
	}
	if (frame.type) {
		frame_encode(&frame, plain);
		return true;
	}
	struct link_call *call;
	TAILQ_FOREACH(call, &mux->calls, next)
	if (call_pull_control(call, now_ms, plain))
		return true;
	TAILQ_FOREACH(call, &mux->calls, next)
	{
		if (!call_pull_data(call, plain))
			continue;
		TAILQ_REMOVE(&mux->calls, call, next);
		TAILQ_INSERT_TAIL(&mux->calls, call, next);
		return true;
	}
	return false;
}

void mux_notify(struct mux *mux)
{
	struct link_call *call;
	TAILQ_FOREACH(call, &mux->calls, next)
	{
		bool drained = call->drained && call->outgoing_bytes == 0;
		call->drained = false;
		if (drained && call->phase == CALL_LIVE && call->ops && call->ops->writable)
			call->ops->writable(call, call->user);
	}
}

void mux_tick(struct mux *mux, uint64_t now_ms)
{
	struct link_call *call;
	TAILQ_FOREACH(call, &mux->calls, next)
	if (call->deadline_at_ms && call->deadline_at_ms <= now_ms)
		call_expire(call);
}

uint64_t mux_deadline(const struct mux *mux)
{
	uint64_t first = 0;
	const struct link_call *call;
	TAILQ_FOREACH(call, &mux->calls, next)
	{
		bool counts = call->deadline_at_ms && call->phase != CALL_DEAD;
		if (counts && (!first || call->deadline_at_ms < first))
			first = call->deadline_at_ms;
	}
	return first;
}

void mux_ping(struct mux *mux)
{
	mux->ping_wanted = true;
	mux->wanted(mux);
}
