/* Two ends of a link without a link: frames are carried from one mux to the other by hand, so
 * their order, and what is there and what is not, can be seen one by one. */
#include "common/base/mem.h"
#include "common/link/mux.h"
#include "common/link/status.h"

#include <setjmp.h>

#include <cmocka.h>

struct end {
	struct mux mux;
	struct link_call *call; /* callee: the last one opened */
	unsigned messages, half_closed, ended;
	enum err_code code;
	bool holds, refuses;
};

struct ends {
	struct end caller, callee;
	uint64_t now_ms;
};

static void on_message(struct link_call *call, struct bytes message, void *user)
{
	struct end *end = user;
	(void)message;
	end->messages++;
	if (end->holds)
		link_call_hold(call);
}

static void on_half_closed(struct link_call *call, void *user)
{
	(void)call;
	((struct end *)user)->half_closed++;
}

static void on_ended(struct link_call *call, const struct err *err, void *user)
{
	struct end *end = user;
	(void)call;
	end->ended++;
	end->code = err->code;
}

static const struct link_call_ops ops = {on_message, on_half_closed, NULL, on_ended};

static void on_wanted(struct mux *mux)
{
	(void)mux;
}

static void on_called(
	struct mux *mux, struct link_call *call, const char *method, uint64_t deadline_ms)
{
	struct end *end = (struct end *)(void *)mux;
	(void)method;
	(void)deadline_ms;
	end->call = call;
	if (!end->refuses)
		link_call_accept(call, &ops, end);
}

static int open_ends(void **state)
{
	struct ends *ends = xcalloc(1, sizeof(*ends));
	mux_init(&ends->caller.mux, MUX_CALLER, 0);
	mux_init(&ends->callee.mux, MUX_CALLEE, 4);
	ends->caller.mux.wanted = ends->callee.mux.wanted = on_wanted;
	ends->caller.mux.called = ends->callee.mux.called = on_called;
	ends->now_ms = 1000;
	*state = ends;
	return 0;
}

static int close_ends(void **state)
{
	struct ends *ends = *state;
	mux_release(&ends->caller.mux);
	mux_release(&ends->callee.mux);
	free(ends);
	return 0;
}

static struct link_call *start(struct ends *ends, const char *message)
{
	struct err err = ERR_INIT;
	struct link_call *call = mux_start(&ends->caller.mux, "/t/T", 0, &ops, &ends->caller);
	if (message)
		assert_int_equal(link_call_send(call, BYTES_STR(message), &err), LINK_SEND_OK);
	return call;
}

/* One frame from `from` to `to`; its type, 0 for none. */
static int carry(struct ends *ends, struct end *from, struct end *to)
{
	struct err err = ERR_INIT;
	struct frame frame;
	AUTO(buf) struct buf plain = {0};
	if (!mux_pull(&from->mux, ends->now_ms, &plain))
		return 0;
	assert_int_equal(frame_decode(buf_bytes(&plain), &frame, &err), 0);
	if (mux_receive(&to->mux, &frame, ends->now_ms, &err) < 0)
		fail_msg("%s", err.message);
	return (int)frame.type;
}

static void carry_all(struct ends *ends)
{
	while (carry(ends, &ends->caller, &ends->callee) ||
		carry(ends, &ends->callee, &ends->caller))
		;
	mux_sweep(&ends->caller.mux);
	mux_sweep(&ends->callee.mux);
}

static void expect_refused(struct end *end, struct frame frame, enum err_code code)
{
	struct err err = ERR_INIT;
	assert_true(mux_receive(&end->mux, &frame, 0, &err) < 0);
	assert_int_equal(err.code, code);
}

static void a_call_is_opened_before_anything_else(void **state)
{
	struct ends *ends = *state;
	link_call_half_close(start(ends, "message"));
	static const int order[] = {FRAME_OPEN, FRAME_DATA, FRAME_END, 0};
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		assert_int_equal(carry(ends, &ends->caller, &ends->callee), order[i]);
	assert_int_equal(ends->callee.messages, 1);
	assert_int_equal(ends->callee.half_closed, 1);
}

