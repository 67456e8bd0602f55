/* Peers that do not keep to the protocol, over plain sockets. Whatever they do ends their own
 * link, with a reason where one can be told, and leaves the others alone. */
#include "common/link/handshake.h"
#include "common/link/mux.h"
#include "common/link/session.h"
#include "common/link/status.h"
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* A dialer made by hand. */
struct intruder {
	struct world *world;
	int fd;
	struct handshake handshake;
	struct session session;
	struct buf in;     /* received, not yet looked at */
	struct err goaway; /* what the server said */
	bool told, hung_up;
	unsigned frames[FRAME_TYPE_COUNT];
};

static int open_world(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));
	world_open(world);
	*state = world;
	return 0;
}

enum { STRANGERS = 8 };

static int open_small_lobby(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));
	world->limits.handshakes = STRANGERS;
	world_open(world);
	*state = world;
	return 0;
}

/* The server must have stayed what it was. */
static int close_world(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	struct err err = ERR_INIT;
	struct link *link = dial(world, &seen);
	struct link_call *call = link_call_start(link, "/t/Echo", 0, &call_ops, &seen);
	link_call_send(call, BYTES_STR("alive"), &err);
	link_call_half_close(call);
	WAIT_FOR(world, seen.ended);
	assert_string_equal(buf_str(&seen.last), "alive");
	buf_release(&seen.last);
	link_close(link);
	world_close(world);
	free(world);
	return 0;
}

