#include "coordinator/agentlink/agent_client.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000, BUNDLE_BYTES = 3 * 1000 * 1000 };

#define A(name) FAIRLEAD__V1__ACTION__ACTION_##name

/* ---- an agent made of nothing but a link ---- */

struct agent {
	struct signing_key *key;
	struct link_server *server;
	char last_method[64];
	struct buf command; /* the payload of the last signed command */
	struct buf bundle;
	size_t largest_piece;
};

struct lab {
	struct link_loop *loop;
	struct agent agent;
	struct signing_key *key;
	struct fleet_host host;
	char *address;
	struct agent_client *client;
	struct err closed;
	bool opened;
};

static void agent_sign(
	struct link_server *server, uint64_t request, const uint8_t transcript[32], void *user)
{
	struct agent *agent = user;
	struct signature signature = signing_key_sign(
		agent->key, KEY_CONTEXT_LINK_RESPONDER, BYTES(transcript, DIGEST_SIZE));
	link_server_signed(server, request, &signature);
}

static void agent_admit(
	struct link_server *server, uint64_t request, const struct public_key *peer, void *user)
{
	(void)peer;
	(void)user;
	link_server_admit(server, request, true);
}

static void keep_command(struct agent *agent, const Fairlead__V1__SignedCommand *message)
{
	buf_clear(&agent->command);
	buf_append(&agent->command, message->payload.data, message->payload.len);
}

static void take_chunk(struct agent *agent, struct bytes message)
{
	Fairlead__V1__PrepareChunk *chunk = NULL;
	assert_int_equal(PB_UNPACK(fairlead__v1__prepare_chunk, message, &chunk, NULL), 0);
	if (chunk->command)
		keep_command(agent, chunk->command);
	buf_append(&agent->bundle, chunk->bundle.data, chunk->bundle.len);
	if (message.len > agent->largest_piece)
		agent->largest_piece = message.len;
	pb_free(&chunk->base);
}

static void take_command(struct agent *agent, struct bytes message)
{
	Fairlead__V1__SignedCommand *command = NULL;
	assert_int_equal(PB_UNPACK(fairlead__v1__signed_command, message, &command, NULL), 0);
	keep_command(agent, command);
	pb_free(&command->base);
}

static void agent_message(struct link_call *call, struct bytes message, void *user)
{
	struct agent *agent = user;
	(void)call;
	if (strcmp(agent->last_method, "/fairlead.v1.Agent/Prepare") == 0)
		take_chunk(agent, message);
	else
		take_command(agent, message);
}

static void reply(struct link_call *call, const ProtobufCMessage *message)
{
	AUTO(buf) struct buf packed = {0};
	pb_pack(message, &packed);
	assert_int_equal(link_call_send(call, buf_bytes(&packed), NULL), LINK_SEND_OK);
}

/* Prepare answers well, Activate twice, Confirm not at all, Abort with an error. */
static void agent_half_closed(struct link_call *call, void *user)
{
	struct agent *agent = user;
	Fairlead__V1__DeploymentStatus status = FAIRLEAD__V1__DEPLOYMENT_STATUS__INIT;
	struct err locked = ERR_INIT;
	status.state = FAIRLEAD__V1__STATE__STATE_PREPARED;
	const char *name = strrchr(agent->last_method, '/') + 1;
	if (strcmp(name, "Prepare") == 0 || strcmp(name, "Activate") == 0)
		reply(call, &status.base);
	if (strcmp(name, "Activate") == 0)
		reply(call, &status.base);
	if (strcmp(name, "Abort") == 0)
		err_set(&locked, ERR_LOCKED, "somebody else is here");
	link_call_end(call, &locked);
}

static void agent_called(struct link_server *server, struct link_call *call, const char *method,
	uint64_t deadline_ms, const struct public_key *peer, void *user)
{
	static const struct link_call_ops ops = {
		.message = agent_message,
		.half_closed = agent_half_closed,
	};
	struct agent *agent = user;
	(void)server;
	(void)deadline_ms;
	(void)peer;
	snprintf(agent->last_method, sizeof(agent->last_method), "%s", method);
	link_call_accept(call, &ops, agent);
}

/* ---- the lab ---- */

static void on_opened(void *user)
{
	((struct lab *)user)->opened = true;
}

static void on_closed(void *user, const struct err *err)
{
	((struct lab *)user)->closed = *err;
}

static const struct agent_client_ops client_ops = {.opened = on_opened, .closed = on_closed};