static void control_frames_go_first_and_streams_take_turns(void **state)
{
	struct ends *ends = *state;
	struct err err = ERR_INIT;
	static uint8_t large[3 * FRAME_PAYLOAD_MAX];
	struct link_call *a = start(ends, NULL), *b = start(ends, NULL);
	link_call_send(a, BYTES(large, sizeof(large)), &err);
	link_call_send(b, BYTES_STR("small"), &err);
	assert_int_equal(carry(ends, &ends->caller, &ends->callee), FRAME_OPEN);
	assert_int_equal(carry(ends, &ends->caller, &ends->callee), FRAME_OPEN);
	assert_int_equal(carry(ends, &ends->caller, &ends->callee), FRAME_DATA);
	assert_int_equal(ends->callee.messages, 0);
	mux_ping(&ends->caller.mux);
	assert_int_equal(carry(ends, &ends->caller, &ends->callee), FRAME_PING);
	assert_int_equal(carry(ends, &ends->callee, &ends->caller), FRAME_PONG);
	assert_int_equal(carry(ends, &ends->caller, &ends->callee), FRAME_DATA);
	assert_int_equal(ends->callee.messages, 1); /* the small one overtook */
	struct link_call *late = start(ends, NULL);
	assert_int_equal(carry(ends, &ends->caller, &ends->callee), FRAME_OPEN);
	link_call_cancel(late);
	assert_int_equal(carry(ends, &ends->caller, &ends->callee), FRAME_CANCEL);
	assert_int_equal(ends->callee.code, ERR_CANCELLED);
	carry_all(ends);
	assert_int_equal(ends->callee.messages, 2);
}

static void a_sender_stops_where_the_credit_ends(void **state)
{
	struct ends *ends = *state;
	struct err err = ERR_INIT;
	static uint8_t message[LINK_MESSAGE_MAX];
	ends->callee.holds = true;
	struct link_call *call = start(ends, NULL);
	link_call_send(call, BYTES(message, sizeof(message)), &err);
	carry_all(ends);
	assert_int_equal(ends->callee.messages, 1); /* the largest just fits */
	assert_int_equal(link_call_send(call, BYTES(message, 0), &err), LINK_SEND_OK);
	carry_all(ends);
	assert_int_equal(ends->callee.messages, 1);
	link_call_release(ends->callee.call);
	assert_int_equal(carry(ends, &ends->callee, &ends->caller), FRAME_CREDIT);
	carry_all(ends);
	assert_int_equal(ends->callee.messages, 2);
	/* More credit than there can be is a lie. */
	expect_refused(&ends->caller,
		(struct frame){
			.type = FRAME_CREDIT, .stream = 1, .payload = BYTES("\xff\xff\xff\x7f", 4)},
		ERR_INVALID);
}

static void streams_have_a_limit_and_abuse_an_end(void **state)
{
	struct ends *ends = *state;
	AUTO(buf) struct buf open = {0};
	open_encode("/t/T", 0, &open);
	struct frame frame = {.type = FRAME_OPEN, .payload = buf_bytes(&open)};
	for (uint32_t i = 0; i < 16; i++) {
		struct err err = ERR_INIT;
		frame.stream = 2 * i + 1;
		assert_int_equal(mux_receive(&ends->callee.mux, &frame, 0, &err), 0);
	}
	/* Nobody reads the ENDs of the 12 that were too many. */
	frame.stream = 33;
	expect_refused(&ends->callee, frame, ERR_LIMIT);
}