static void intrude(struct world *world, struct intruder *intruder)
{
	*intruder = (struct intruder){.world = world};
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)link_server_port(world->server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	intruder->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(intruder->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	fcntl(intruder->fd, F_SETFL, O_NONBLOCK);
}

static void leave(struct intruder *intruder)
{
	close(intruder->fd);
	buf_release(&intruder->in);
	handshake_release(&intruder->handshake);
	session_release(&intruder->session);
}

/* All of it, or until the server has hung up. */
static void send_bytes(struct intruder *intruder, struct bytes bytes)
{
	uint64_t until = clock_mono_ms() + PATIENCE_MS;
	while (bytes.len > 0) {
		assert_true(clock_mono_ms() < until);
		ssize_t n = send(intruder->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return;
		if (n > 0)
			bytes = BYTES(bytes.data + n, bytes.len - (size_t)n);
		link_loop_wait(intruder->world->loop, 1);
	}
}

static void receive_bytes(struct intruder *intruder)
{
	for (;;) {
		ssize_t n = recv(intruder->fd, buf_reserve(&intruder->in, 65536), 65536, 0);
		if (n > 0)
			intruder->in.len += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			intruder->hung_up = true;
		if (n <= 0)
			return;
	}
}

static void expect_hung_up(struct intruder *intruder)
{
	WAIT_FOR(intruder->world, (receive_bytes(intruder), intruder->hung_up));
}

static struct bytes next_record(struct intruder *intruder)
{
	struct bytes body;
	struct err err = ERR_INIT;
	WAIT_FOR(intruder->world,
		(receive_bytes(intruder), record_next(buf_bytes(&intruder->in), LINK_FRAME_MAX,
						  &body, &err) == RECORD_WHOLE));
	return body;
}

static void shake_hands(struct intruder *intruder)
{
	struct world *world = intruder->world;
	struct err err = ERR_INIT;
	uint8_t ephemeral[32];
	AUTO(buf) struct buf out = {0};
	randombytes_buf(ephemeral, sizeof(ephemeral));
	handshake_init(&intruder->handshake, HANDSHAKE_INITIATOR, signing_key_public(world->user),
		signing_key_public(world->host), "the host", ephemeral);
	handshake_start(&intruder->handshake, &out);
	send_bytes(intruder, buf_bytes(&out));
	struct bytes reply = next_record(intruder);
	buf_clear(&out);
	assert_int_equal(
		handshake_receive(&intruder->handshake, reply, &out, &err), HANDSHAKE_SIGN);
	buf_consume(&intruder->in, RECORD_PREFIX + reply.len);
	struct signature signature = signing_key_sign(
		world->user, KEY_CONTEXT_LINK_INITIATOR, BYTES(intruder->handshake.transcript, 32));
	handshake_signed(&intruder->handshake, &signature, &out);
	send_bytes(intruder, buf_bytes(&out));
	struct session_keys keys;
	handshake_keys(&intruder->handshake, &keys);
	session_init(&intruder->session, &keys);
}

/* Open what has come in. */
static void read_frames(struct intruder *intruder)
{
	struct bytes body;
	struct frame frame;
	AUTO(buf) struct buf plain = {0};
	receive_bytes(intruder);
	while (record_next(buf_bytes(&intruder->in), LINK_FRAME_MAX, &body, NULL) == RECORD_WHOLE) {
		struct err err = ERR_INIT;
		int kind = session_open(&intruder->session, body, &plain, &err);
		assert_true(kind >= 0);
		buf_consume(&intruder->in, RECORD_PREFIX + body.len);
		if (kind == SESSION_OPENED_HEADER)
			continue;
		assert_int_equal(frame_decode(buf_bytes(&plain), &frame, &err), 0);
		intruder->frames[frame.type]++;
		assert_int_equal(kind == SESSION_OPENED_FINAL, frame.type == FRAME_GOAWAY);
		if (frame.type == FRAME_GOAWAY)
			intruder->told = status_decode(frame.payload, &intruder->goaway, &err) == 0;
	}
}

static void seal_frame(struct intruder *intruder, struct frame frame, struct buf *out)
{
	AUTO(buf) struct buf plain = {0};
	frame_encode(&frame, &plain);
	session_seal(&intruder->session, buf_bytes(&plain), SESSION_TAG_MESSAGE, out);
}

static void send_frame(struct intruder *intruder, struct frame frame)
{
	AUTO(buf) struct buf out = {0};
	seal_frame(intruder, frame, &out);
	send_bytes(intruder, buf_bytes(&out));
}

static void send_open(struct intruder *intruder, uint32_t stream, const char *method)
{
	AUTO(buf) struct buf open = {0};
	open_encode(method, 0, &open);
	send_frame(intruder,
		(struct frame){.type = FRAME_OPEN, .stream = stream, .payload = buf_bytes(&open)});
}

static void get_in(struct world *world, struct intruder *intruder)
{
	intrude(world, intruder);
	shake_hands(intruder);
	WAIT_FOR(world, (read_frames(intruder), intruder->frames[FRAME_ADMIT]));
}

/* The server says GOAWAY with `code`, and hangs up when we do not. */
static void expect_goaway(struct intruder *intruder, enum err_code code)
{
	WAIT_FOR(intruder->world, (read_frames(intruder), intruder->told));
	if (intruder->goaway.code != code)
		fail_msg("%s", intruder->goaway.message);
	loop_advance(intruder->world->loop, 2000);
	expect_hung_up(intruder);
}

/* ---- before authentication ---- */

static void garbage_is_hung_up_on(void **state)
{
	struct world *world = *state;
	static uint8_t zeros[1000], ones[1000];
	memset(ones, 0xff, sizeof(ones));
	struct bytes cases[] = {
		BYTES_STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		BYTES_STR("SSH-2.0-OpenSSH_9.2\r\n"),
		BYTES(zeros, sizeof(zeros)),
		BYTES(ones, sizeof(ones)),
		BYTES("\x01\x01\0\0", 4), /* 257 bytes: too long for a handshake, refused unread */
		BYTES("\x02\0\0\0\x01\x00", 6),
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct intruder intruder;
		intrude(world, &intruder);
		send_bytes(&intruder, cases[i]);
		expect_hung_up(&intruder);
		assert_int_equal(intruder.in.len, 0);
		leave(&intruder);
	}
	assert_int_equal(world->sign_request, 0);
}

static void another_version_is_answered(void **state)
{
	struct intruder intruder;
	intrude(*state, &intruder);
	uint8_t hello[37] = {33, 0, 0, 0, HANDSHAKE_VERSION + 1};
	send_bytes(&intruder, BYTES(hello, sizeof(hello)));
	WAIT_FOR(intruder.world, (receive_bytes(&intruder), intruder.in.len == 5));
	assert_int_equal(intruder.in.data[4], HANDSHAKE_VERSION);
	loop_advance(intruder.world->loop, 2000);
	expect_hung_up(&intruder);
	leave(&intruder);
}

static void who_is_slow_is_hung_up_on(void **state)
{
	struct world *world = *state;
	struct intruder silent, slow;
	intrude(world, &silent);
	intrude(world, &slow);
	send_bytes(&slow, BYTES("\x21", 1));
	for (int i = 0; i < 4; i++) {
		loop_advance(world->loop, 1000);
		send_bytes(&slow, BYTES("\0", 1));
		link_loop_wait(world->loop, 10);
		receive_bytes(&slow);
		assert_false(slow.hung_up);
	}
	loop_advance(world->loop, 1001);
	expect_hung_up(&silent);
	expect_hung_up(&slow);
	leave(&silent);
	leave(&slow);
}

/* Strangers who fill the lobby and stay: the next one takes the place of the oldest, and who has
 * the key is let in past all of them. */
static void strangers_push_out_each_other_only(void **state)
{
	struct world *world = *state;
	struct intruder strangers[STRANGERS + 3];
	for (unsigned i = 0; i < STRANGERS; i++)
		intrude(world, &strangers[i]);
	WAIT_FOR(world, link_server_guests(world->server) == STRANGERS);
	for (unsigned i = STRANGERS; i < STRANGERS + 3; i++)
		intrude(world, &strangers[i]);
	for (unsigned i = 0; i < 3; i++)
		expect_hung_up(&strangers[i]);
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	WAIT_FOR(world, seen.opened);
	expect_hung_up(&strangers[3]);
	link_close(link);
	for (unsigned i = 4; i < STRANGERS + 3; i++) {
		receive_bytes(&strangers[i]);
		assert_false(strangers[i].hung_up);
	}
	assert_int_equal(link_server_guests(world->server), STRANGERS - 1);
	for (unsigned i = 0; i < STRANGERS + 3; i++)
		leave(&strangers[i]);
}

/* The 5 s are for the whole handshake: a stranger who does everything right but late is out. */
static void a_handshake_is_one_deadline(void **state)
{
	struct world *world = *state;
	struct intruder late;
	AUTO(buf) struct buf out = {0};
	uint8_t ephemeral[32] = {9};
	intrude(world, &late);
	WAIT_FOR(world, link_server_guests(world->server) == 1);
	handshake_init(&late.handshake, HANDSHAKE_INITIATOR, signing_key_public(world->user),
		signing_key_public(world->host), "the host", ephemeral);
	handshake_start(&late.handshake, &out);
	loop_advance(world->loop, LINK_HANDSHAKE_TIMEOUT_MS - 500);
	send_bytes(&late, buf_bytes(&out));
	next_record(&late); /* answered: half of it is done */
	loop_advance(world->loop, 600);
	for (int turn = 0; turn < 3; turn++)
		link_loop_wait(world->loop, 0);
	assert_int_equal(link_server_guests(world->server), 0);
	expect_hung_up(&late);
	leave(&late);
}

/* At EMFILE the listener rests between its tries; a connection that waits in the kernel's backlog
 * is taken once there are descriptors again. */
static void without_descriptors_it_does_not_spin(void **state)
{
	enum { FDS = 256, LOOK_MS = 300, TURNS_MAX = 40 };
	struct world *world = *state;
	struct rlimit before, few;
	struct intruder intruder;
	int taken[FDS], turns = 0;
	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = FDS;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (int i = 0; i < FDS; i++)
		taken[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(taken[FDS - 1], -1);
	close(client); /* room for one: the intruder's own end */
	intrude(world, &intruder);
	for (uint64_t until = clock_mono_ms() + LOOK_MS; clock_mono_ms() < until; turns++)
		link_loop_wait(world->loop, LOOK_MS);
	assert_true(turns < TURNS_MAX);
	assert_int_equal(link_server_guests(world->server), 0);
	for (int i = 0; i < FDS; i++)
		if (taken[i] >= 0)
			close(taken[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	WAIT_FOR(world, link_server_guests(world->server) == 1);
	leave(&intruder);
}

/* A host that cannot sign says so at once, to everybody who waits. */
static void without_a_signature_there_is_no_link(void **state)
{
	struct world *world = *state;
	struct seen seen = {0};
	world->answers_late = true;
	dial(world, &seen);
	WAIT_FOR(world, world->sign_request);
	link_server_signed(world->server, world->sign_request, NULL);
	world->answers_late = false;
	WAIT_FOR(world, seen.closed);
	assert_int_equal(seen.link_err.code, ERR_UNREACHABLE);
}

static void a_forged_proof_is_hung_up_on(void **state)
{
	struct world *world = *state;
	struct intruder intruder;
	intrude(world, &intruder);
	AUTO(buf) struct buf out = {0};
	uint8_t ephemeral[32] = {7};
	handshake_init(&intruder.handshake, HANDSHAKE_INITIATOR, signing_key_public(world->user),
		signing_key_public(world->host), "the host", ephemeral);
	handshake_start(&intruder.handshake, &out);
	send_bytes(&intruder, buf_bytes(&out));
	struct bytes reply = next_record(&intruder);
	struct err err = ERR_INIT;
	buf_clear(&out);
	assert_int_equal(handshake_receive(&intruder.handshake, reply, &out, &err), HANDSHAKE_SIGN);
	/* The key of a user who is let in, signed by somebody else. */
	struct signature signature = signing_key_sign(world->stranger, KEY_CONTEXT_LINK_INITIATOR,
		BYTES(intruder.handshake.transcript, 32));
	handshake_signed(&intruder.handshake, &signature, &out);
	send_bytes(&intruder, buf_bytes(&out));
	expect_hung_up(&intruder);
	assert_int_equal(world->admit_request, 0);
	leave(&intruder);
}

/* ---- after it ---- */

static void frames_out_of_turn_end_the_link(void **state)
{
	struct world *world = *state;
	static const uint8_t zeros[16];
	const struct {
		const char *open; /* on stream 1 first, unless NULL */
		struct frame frame;
	} cases[] = {
		{NULL, {.type = FRAME_ADMIT}},
		{NULL, {.type = FRAME_DATA, .stream = 1}},
		{NULL, {.type = FRAME_END, .stream = 7}},
		{NULL, {.type = FRAME_OPEN, .stream = 2, .payload = BYTES("12345678/x", 10)}},
		{NULL, {.type = FRAME_OPEN, .stream = 1, .payload = BYTES("12345678/\n", 10)}},
		{NULL, {.type = FRAME_GOAWAY, .payload = BYTES(zeros, 4)}}, /* not final */
		{"/t/Echo", {.type = FRAME_OPEN, .stream = 1, .payload = BYTES("12345678/x", 10)}},
		{"/t/Echo", {.type = FRAME_END, .stream = 1, .payload = BYTES(zeros, 4)}},
		{"/t/Echo", {.type = FRAME_DATA,
				    .flags = FRAME_MORE,
				    .stream = 1,
				    .payload = BYTES(zeros, 4)}},
		{"/t/Echo", {.type = FRAME_DATA, .stream = 2}},
		{"/t/Echo", {.type = FRAME_CREDIT, .stream = 1, .payload = BYTES("\1\0\0\0", 4)}},
		{"/t/Echo", {.type = FRAME_CREDIT,
				    .stream = 1,
				    .payload = BYTES("\xff\xff\xff\xff", 4)}},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct intruder intruder;
		get_in(world, &intruder);
		if (cases[i].open)
			send_open(&intruder, 1, cases[i].open);
		send_frame(&intruder, cases[i].frame);
		expect_goaway(&intruder, ERR_INVALID);
		leave(&intruder);
	}
	assert_int_equal(world->cancelled, 6); /* each open call was ended */
}

static void more_than_the_credit_ends_the_link(void **state)
{
	struct world *world = *state;
	static const uint8_t piece[FRAME_PAYLOAD_MAX];
	struct intruder intruder;
	get_in(world, &intruder);
	send_open(&intruder, 1, "/t/Hold");
	for (int i = 0; i < 5; i++)
		send_frame(&intruder, (struct frame){.type = FRAME_DATA,
					      .stream = 1,
					      .payload = BYTES(piece, sizeof(piece))});
	expect_goaway(&intruder, ERR_INVALID);
	assert_int_equal(world->received, 4);
	leave(&intruder);
	/* Empty messages are not free of charge. */
	get_in(world, &intruder);
	send_open(&intruder, 1, "/t/Hold");
	AUTO(buf) struct buf out = {0};
	for (int i = 0; i <= LINK_STREAM_CREDIT / FRAME_COST_MIN; i++)
		seal_frame(&intruder, (struct frame){.type = FRAME_DATA, .stream = 1}, &out);
	send_bytes(&intruder, buf_bytes(&out));
	expect_goaway(&intruder, ERR_INVALID);
	assert_int_equal(world->received, 4 + LINK_STREAM_CREDIT / FRAME_COST_MIN);
	leave(&intruder);
}

static void a_record_too_long_ends_the_link(void **state)
{
	struct intruder intruder;
	get_in(*state, &intruder);
	send_bytes(&intruder, BYTES("\x01\0\x01\0", 4)); /* 65,537 */
	expect_goaway(&intruder, ERR_INVALID);
	leave(&intruder);
}

static void a_flipped_byte_ends_the_link(void **state)
{
	struct world *world = *state;
	static const size_t from_end[] = {1, 20, 30};
	for (size_t i = 0; i < ARRAY_LEN(from_end); i++) {
		struct intruder intruder;
		AUTO(buf) struct buf out = {0};
		get_in(world, &intruder);
		send_open(&intruder, 1, "/t/Echo");
		seal_frame(&intruder,
			(struct frame){.type = FRAME_DATA,
				.stream = 1,
				.payload = BYTES_STR("a message of some length, long enough")},
			&out);
		out.data[out.len - from_end[i]] ^= 1;
		send_bytes(&intruder, buf_bytes(&out));
		expect_goaway(&intruder, ERR_INVALID);
		leave(&intruder);
	}
	assert_int_equal(world->received, 0);
	assert_int_equal(world->cancelled, ARRAY_LEN(from_end));
	assert_int_equal(world->cancel_code, ERR_UNREACHABLE); /* a lost link, whatever broke it */
}

static void a_stream_cut_short_is_a_lost_link(void **state)
{
	struct world *world = *state;
	struct intruder intruder;
	get_in(world, &intruder);
	send_open(&intruder, 1, "/t/Echo");
	send_frame(&intruder,
		(struct frame){.type = FRAME_DATA, .stream = 1, .payload = BYTES_STR("half")});
	WAIT_FOR(world, world->received == 1);
	leave(&intruder); /* without END, without GOAWAY */
	WAIT_FOR(world, world->cancelled);
	assert_int_equal(world->cancel_code, ERR_UNREACHABLE);
}

static void a_flood_of_calls_is_cut_off(void **state)
{
	struct world *world = *state;
	struct intruder intruder;
	get_in(world, &intruder);
	for (uint32_t i = 0; i < 64; i++)
		send_open(&intruder, 2 * i + 1, "/t/Stall");
	AUTO(buf) struct buf out = {0}, open = {0};
	open_encode("/t/Stall", 0, &open);
	for (uint32_t i = 64; i < 1000; i++)
		seal_frame(&intruder,
			(struct frame){.type = FRAME_OPEN,
				.stream = 2 * i + 1,
				.payload = buf_bytes(&open)},
			&out);
	send_bytes(&intruder, buf_bytes(&out));
	WAIT_FOR(world, (read_frames(&intruder), intruder.told || intruder.frames[FRAME_END]));
	assert_int_equal(world->called, 64);
	leave(&intruder);
	WAIT_FOR(world, world->cancelled == 64);
}

/* PINGs are answered with one PONG at a time, so they cannot fill our memory. */
static void a_flood_of_pings_costs_nothing(void **state)
{
	struct world *world = *state;
	struct intruder intruder;
	AUTO(buf) struct buf out = {0};
	get_in(world, &intruder);
	for (int i = 0; i < 20000; i++)
		seal_frame(&intruder,
			(struct frame){.type = FRAME_PING, .payload = BYTES("12345678", 8)}, &out);
	send_bytes(&intruder, buf_bytes(&out));
	WAIT_FOR(world, (read_frames(&intruder), intruder.frames[FRAME_PONG] > 0));
	assert_true(intruder.frames[FRAME_PONG] < 20000);
	leave(&intruder);
}

static void who_does_not_answer_pings_is_lost(void **state)
{
	struct world *world = *state;
	struct intruder intruder;
	get_in(world, &intruder);
	send_open(&intruder, 1, "/t/Stall");
	WAIT_FOR(world, world->called);
	loop_advance(world->loop, LINK_PING_INTERVAL_MS + 1);
	WAIT_FOR(world, (read_frames(&intruder), intruder.frames[FRAME_PING] == 1));
	assert_int_equal(world->cancelled, 0);
	loop_advance(world->loop, LINK_PING_TIMEOUT_MS - LINK_PING_INTERVAL_MS);
	WAIT_FOR(world, world->cancelled);
	assert_int_equal(world->cancel_code, ERR_UNREACHABLE);
	expect_goaway(&intruder, ERR_UNREACHABLE);
	leave(&intruder);
}

/* Any bytes as frames, sealed properly: nothing crashes, and nothing is left behind. */
static void random_frames_do_no_harm(void **state)
{
	struct world *world = *state;
	uint32_t seed = 1;
	for (int round = 0; round < 60; round++) {
		struct intruder intruder;
		AUTO(buf) struct buf out = {0};
		get_in(world, &intruder);
		send_open(&intruder, 1, round % 2 ? "/t/Echo" : "/t/Pour");
		for (int i = 0; i < 40; i++) {
			uint8_t plain[40];
			for (size_t b = 0; b < sizeof(plain); b++)
				plain[b] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
			plain[0] = (uint8_t)(1 + plain[0] % 9);
			plain[1] = 0;
			put_u32(plain + 2,
				plain[0] >= 2 && plain[0] <= 6 ? 1U + 2U * (plain[2] % 4U) : 0);
			size_t sizes[] = {0, 4, 8, 14, 34};
			size_t len = FRAME_HEADER + sizes[plain[6] % ARRAY_LEN(sizes)];
			session_seal(
				&intruder.session, BYTES(plain, len), SESSION_TAG_MESSAGE, &out);
		}
		send_bytes(&intruder, buf_bytes(&out));
		leave(&intruder);
	}
	link_loop_wait(world->loop, 10);
}

/* ---- a host that is none ---- */

static int listen_by_hand(struct world *world)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	snprintf(world->address, sizeof(world->address), "127.0.0.1:%d", ntohs(address.sin_port));
	return fd;
}

static void a_host_that_talks_nonsense_is_named(void **state)
{
	struct world *world = *state;
	AUTO_FREE char *real = xstrdup(world->address);
	AUTO_CLOSE int listener = listen_by_hand(world);
	static const struct {
		const char *says;
		enum err_code code;
	} cases[] = {
		{"HTTP/1.1 400 Bad Request\r\n\r\n", ERR_INVALID},
		{"\1", ERR_UNREACHABLE}, /* a byte, then it hangs up */
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seen seen = {0};
		dial(world, &seen);
		int fd = accept(listener, NULL, NULL);
		assert_int_equal(
			send(fd, cases[i].says, strlen(cases[i].says), 0), strlen(cases[i].says));
		if (i == 1)
			close(fd);
		WAIT_FOR(world, seen.closed);
		assert_int_equal(seen.link_err.code, cases[i].code);
		assert_non_null(strstr(seen.link_err.message, world->address));
		if (i != 1)
			close(fd);
	}
	memcpy(world->address, real, strlen(real) + 1);
}

static void a_host_that_says_nothing_is_given_up(void **state)
{
	struct world *world = *state;
	AUTO_FREE char *real = xstrdup(world->address);
	AUTO_CLOSE int listener = listen_by_hand(world);
	struct seen seen = {0};
	struct link *link = dial(world, &seen);
	link_call_start(link, "/t/Echo", 0, &call_ops, &seen);
	AUTO_CLOSE int fd = accept(listener, NULL, NULL);
	uint8_t hello[37];
	ssize_t n;
	WAIT_FOR(world, (n = recv(fd, hello, sizeof(hello), MSG_DONTWAIT)) == sizeof(hello));
	assert_int_equal(seen.closed, 0);
	loop_advance(world->loop, LINK_HANDSHAKE_TIMEOUT_MS + 1);
	WAIT_FOR(world, seen.closed);
	assert_int_equal(seen.link_err.code, ERR_UNREACHABLE);
	assert_int_equal(seen.ended, 1);
	memcpy(world->address, real, strlen(real) + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
		/* First: no descriptor of a world before is still about to be closed. */
		CASE(without_descriptors_it_does_not_spin),
		CASE(garbage_is_hung_up_on),
		CASE(another_version_is_answered),
		CASE(who_is_slow_is_hung_up_on),
		cmocka_unit_test_setup_teardown(
			strangers_push_out_each_other_only, open_small_lobby, close_world),
		CASE(a_handshake_is_one_deadline),
		CASE(without_a_signature_there_is_no_link),
		CASE(a_forged_proof_is_hung_up_on),
		CASE(frames_out_of_turn_end_the_link),
		CASE(more_than_the_credit_ends_the_link),
		CASE(a_record_too_long_ends_the_link),
		CASE(a_flipped_byte_ends_the_link),
		CASE(a_stream_cut_short_is_a_lost_link),
		CASE(a_flood_of_calls_is_cut_off),
		CASE(a_flood_of_pings_costs_nothing),
		CASE(who_does_not_answer_pings_is_lost),
		CASE(random_frames_do_no_harm),
		CASE(a_host_that_talks_nonsense_is_named),
		CASE(a_host_that_says_nothing_is_given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