static void dial(struct lab *lab)
{
	const struct agent_client_setup setup = {
		.loop = lab->loop,
		.host = &lab->host,
		.key = lab->key,
		.app = "shop",
		.environment = "production",
		.connect_timeout_ms = PATIENCE_MS,
	};
	uint64_t deadline = clock_mono_ms() + PATIENCE_MS;
	lab->client = agent_client_new(&setup, &client_ops, lab);
	while (!lab->opened && lab->closed.code == ERR_NONE) {
		assert_true(clock_mono_ms() < deadline);
		link_loop_wait(lab->loop, 100);
	}
}

static int set_up(void **state)
{
	static const struct link_server_ops ops = {
		.sign = agent_sign,
		.admit = agent_admit,
		.called = agent_called,
	};
	static char name[] = "web1";
	if (sodium_init() < 0)
		return -1;
	struct lab *lab = xcalloc(1, sizeof(*lab));
	lab->agent.key = signing_key_new();
	lab->key = signing_key_new();
	if (link_loop_new(&lab->loop, NULL) < 0 ||
		link_listen(lab->loop, "127.0.0.1:0", signing_key_public(lab->agent.key), NULL,
			&ops, &lab->agent, &lab->agent.server, NULL) < 0)
		return -1;
	lab->address = xasprintf("127.0.0.1:%d", link_server_port(lab->agent.server));
	lab->host = (struct fleet_host){.name = name, .address = lab->address};
	lab->host.key = *signing_key_public(lab->agent.key);
	*state = lab;
	return 0;
}

static int tear_down(void **state)
{
	struct lab *lab = *state;
	agent_client_free(lab->client);
	link_server_free(lab->agent.server);
	link_loop_free(lab->loop);
	signing_key_free(lab->agent.key);
	signing_key_free(lab->key);
	buf_release(&lab->agent.command);
	buf_release(&lab->agent.bundle);
	free(lab->address);
	free(lab);
	return 0;
}

struct answer {
	unsigned messages;
	uint64_t done, total;
	bool ended;
	struct err err;
};

static void on_message(void *user, const ProtobufCMessage *message)
{
	struct answer *answer = user;
	assert_ptr_equal(message->descriptor, &fairlead__v1__deployment_status__descriptor);
	answer->messages++;
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
	struct answer *answer = user;
	assert_true(done > answer->done && done <= total);
	answer->done = done;
	answer->total = total;
}

static void on_ended(void *user, const struct err *err)
{
	struct answer *answer = user;
	answer->ended = true;
	answer->err = *err;
}

static const struct agent_call_ops call_ops = {
	.message = on_message,
	.progress = on_progress,
	.ended = on_ended,
};

static void wait_end(struct lab *lab, const struct answer *answer)
{
	uint64_t deadline = clock_mono_ms() + PATIENCE_MS;
	while (!answer->ended) {
		assert_true(clock_mono_ms() < deadline);
		link_loop_wait(lab->loop, 100);
	}
}

static struct answer call(struct lab *lab, Fairlead__V1__Action action)
{
	struct answer answer = {0};
	uint8_t id[16] = {7};
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	Fairlead__V1__Abort abort = FAIRLEAD__V1__ABORT__INIT;
	command.action = action;
	command.deployment_id = pb_borrow(id, sizeof(id));
	command.abort = action == A(ABORT) ? &abort : NULL;
	agent_client_call(lab->client, &command, PATIENCE_MS, &call_ops, &answer);
	assert_false(answer.ended); /* never from inside */
	wait_end(lab, &answer);
	return answer;
}

static Fairlead__V1__Command *last_command(struct lab *lab)
{
	Fairlead__V1__Command *command = NULL;
	assert_int_equal(
		PB_UNPACK(fairlead__v1__command, buf_bytes(&lab->agent.command), &command, NULL),
		0);
	return command;
}

/* ---- the tests ---- */

static void sequences_rise_above_what_the_host_has_seen(void **state)
{
	struct lab *lab = *state;
	dial(lab);
	uint64_t seen = (clock_unix_ms() + UINT64_C(3600000)) * 1000, before = seen;
	agent_client_set_last_sequence(lab->client, seen);
	agent_client_set_last_sequence(lab->client, 1); /* never back */
	for (int i = 0; i < 3; i++) {
		call(lab, A(ACTIVATE));
		Fairlead__V1__Command *command = last_command(lab);
		assert_true(command->sequence > before);
		before = command->sequence;
		assert_string_equal(command->app, "shop");
		assert_memory_equal(command->host_key.data, &lab->host.key, KEY_PUBLIC_SIZE);
		pb_free(&command->base);
	}
}