static void an_end_belongs_to_its_side(void **state)
{
	struct ends *ends = *state;
	struct err err = ERR_INIT;
	static uint8_t piece[FRAME_PAYLOAD_MAX];
	static const uint8_t ok[4];
	start(ends, "request");
	carry_all(ends);
	expect_refused(&ends->caller, (struct frame){.type = FRAME_END, .stream = 1}, ERR_INVALID);
	expect_refused(
		&ends->caller, (struct frame){.type = FRAME_CANCEL, .stream = 1}, ERR_INVALID);
	expect_refused(&ends->callee,
		(struct frame){.type = FRAME_END, .stream = 1, .payload = BYTES(ok, 4)},
		ERR_INVALID);
	/* An OK in the middle of a message cannot be. */
	struct frame part = {.type = FRAME_DATA,
		.flags = FRAME_MORE,
		.stream = 1,
		.payload = BYTES(piece, sizeof(piece))};
	assert_int_equal(mux_receive(&ends->caller.mux, &part, 0, &err), 0);
	expect_refused(&ends->caller,
		(struct frame){.type = FRAME_END, .stream = 1, .payload = BYTES(ok, 4)},
		ERR_INVALID);
	assert_int_equal(mux_receive(&ends->callee.mux, &part, 0, &err), 0);
	expect_refused(&ends->callee, (struct frame){.type = FRAME_END, .stream = 1}, ERR_INVALID);
	assert_int_equal(ends->callee.half_closed, 0);
}

static void what_crosses_with_the_end_is_ignored(void **state)
{
	struct ends *ends = *state;
	struct err err = ERR_INIT, busy = ERR_INIT;
	struct link_call *call = start(ends, "one");
	carry_all(ends);
	err_set(&busy, ERR_LOCKED, "busy");
	link_call_end(ends->callee.call, &busy);
	link_call_send(call, BYTES_STR("two"), &err);
	link_call_half_close(call);
	carry_all(ends);
	assert_int_equal(ends->caller.code, ERR_LOCKED);
	assert_int_equal(ends->callee.messages, 1);
	assert_int_equal(ends->callee.half_closed, 0);
	assert_int_equal(ends->callee.ended, 0);
	assert_int_equal(ends->callee.mux.count, 0);
	struct frame late = {.type = FRAME_DATA, .stream = 1};
	assert_int_equal(mux_receive(&ends->callee.mux, &late, 0, &err), 0);
	late.stream = 3;
	expect_refused(&ends->callee, late, ERR_INVALID);
}

static void an_unserved_call_is_refused(void **state)
{
	struct ends *ends = *state;
	ends->callee.refuses = true;
	start(ends, "request");
	carry_all(ends);
	assert_int_equal(ends->caller.ended, 1);
	assert_int_equal(ends->caller.code, ERR_UNSUPPORTED);
}

static void a_deadline_is_the_time_that_is_left(void **state)
{
	struct ends *ends = *state;
	mux_start(&ends->caller.mux, "/t/T", 5000, &ops, &ends->caller);
	ends->now_ms = 3000; /* it waited for the link */
	carry_all(ends);
	assert_int_equal(mux_deadline(&ends->callee.mux), 5000);
	mux_tick(&ends->callee.mux, 4999);
	assert_int_equal(ends->callee.ended, 0);
	mux_tick(&ends->callee.mux, 5000);
	assert_int_equal(ends->callee.code, ERR_DEADLINE);
	assert_int_equal(mux_deadline(&ends->callee.mux), 0);
	carry_all(ends);
	assert_int_equal(ends->caller.code, ERR_DEADLINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_ends, close_ends)
		CASE(a_call_is_opened_before_anything_else),
		CASE(control_frames_go_first_and_streams_take_turns),
		CASE(a_sender_stops_where_the_credit_ends),
		CASE(streams_have_a_limit_and_abuse_an_end),
		CASE(an_end_belongs_to_its_side),
		CASE(what_crosses_with_the_end_is_ignored),
		CASE(an_unserved_call_is_refused),
		CASE(a_deadline_is_the_time_that_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
