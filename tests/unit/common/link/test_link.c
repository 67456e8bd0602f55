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

static void carries_a_client_stream(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct err err = ERR_INIT;
	enum { MESSAGES = 100 };
	static uint8_t chunk[LINK_MESSAGE_MAX];
	struct link *link = dial(world, &seen);
	struct link_call *call = link_call_start(link, "/t/Count", 0, &call_ops, &seen);
	for (int i = 0; i < MESSAGES;) {
		int rc = link_call_send(call, BYTES(chunk, sizeof(chunk)), &err);
		assert_true(rc >= 0);
		unsigned before = seen.writable;
		if (rc == LINK_SEND_OK)
			i++;
		else
			WAIT_FOR(world, seen.writable > before);
	}
	assert_int_equal(link_call_send(call, BYTES(chunk, 0), &err), LINK_SEND_BLOCKED);
	WAIT_FOR(world, world->received == MESSAGES);
	assert_int_equal(link_call_send(call, BYTES(chunk, 0), &err), LINK_SEND_OK);
	link_call_half_close(call);
	assert_true(link_call_send(call, BYTES(chunk, 1), &err) < 0);
	WAIT_FOR(world, seen.ended);
	assert_int_equal(seen.call_err.code, ERR_NONE);
	assert_int_equal(world->received, MESSAGES + 1);
	assert_int_equal(get_u64(seen.last.data), (uint64_t)MESSAGES * sizeof(chunk));
	link_close(link);
	buf_release(&seen.last);
}

static void carries_a_server_stream(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	link_call_half_close(link_call_start(link, "/t/Pour", 0, &call_ops, &seen));
	WAIT_FOR(world, seen.ended);
	assert_int_equal(seen.call_err.code, ERR_NONE);
	assert_int_equal(seen.messages, POUR_MESSAGES);
	assert_int_equal(seen.bytes, POUR_MESSAGES * 100000);
	assert_int_equal(seen.last.data[0], 1); /* they count down */
	link_close(link);
	buf_release(&seen.last);
}

static void carries_an_error_whole(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	ask(world, link, "/t/Fail", BYTES_STR(""), &seen);
	assert_int_equal(seen.call_err.code, ERR_LOCKED);
	assert_string_equal(seen.call_err.message, "held by 'ci'");
	assert_string_equal(seen.call_err.hint, "Wait for it.");
	ask(world, link, "/t/Nothing", BYTES_STR(""), &seen);
	assert_int_equal(seen.call_err.code, ERR_UNSUPPORTED);
	ask(world, link, "/t/Echo", BYTES_STR("still fine"), &seen);
	assert_int_equal(seen.call_err.code, ERR_NONE);
	struct err err = ERR_INIT;
	struct link_call *call = link_call_start(link, "/t/Echo", 0, &call_ops, &seen);
	AUTO_FREE uint8_t *large = xcalloc(1, LINK_MESSAGE_MAX + 1);
	assert_true(link_call_send(call, BYTES(large, LINK_MESSAGE_MAX + 1), &err) < 0);
	assert_int_equal(err.code, ERR_LIMIT);
	link_close(link);
	buf_release(&seen.last);
}

/* A receiver that holds its credit stops the sender, and nobody else. */
static void credit_holds_the_sender_back(void **state)
{
	struct world *world = *state;
	struct seen seen = {0}, other = {0};
	struct err err = ERR_INIT;
	static uint8_t chunk[60000];
	struct link *link = dial(world, &seen);
	struct link_call *call = link_call_start(link, "/t/Hold", 0, &call_ops, &seen);
	unsigned sent = 0;
	while (link_call_send(call, BYTES(chunk, sizeof(chunk)), &err) == LINK_SEND_OK)
		sent++;
	assert_int_equal(sent, 4); /* what the queue takes before it has to wait */
	WAIT_FOR(world, seen.writable == 1);
	while (link_call_send(call, BYTES(chunk, sizeof(chunk)), &err) == LINK_SEND_OK)
		sent++;
	ask(world, link, "/t/Echo", BYTES_STR("past it"), &other);
	assert_int_equal(other.call_err.code, ERR_NONE);
	assert_int_equal(seen.writable, 1);
	assert_int_equal(world->received_bytes - 7, 4 * sizeof(chunk));
	assert_true(world->received_bytes - 7 <= LINK_STREAM_CREDIT);
	link_call_release(world->held);
	WAIT_FOR(world, seen.writable == 2);
	WAIT_FOR(world, world->received_bytes - 7 == sent * sizeof(chunk));
	link_call_half_close(call);
	WAIT_FOR(world, seen.ended);
	assert_int_equal(get_u64(seen.last.data), sent * sizeof(chunk));
	link_close(link);
	buf_release(&seen.last);
	buf_release(&other.last);
}

