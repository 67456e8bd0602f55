/* A server and its dialers in one loop, for the tests of the link: the server's behaviour is
 * chosen by the method name. Included once by each test that needs it. */
#pragma once

#include "common/base/mem.h"
#include "common/link/link.h"
#include "common/link/loop.h"
#include "common/os/clock.h"

#include <setjmp.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000, POUR_MESSAGES = 200 };

struct world {
	struct link_loop *loop;
	struct link_server *server;
	struct signing_key *host, *user, *stranger;
	char address[64];
	struct link_server_ops ops;
	struct link_server_limits limits;
	bool answers_late; /* sign and admit from outside of the callback */
	uint64_t sign_request, admit_request;
	uint8_t transcript[32];
	/* what the server saw */
	unsigned called, cancelled, received;
	enum err_code cancel_code;
	size_t received_bytes;
	uint64_t deadline_ms;
	struct link_call *held; /* of /t/Hold */
	LIST_HEAD(, served) served;
};

/* A call as the server sees it. */
struct served {
	LIST_ENTRY(served) next;
	struct world *world;
	struct buf echo;
	size_t bytes;
	unsigned to_pour;
};

/* What a dialer saw. */
struct seen {
	unsigned opened, closed, ended, messages, writable;
	size_t bytes;
	struct err link_err, call_err;
	struct buf last;
	struct link *close_on_message, *close_on_ended;
	struct link_call *cancel_on_message;
};

#define WAIT_FOR(world, condition)                                                                 \
	do {                                                                                       \
		uint64_t until_ = clock_mono_ms() + PATIENCE_MS;                                   \
		while (!(condition)) {                                                             \
			if (clock_mono_ms() > until_)                                              \
				fail_msg("not in time: %s", #condition);                           \
			link_loop_wait((world)->loop, 50);                                         \
		}                                                                                  \
	} while (0)

/* ---- the server ---- */

static void served_free(struct served *served)
{
	LIST_REMOVE(served, next);
	buf_release(&served->echo);
	free(served);
}

static void served_ended(struct link_call *call, const struct err *err, void *user)
{
	struct served *served = user;
	(void)call;
	served->world->cancelled++;
	served->world->cancel_code = err->code;
	if (served->world->held == call)
		served->world->held = NULL;
	served_free(served);
}

static void finish(struct link_call *call, struct served *served, const struct err *err)
{
	link_call_end(call, err);
	served_free(served);
}

static void echo_message(struct link_call *call, struct bytes message, void *user)
{
	struct served *served = user;
	(void)call;
	served->world->received++;
	served->bytes += message.len;
	served->world->received_bytes += message.len;
	buf_clear(&served->echo);
	buf_append(&served->echo, message.data, message.len);
}

static void echo_half_closed(struct link_call *call, void *user)
{
	struct served *served = user;
	struct err err = ERR_INIT;
	assert_int_equal(link_call_send(call, buf_bytes(&served->echo), &err), LINK_SEND_OK);
	finish(call, served, NULL);
}

static void count_half_closed(struct link_call *call, void *user)
{
	struct served *served = user;
	struct err err = ERR_INIT;
	uint8_t reply[8];
	put_u64(reply, served->bytes);
	assert_int_equal(link_call_send(call, BYTES(reply, sizeof(reply)), &err), LINK_SEND_OK);
	finish(call, served, NULL);
}

static void pour(struct link_call *call, void *user)
{
	struct served *served = user;
	struct err err = ERR_INIT;
	static uint8_t chunk[100000];
	while (served->to_pour > 0) {
		memset(chunk, (int)served->to_pour, sizeof(chunk));
		int rc = link_call_send(call, BYTES(chunk, sizeof(chunk)), &err);
		assert_true(rc >= 0);
		if (rc == LINK_SEND_BLOCKED)
			return;
		served->to_pour--;
	}
	finish(call, served, NULL);
}

static void pour_half_closed(struct link_call *call, void *user)
{
	((struct served *)user)->to_pour = POUR_MESSAGES;
	pour(call, user);
}

static void fail_half_closed(struct link_call *call, void *user)
{
	struct err err = ERR_INIT;
	err_set(&err, ERR_LOCKED, "held by '%s'", "ci");
	err_hint(&err, "Wait for it.");
	finish(call, user, &err);
}

static void stall_half_closed(struct link_call *call, void *user)
{
	(void)call;
	(void)user;
}

static void hold_message(struct link_call *call, struct bytes message, void *user)
{
	struct served *served = user;
	served->world->received++;
	served->world->received_bytes += message.len;
	served->bytes += message.len;
	served->world->held = call;
	link_call_hold(call);
}

static const struct {
	const char *method;
	struct link_call_ops ops;
} services[] = {
	{"/t/Echo", {echo_message, echo_half_closed, NULL, served_ended}},
	{"/t/Count", {echo_message, count_half_closed, NULL, served_ended}},
	{"/t/Pour", {echo_message, pour_half_closed, pour, served_ended}},
	{"/t/Fail", {echo_message, fail_half_closed, NULL, served_ended}},
	{"/t/Stall", {echo_message, stall_half_closed, NULL, served_ended}},
	{"/t/Hold", {hold_message, count_half_closed, NULL, served_ended}},
};

static void on_called(struct link_server *server, struct link_call *call, const char *method,
	uint64_t deadline_ms, const struct public_key *peer, void *user)
{
	struct world *world = user;
	(void)server;
	assert_true(public_key_equal(peer, signing_key_public(world->user)));
	world->called++;
	world->deadline_ms = deadline_ms;
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		if (strcmp(services[i].method, method) != 0)
			continue;
		struct served *served = xcalloc(1, sizeof(*served));
		served->world = world;
		LIST_INSERT_HEAD(&world->served, served, next);
		link_call_accept(call, &services[i].ops, served);
		assert_ptr_equal(link_call_user(call), served);
		return;
	}
}

