/* The calls of a link: whatever frames come, and whatever the application does in between.
 *
 * Input: the role, then steps (the table below), each with its own bytes. Throughout: credit and
 * memory stay within their bounds, every frame sent is one that the peer would accept, a call
 * ends once, nothing is heard of it afterwards, and nothing is left when the link is lost. */
#include "common/link/mux.h"
#include "tests/fuzz/fuzz.h"

enum { CALLS_MAX = 64, STREAMS = 3 };

/* A call as the application sees it: NULL once it is over. */
struct held {
	struct link_call *call;
};

static struct bytes script;
static struct held calls[CALLS_MAX];
static size_t calls_count;
static uint64_t now_ms;
static uint8_t filler[LINK_MESSAGE_MAX];

static void on_message(struct link_call *call, struct bytes message, void *user);
static void on_half_closed(struct link_call *call, void *user);
static void on_writable(struct link_call *call, void *user);
static void on_ended(struct link_call *call, const struct err *err, void *user);

static const struct link_call_ops ops = {on_message, on_half_closed, on_writable, on_ended};

/* ---- what an application does with a call ---- */

static void do_nothing(struct held *held)
{
	(void)held;
}

static void do_send(struct held *held)
{
	size_t len = (size_t)fuzz_u8(&script) << (fuzz_u8(&script) % 11);
	int rc = link_call_send(held->call, BYTES(filler, len), NULL);
	MUST(len <= LINK_MESSAGE_MAX || rc < 0);
}

static void do_close(struct held *held)
{
	if (held->call->mux->role == MUX_CALLER) {
		link_call_half_close(held->call);
		return;
	}
	struct err status = ERR_INIT;
	if (fuzz_u8(&script) & 1)
		err_set(&status, ERR_FAILED, "it failed");
	link_call_end(TAKE(held->call), &status);
}

static void do_cancel(struct held *held)
{
	link_call_cancel(TAKE(held->call));
}

static void do_hold(struct held *held)
{
	link_call_hold(held->call);
}

static void do_release(struct held *held)
{
	link_call_release(held->call);
}

static void act(struct held *held)
{
	static void (*const acts[])(struct held *) = {
		do_nothing, do_send, do_close, do_cancel, do_hold, do_release};
	if (held->call)
		acts[fuzz_u8(&script) % ARRAY_LEN(acts)](held);
}

static void on_message(struct link_call *call, struct bytes message, void *user)
{
	struct held *held = user;
	MUST(held->call == call && message.len <= LINK_MESSAGE_MAX);
	act(held);
}

static void on_half_closed(struct link_call *call, void *user)
{
	struct held *held = user;
	MUST(held->call == call);
	act(held);
}

static void on_writable(struct link_call *call, void *user)
{
	struct held *held = user;
	MUST(held->call == call);
	act(held);
}

static void on_ended(struct link_call *call, const struct err *err, void *user)
{
	struct held *held = user;
	MUST(held->call == call && err);
	held->call = NULL;
}

static void called(struct mux *mux, struct link_call *call, const char *method, uint64_t deadline)
{
	(void)deadline;
	MUST(mux->role == MUX_CALLEE && method[0]);
	if (calls_count == CALLS_MAX || fuzz_u8(&script) % 4 == 3)
		return; /* nobody serves it */
	struct held *held = &calls[calls_count++];
	held->call = call;
	link_call_accept(call, &ops, held);
	act(held);
}

static void wanted(struct mux *mux)
{
	(void)mux;
}

/* ---- the steps ---- */

/* A payload of 255 stands for a full frame. */
static int step_frame(struct mux *mux)
{
	uint8_t head[3] = {fuzz_u8(&script), fuzz_u8(&script), fuzz_u8(&script)};
	uint8_t len = fuzz_u8(&script);
	struct bytes payload =
		len == 255 ? BYTES(filler, FRAME_PAYLOAD_MAX) : fuzz_take(&script, len);
	AUTO(buf) struct buf plain = {0};
	frame_encode(&(struct frame){.type = FRAME_DATA, .payload = payload}, &plain);
	plain.data[0] = head[0] % (FRAME_TYPE_COUNT + 1);
	plain.data[1] = head[1];
	plain.data[2] = head[2];
	struct frame frame;
	if (frame_decode(buf_bytes(&plain), &frame, NULL) < 0)
		return 0;
	struct err err = ERR_INIT;
	int rc = mux_receive(mux, &frame, now_ms, &err);
	MUST(rc == 0 || err.code == ERR_INVALID || err.code == ERR_LIMIT);
	return rc;
}