static void a_deadline_ends_both_sides(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	link_call_half_close(link_call_start(link, "/t/Stall", 4000, &call_ops, &seen));
	WAIT_FOR(world, world->called);
	assert_true(world->deadline_ms > 0 && world->deadline_ms <= 4000);
	loop_advance(world->loop, 3000);
	link_loop_wait(world->loop, 0);
	assert_int_equal(seen.ended, 0);
	loop_advance(world->loop, 1001);
	WAIT_FOR(world, seen.ended && world->cancelled);
	assert_int_equal(seen.call_err.code, ERR_DEADLINE);
	assert_int_equal(world->cancel_code, ERR_DEADLINE);
	ask(world, link, "/t/Echo", BYTES_STR("still fine"), &seen);
	assert_int_equal(seen.call_err.code, ERR_NONE);
	link_close(link);
	buf_release(&seen.last);
}

static void a_cancel_reaches_the_server(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	struct link_call *call = link_call_start(link, "/t/Stall", 0, &call_ops, &seen);
	link_call_half_close(call);
	WAIT_FOR(world, world->called);
	link_call_cancel(call);
	WAIT_FOR(world, world->cancelled);
	assert_int_equal(world->cancel_code, ERR_CANCELLED);
	assert_int_equal(seen.ended, 0);
	/* Cancelled before it was opened: the server never hears of it. */
	link_call_cancel(link_call_start(link, "/t/Stall", 0, &call_ops, &seen));
	ask(world, link, "/t/Echo", BYTES_STR("x"), &seen);
	assert_int_equal(world->called, 2);
	link_close(link);
	buf_release(&seen.last);
}

/* Its own end, from inside its own callbacks. */
static void objects_may_end_inside_of_callbacks(void **state)
{
	struct world *world = *state;
	struct seen seen = {0}, second = {0}, witness = {0};
	struct link *link = dial(world, &seen);
	link_call_half_close(link_call_start(link, "/t/Pour", 0, &call_ops, &seen));
	seen.cancel_on_message = link_call_start(link, "/t/Pour", 0, &call_ops, &second);
	link_call_half_close(seen.cancel_on_message);
	WAIT_FOR(world, seen.messages == 1);
	seen.cancel_on_message = NULL;
	seen.close_on_message = link; /* with the next one */
	WAIT_FOR(world, !seen.close_on_message);
	assert_int_equal(second.ended, 0);

	struct link *lost = dial(world, &witness);
	struct seen first = {.close_on_ended = lost};
	struct link_call *one = link_call_start(lost, "/t/Stall", 0, &call_ops, &first);
	link_call_start(lost, "/t/Stall", 0, &call_ops, &second);
	unsigned called = world->called;
	WAIT_FOR(world, world->called == called + 2);
	assert_non_null(one);
	link_server_free(TAKE(world->server));
	WAIT_FOR(world, first.ended);
	assert_int_equal(first.call_err.code, ERR_UNREACHABLE);
	link_loop_wait(world->loop, 10);
	assert_int_equal(witness.closed, 0); /* closed by its owner: silent */
	assert_int_equal(second.ended, 0);
	buf_release(&seen.last);
	buf_release(&second.last);
}

static void calls_end_before_their_link(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	link_call_start(link, "/t/Stall", 0, &call_ops, &seen);
	WAIT_FOR(world, world->called);
	link_server_free(TAKE(world->server));
	WAIT_FOR(world, seen.closed);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.call_err.code, ERR_UNREACHABLE);
	assert_int_equal(seen.link_err.code, ERR_UNREACHABLE);
	assert_non_null(strstr(seen.link_err.message, "the host shuts down"));
	assert_int_equal(world->cancelled, 0);
}

static void the_server_hears_of_a_lost_link(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	link_call_start(link, "/t/Stall", 0, &call_ops, &seen);
	WAIT_FOR(world, world->called);
	link_close(link);
	WAIT_FOR(world, world->cancelled);
	assert_int_equal(world->cancel_code, ERR_UNREACHABLE);
	assert_int_equal(seen.ended, 0);
}

static void an_idle_link_is_kept_by_pings(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	WAIT_FOR(world, seen.opened);
	for (int i = 0; i < 5; i++) {
		uint64_t sent = 0, received = 0, now = 0;
		link_traffic(link, &sent, &received);
		loop_advance(world->loop, LINK_PING_INTERVAL_MS + 1);
		WAIT_FOR(world, (link_traffic(link, &sent, &now), now > received));
		ask(world, link, "/t/Echo", BYTES_STR("x"), &seen); /* both have heard */
		assert_int_equal(seen.call_err.code, ERR_NONE);
	}
	assert_int_equal(seen.closed, 0);
	link_close(link);
	buf_release(&seen.last);
}