static void one_reply_is_wanted_where_one_belongs(void **state)
{
	struct lab *lab = *state;
	dial(lab);
	assert_int_equal(call(lab, A(ACTIVATE)).err.code, ERR_INVALID);
	assert_int_equal(call(lab, A(CONFIRM)).err.code, ERR_INVALID);
}

static void errors_name_the_host(void **state)
{
	struct lab *lab = *state;
	dial(lab);
	struct answer answer = call(lab, A(ABORT));
	assert_int_equal(answer.err.code, ERR_LOCKED);
	assert_string_equal(answer.err.message, "host 'web1': somebody else is here");
}

static void a_bundle_arrives_whole_in_small_pieces(void **state)
{
	struct lab *lab = *state;
	struct answer answer = {0};
	char path[] = "/tmp/fairlead-upload.XXXXXX";
	AUTO_FREE uint8_t *bundle = xmalloc(BUNDLE_BYTES);
	AUTO_CLOSE int fd = mkstemp(path);
	assert_true(fd >= 0 && unlink(path) == 0);
	randombytes_buf(bundle, BUNDLE_BYTES);
	assert_int_equal(fd_write_all(fd, bundle, BUNDLE_BYTES, NULL), 0);

	dial(lab);
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	Fairlead__V1__Prepare prepare = FAIRLEAD__V1__PREPARE__INIT;
	command.action = A(PREPARE);
	command.prepare = &prepare;
	agent_client_prepare(
		lab->client, &command, fd, BUNDLE_BYTES, PATIENCE_MS, &call_ops, &answer);
	wait_end(lab, &answer);
	assert_int_equal(answer.err.code, ERR_NONE);
	assert_int_equal(answer.messages, 1);
	assert_int_equal(answer.done, BUNDLE_BYTES);
	assert_int_equal(lab->agent.bundle.len, BUNDLE_BYTES);
	assert_memory_equal(lab->agent.bundle.data, bundle, BUNDLE_BYTES);
	assert_true(lab->agent.largest_piece < LINK_FRAME_MAX);
}

static void a_bundle_that_cannot_be_read_ends_the_call(void **state)
{
	struct lab *lab = *state;
	struct answer answer = {0};
	dial(lab);
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	Fairlead__V1__Prepare prepare = FAIRLEAD__V1__PREPARE__INIT;
	command.action = A(PREPARE);
	command.prepare = &prepare;
	AUTO_CLOSE int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	agent_client_prepare(lab->client, &command, fd, 100, PATIENCE_MS, &call_ops, &answer);
	wait_end(lab, &answer);
	assert_int_equal(answer.err.code, ERR_CORRUPT);
	assert_non_null(strstr(answer.err.message, "reading the bundle"));
}

static void another_key_is_not_the_host(void **state)
{
	struct lab *lab = *state;
	lab->host.key = *signing_key_public(lab->key);
	dial(lab);
	assert_int_equal(lab->closed.code, ERR_AUTH);
	assert_non_null(strstr(lab->closed.message, "web1"));
	assert_int_equal(agent_client_link(lab->client), AGENT_LINK_CLOSED);
}

static void a_closed_link_can_be_dialled_again(void **state)
{
	struct lab *lab = *state;
	struct public_key right = lab->host.key;
	lab->host.key = *signing_key_public(lab->key);
	dial(lab);
	lab->host.key = right;
	agent_client_redial(lab->client);
	assert_int_equal(agent_client_link(lab->client), AGENT_LINK_DIALLING);
	uint64_t deadline = clock_mono_ms() + PATIENCE_MS;
	while (!lab->opened) {
		assert_true(clock_mono_ms() < deadline);
		link_loop_wait(lab->loop, 100);
	}
	assert_int_equal(call(lab, A(ABORT)).err.code, ERR_LOCKED);
	assert_true(agent_client_sent_bytes(lab->client) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			sequences_rise_above_what_the_host_has_seen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_reply_is_wanted_where_one_belongs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(errors_name_the_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_bundle_arrives_whole_in_small_pieces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_bundle_that_cannot_be_read_ends_the_call, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_key_is_not_the_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_closed_link_can_be_dialled_again, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