static int step_pull(struct mux *mux)
{
	AUTO(buf) struct buf plain = {0};
	struct frame frame;
	if (!mux_pull(mux, now_ms, &plain))
		return 0;
	MUST(frame_decode(buf_bytes(&plain), &frame, NULL) == 0);
	char method[METHOD_MAX + 1];
	uint64_t deadline;
	MUST(frame.type != FRAME_OPEN || open_decode(frame.payload, method, &deadline, NULL) == 0);
	return 0;
}

static int step_time(struct mux *mux)
{
	now_ms += fuzz_u16(&script);
	mux_tick(mux, now_ms);
	uint64_t deadline = mux_deadline(mux);
	MUST(deadline == 0 || deadline > now_ms);
	return 0;
}

static int step_notify(struct mux *mux)
{
	mux_notify(mux);
	return 0;
}

static int step_sweep(struct mux *mux)
{
	mux_sweep(mux);
	return 0;
}

static int step_start(struct mux *mux)
{
	if (mux->role != MUX_CALLER || calls_count == CALLS_MAX)
		return 0;
	uint16_t wait = fuzz_u16(&script);
	struct held *held = &calls[calls_count++];
	held->call =
		mux_start(mux, "/fairlead.v1.Agent/Watch", wait ? now_ms + wait : 0, &ops, held);
	MUST(held->call);
	return 0;
}

static int step_act(struct mux *mux)
{
	(void)mux;
	if (calls_count > 0)
		act(&calls[fuzz_u8(&script) % calls_count]);
	return 0;
}

static int step_ping(struct mux *mux)
{
	mux_ping(mux);
	return 0;
}

static int (*const steps[])(struct mux *) = {
	step_frame, step_pull, step_time, step_notify, step_sweep, step_start, step_act, step_ping};

static void check(const struct mux *mux)
{
	unsigned count = 0;
	const struct link_call *call;
	TAILQ_FOREACH(call, &mux->calls, next)
	{
		count += call->phase != CALL_DEAD;
		MUST(call->receive_credit <= LINK_STREAM_CREDIT);
		MUST(call->send_credit <= LINK_STREAM_CREDIT);
		MUST(call->incoming.len <= LINK_MESSAGE_MAX);
		MUST(call->outgoing_bytes <= LINK_STREAM_CREDIT);
	}
	MUST(count == mux->count);
}

void fuzz_one(struct bytes in)
{
	struct mux mux;
	script = in;
	calls_count = 0;
	now_ms = 1000;
	mux_init(&mux, fuzz_u8(&script) & 1 ? MUX_CALLEE : MUX_CALLER, STREAMS);
	mux.called = called;
	mux.wanted = wanted;
	while (script.len > 0) {
		int rc = steps[fuzz_u8(&script) % ARRAY_LEN(steps)](&mux);
		if (rc < 0)
			break;
		check(&mux);
	}
	struct err lost = ERR_INIT;
	err_set(&lost, ERR_UNREACHABLE, "the link is lost");
	mux_lost(&mux, &lost);
	for (size_t i = 0; i < calls_count; i++)
		MUST(!calls[i].call);
	mux_release(&mux);
	MUST(TAILQ_EMPTY(&mux.calls));
}

void fuzz_seeds(void)
{
	enum { OPEN = FRAME_OPEN, DATA = FRAME_DATA, CREDIT = FRAME_CREDIT, END = FRAME_END };
	static const uint8_t callee[] = {1,                                          /* role */
		0, OPEN, 0, 1, 10, 0, 1, 0, 0, 0, 0, 0, 0, '/', 'M', 0, 1, 9, 0,     /* answers */
		0, DATA, 0, 1, 3, 'a', 'b', 'c', 0, 1, 1, 0, END, 0, 1, 0, 2, 1, 4}; /* and ends */
	static const uint8_t whole[] = {1, 0, OPEN, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, '/', 0, 0, 0,
		DATA, 1, 1, 255, 0, DATA, 1, 1, 255, 0, DATA, 0, 1, 1, 'x', 4, 1, 6, 0, 5, 1};
	static const uint8_t caller[] = {0, 5, 0, 0, 1, 6, 0, 1, 200, 10, 1, 1, 3, 0, CREDIT, 0, 1,
		4, 16, 0, 0, 0, 0, DATA, 0, 1, 2, 'o', 'k', 0, 0, END, 0, 1, 4, 0, 0, 0, 0, 4};
	static const uint8_t late[] = {0, 5, 9, 0, 5, 0, 0, 1, 1, 2, 10, 0, 1, 4, 6, 1, 3, 1, 4, 7};
	fuzz_seed("callee", BYTES(callee, sizeof(callee)));
	fuzz_seed("whole", BYTES(whole, sizeof(whole)));
	fuzz_seed("caller", BYTES(caller, sizeof(caller)));
	fuzz_seed("late", BYTES(late, sizeof(late)));
}