static void a_wrong_host_key_is_named(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	dial_as(world, world->user, world->stranger, &seen);
	WAIT_FOR(world, seen.closed);
	char found[KEY_TEXT_SIZE], expected[KEY_TEXT_SIZE];
	AUTO_FREE char *message = xasprintf("host key of %s is %s, expected %s", world->address,
		public_key_text(signing_key_public(world->host), found),
		public_key_text(signing_key_public(world->stranger), expected));
	assert_int_equal(seen.link_err.code, ERR_AUTH);
	assert_string_equal(seen.link_err.message, message);
	assert_int_equal(seen.opened, 0);
	assert_int_equal(world->admit_request, 0); /* the host does not learn who asked */
}

static void a_stranger_reads_why(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *link = dial_as(world, world->stranger, world->host, &seen);
	link_call_start(link, "/t/Echo", 0, &call_ops, &seen);
	WAIT_FOR(world, seen.closed);
	assert_int_equal(seen.link_err.code, ERR_AUTH);
	assert_non_null(strstr(seen.link_err.message, "does not let in key ed25519:"));
	assert_non_null(strstr(seen.link_err.hint, "policy"));
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.opened, 0);
	assert_int_equal(world->called, 0); /* although the call went out early */
}

static void a_bad_address_is_reported_from_the_loop(void **state)
{
	struct world *world = *state;
	static const struct {
		const char *address;
		enum err_code code;
	} cases[] = {
		{"nonsense", ERR_CONFIG},
		{"10.0.0.1:99999", ERR_CONFIG},
		{"host name:1", ERR_CONFIG},
		{"http://x:1", ERR_CONFIG},
		{":7443", ERR_CONFIG},
		{"127.0.0.1:1", ERR_UNREACHABLE},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seen seen = {0};
		link_dial(world->loop, cases[i].address, world->user,
			signing_key_public(world->host), 1000, &link_ops, &seen);
		assert_int_equal(seen.closed, 0);
		WAIT_FOR(world, seen.closed);
		assert_int_equal(seen.link_err.code, cases[i].code);
		assert_true(seen.link_err.hint[0]);
		assert_non_null(strstr(seen.link_err.message, cases[i].address));
	}
	struct seen seen = {0};
	link_close(link_dial(world->loop, "nonsense", world->user, signing_key_public(world->host),
		0, &link_ops, &seen));
	for (int i = 0; i < 5; i++)
		link_loop_wait(world->loop, 2);
	assert_int_equal(seen.closed, 0);
}

static void an_address_in_use_is_reported(void **state)
{
	struct world *world = *state;
	struct err err = ERR_INIT;
	struct link_server *server = NULL;
	assert_true(link_listen(world->loop, world->address, signing_key_public(world->host), NULL,
			    &world->ops, world, &server, &err) < 0);
	assert_non_null(strstr(err.message, world->address));
	assert_null(server);
}

/* The core does not answer the gateway: the dialer is not left hanging. */
static void a_handshake_has_a_time_limit(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	world->answers_late = true;
	dial(world, &seen);
	WAIT_FOR(world, world->sign_request);
	loop_advance(world->loop, LINK_HANDSHAKE_TIMEOUT_MS + 1);
	WAIT_FOR(world, seen.closed);
	assert_int_equal(seen.link_err.code, ERR_UNREACHABLE);
	answer_sign(world); /* too late, and harmless */
	link_server_admit(world->server, world->sign_request, true);
	link_server_admit(world->server, 777, true);
}

static void a_link_can_be_closed_at_any_time(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct link *links[40];
	for (unsigned i = 0; i < ARRAY_LEN(links); i++) {
		links[i] = dial(world, &seen);
		link_call_start(links[i], "/t/Pour", 0, &call_ops, &seen);
		for (unsigned turn = 0; turn < i / 2; turn++)
			link_loop_wait(world->loop, 1);
		link_close(links[i]);
	}
	assert_int_equal(seen.closed, 0);
	struct seen last = {0};
	struct link *link = dial(world, &last);
	ask(world, link, "/t/Echo", BYTES_STR("x"), &last);
	assert_int_equal(last.call_err.code, ERR_NONE);
	link_close(link);
	buf_release(&seen.last);
	buf_release(&last.last);
}