static void answer_sign(struct world *world)
{
	struct signature signature = signing_key_sign(world->host, KEY_CONTEXT_LINK_RESPONDER,
		BYTES(world->transcript, sizeof(world->transcript)));
	link_server_signed(world->server, world->sign_request, &signature);
}

static void on_sign(
	struct link_server *server, uint64_t request, const uint8_t transcript[32], void *user)
{
	struct world *world = user;
	(void)server;
	world->sign_request = request;
	memcpy(world->transcript, transcript, 32);
	if (!world->answers_late)
		answer_sign(world);
}

static void on_admit(
	struct link_server *server, uint64_t request, const struct public_key *peer, void *user)
{
	struct world *world = user;
	world->admit_request = request;
	if (!world->answers_late)
		link_server_admit(
			server, request, public_key_equal(peer, signing_key_public(world->user)));
}

static void world_open(struct world *world)
{
	assert_true(sodium_init() >= 0);
	struct err err = ERR_INIT;
	uint8_t seed[32] = {0};
	struct signing_key **keys[] = {&world->host, &world->user, &world->stranger};
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		seed[0] = (uint8_t)i;
		*keys[i] = signing_key_from_seed(seed);
	}
	world->ops = (struct link_server_ops){on_sign, on_admit, on_called};
	assert_int_equal(link_loop_new(&world->loop, &err), 0);
	assert_int_equal(link_listen(world->loop, "127.0.0.1:0", signing_key_public(world->host),
				 &world->limits, &world->ops, world, &world->server, &err),
		0);
	snprintf(world->address, sizeof(world->address), "127.0.0.1:%d",
		link_server_port(world->server));
}

static void world_close(struct world *world)
{
	link_loop_free(world->loop);
	while (!LIST_EMPTY(&world->served)) /* their calls were dropped without a word */
		served_free(LIST_FIRST(&world->served));
	signing_key_free(world->host);
	signing_key_free(world->user);
	signing_key_free(world->stranger);
}

/* ---- the dialer ---- */

static void on_opened(struct link *link, void *user)
{
	(void)link;
	((struct seen *)user)->opened++;
}

static void on_closed(struct link *link, const struct err *err, void *user)
{
	struct seen *seen = user;
	seen->closed++;
	seen->link_err = *err;
	link_close(link); /* must do no harm */
}

static void on_message(struct link_call *call, struct bytes message, void *user)
{
	struct seen *seen = user;
	(void)call;
	seen->messages++;
	seen->bytes += message.len;
	buf_clear(&seen->last);
	buf_append(&seen->last, message.data, message.len);
	if (seen->cancel_on_message)
		link_call_cancel(seen->cancel_on_message);
	link_close(TAKE(seen->close_on_message));
}

static void on_writable(struct link_call *call, void *user)
{
	(void)call;
	((struct seen *)user)->writable++;
}

static void on_ended(struct link_call *call, const struct err *err, void *user)
{
	struct seen *seen = user;
	seen->ended++;
	seen->call_err = *err;
	link_call_cancel(call); /* must do no harm */
	link_close(TAKE(seen->close_on_ended));
}

static const struct link_ops link_ops = {on_opened, on_closed};
static const struct link_call_ops call_ops = {on_message, NULL, on_writable, on_ended};

static struct link *dial_as(struct world *world, const struct signing_key *self,
	const struct signing_key *host, struct seen *seen)
{
	return link_dial(
		world->loop, world->address, self, signing_key_public(host), 0, &link_ops, seen);
}

static struct link *dial(struct world *world, struct seen *seen)
{
	return dial_as(world, world->user, world->host, seen);
}
