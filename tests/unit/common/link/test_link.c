#include "world.h"

static int open_world(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));
	world_open(world);
	*state = world;
	return 0;
}

static int close_world(void **state)
{
	world_close(*state);
	free(*state);
	return 0;
}

/* One unary call; its outcome is in seen. */
static void ask(struct world *world, struct link *link, const char *method, struct bytes request,
	struct seen *seen)
{
	struct err err = ERR_INIT;
	struct link_call *call = link_call_start(link, method, 5000, &call_ops, seen);
	assert_int_equal(link_call_send(call, request, &err), LINK_SEND_OK);
	link_call_half_close(call);
	unsigned before = seen->ended;
	WAIT_FOR(world, seen->ended > before);
}

static void answers_a_unary_call(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	WAIT_FOR(world, seen.opened);
	ask(world, link, "/t/Echo", BYTES_STR("hello"), &seen);
	assert_int_equal(seen.call_err.code, ERR_NONE);
	assert_int_equal(seen.messages, 1);
	assert_string_equal(buf_str(&seen.last), "hello");
	assert_true(world->deadline_ms > 0 && world->deadline_ms <= 5000);
	uint64_t sent = 0, received = 0;
	link_traffic(link, &sent, &received);
	assert_true(sent > 200 && received > 200 && sent < 1000 && received < 1000);
	link_close(link);
	buf_release(&seen.last);
}

static void calls_may_start_before_the_link_is_open(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	world->answers_late = true;
	struct link *link = dial(world, &seen);
	struct err err = ERR_INIT;
	struct link_call *call = link_call_start(link, "/t/Echo", 0, &call_ops, &seen);
	assert_int_equal(link_call_send(call, BYTES_STR("early"), &err), LINK_SEND_OK);
	link_call_half_close(call);
	WAIT_FOR(world, world->sign_request);
	answer_sign(world);
	WAIT_FOR(world, world->admit_request);
	assert_int_equal(world->called, 0);
	link_server_admit(world->server, world->admit_request, true);
	WAIT_FOR(world, seen.ended);
	assert_int_equal(seen.opened, 1);
	assert_string_equal(buf_str(&seen.last), "early");
	link_close(link);
	buf_release(&seen.last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
		CASE(answers_a_unary_call),
		CASE(calls_may_start_before_the_link_is_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