static int open_large_world(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));
	world->limits.connections_per_address = 100;
	world_open(world);
	*state = world;
	return 0;
}

static void a_hundred_links_at_once(void **state)
{
	struct world *world = *state;
	enum { LINKS = 100 };
	static struct seen seen[LINKS];
	static uint8_t chunk[100000];
	struct link *links[LINKS];
	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < LINKS; i++) {
		struct err err = ERR_INIT;
		links[i] = dial(world, &seen[i]);
		struct link_call *call =
			link_call_start(links[i], "/t/Echo", 15000, &call_ops, &seen[i]);
		chunk[0] = (uint8_t)i;
		link_call_send(call, BYTES(chunk, sizeof(chunk)), &err);
		link_call_half_close(call);
	}
	for (unsigned i = 0; i < LINKS; i++) {
		WAIT_FOR(world, seen[i].ended);
		assert_int_equal(seen[i].call_err.code, ERR_NONE);
		assert_int_equal(seen[i].last.len, sizeof(chunk));
		assert_int_equal(seen[i].last.data[0], (uint8_t)i);
	}
	for (unsigned i = 0; i < LINKS; i++) {
		buf_release(&seen[i].last);
		link_close(links[i]);
	}
}

static void many_calls_share_a_link(void **state)
{
	struct world *world = *state;
	enum { CALLS = 64 };
	static struct seen seen[CALLS + 1];
	struct link *link = dial(world, &seen[0]);
	struct err err = ERR_INIT;
	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i <= CALLS; i++) {
		struct link_call *call = link_call_start(
			link, i < CALLS ? "/t/Hold" : "/t/Echo", 0, &call_ops, &seen[i]);
		assert_int_equal(link_call_send(call, BYTES(&i, sizeof(i)), &err), LINK_SEND_OK);
	}
	WAIT_FOR(world, seen[CALLS].ended); /* one too many */
	assert_int_equal(seen[CALLS].call_err.code, ERR_LIMIT);
	assert_int_equal(world->called, CALLS);
	link_close(link);
	WAIT_FOR(world, world->cancelled == CALLS);
}

static int open_small_world(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));
	world->limits.connections_per_address = 3;
	world->limits.connections = 5;
	world_open(world);
	*state = world;
	return 0;
}

/* Dial until let in: a link that was closed gives its place back a moment later. */
static void get_in_at_last(struct world *world)
{
	struct seen again = {0};
	for (struct link *link = NULL; !again.opened; link_close(link)) {
		again.closed = 0;
		link = dial(world, &again);
		WAIT_FOR(world, again.opened || again.closed);
		if (again.closed)
			link = NULL;
	}
}

static void one_link_too_many_reads_why(void **state)
{
	struct world *world = *state;
	struct seen seen[4] = {0};
	struct link *links[3];
	for (unsigned i = 0; i < 3; i++) {
		links[i] = dial(world, &seen[i]);
		WAIT_FOR(world, seen[i].opened);
	}
	dial(world, &seen[3]);
	WAIT_FOR(world, seen[3].closed);
	assert_int_equal(seen[3].link_err.code, ERR_LIMIT);
	assert_non_null(strstr(seen[3].link_err.message, "has 3 connections from your address"));
	assert_non_null(strstr(seen[3].link_err.hint, "limits.connections_per_address"));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(seen[i].closed, 0);
	for (unsigned i = 0; i < 3; i++)
		link_close(links[i]);
	get_in_at_last(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
		CASE(answers_a_unary_call),
		CASE(calls_may_start_before_the_link_is_open),
		CASE(carries_a_client_stream),
		CASE(carries_a_server_stream),
		CASE(carries_an_error_whole),
		CASE(credit_holds_the_sender_back),
		CASE(a_deadline_ends_both_sides),
		CASE(a_cancel_reaches_the_server),
		CASE(objects_may_end_inside_of_callbacks),
		CASE(calls_end_before_their_link),
		CASE(the_server_hears_of_a_lost_link),
		CASE(an_idle_link_is_kept_by_pings),
		CASE(a_wrong_host_key_is_named),
		CASE(a_stranger_reads_why),
		CASE(a_bad_address_is_reported_from_the_loop),
		CASE(an_address_in_use_is_reported),
		CASE(a_handshake_has_a_time_limit),
		CASE(a_link_can_be_closed_at_any_time),
		cmocka_unit_test_setup_teardown(
			a_hundred_links_at_once, open_large_world, close_world),
		CASE(many_calls_share_a_link),
		cmocka_unit_test_setup_teardown(
			one_link_too_many_reads_why, open_small_world, close_world),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
