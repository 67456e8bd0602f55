/* Drives the real fairlead-gateway: the test is the core at one end, and a client at the other. */
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/link/link.h"
#include "common/link/status.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/os/packet.h"
#include "fairlead/v1/local.pb-c.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

struct client_view {
	unsigned opened, closed, ended, messages, writable;
	size_t bytes;
	struct err link_err, call_err;
	struct buf last;
};

struct rig {
	pid_t pid;
	int core;
	struct signing_key *host, *user;
	char address[64];
	struct link_loop *loop;
	struct link *link;
	struct client_view view;
	Fairlead__V1__ToCore *got; /* the last packet of the gateway */
};

/* ---- the core's end ---- */

static void send_packet(struct rig *rig, Fairlead__V1__ToGateway *message, int fd)
{
	struct err err = ERR_INIT;
	AUTO(buf) struct buf packed = {0};
	PB_PACK(message, &packed);
	assert_int_equal(packet_send(rig->core, buf_bytes(&packed), fd, &err), PACKET_SENT);
}

/* One turn of the client's loop and, if there is one, one packet into rig->got. */
static bool next_packet(struct rig *rig, int timeout_ms)
{
	struct err err = ERR_INIT;
	AUTO(buf) struct buf packet = {0};
	struct pollfd fds[] = {{.fd = rig->core, .events = POLLIN},
		{.fd = link_loop_fd(rig->loop), .events = POLLIN}};
	poll(fds, 2, timeout_ms);
	link_loop_dispatch(rig->loop);
	if (!(fds[0].revents & POLLIN))
		return false;
	assert_int_equal(packet_recv(rig->core, &packet, NULL, &err), PACKET_RECEIVED);
	pb_free((ProtobufCMessage *)rig->got);
	rig->got = NULL;
	assert_int_equal(PB_UNPACK(fairlead__v1__to_core, buf_bytes(&packet), &rig->got, &err), 0);
	return true;
}

/* Wait for a packet that has `field`; others fail the test. */
#define EXPECT(rig, field)                                                                         \
	do {                                                                                       \
		uint64_t until_ = clock_mono_ms() + PATIENCE_MS;                                   \
		while (!next_packet(rig, 50))                                                      \
			if (clock_mono_ms() > until_)                                              \
				fail_msg("no packet with %s", #field);                             \
		assert_non_null((rig)->got->field);                                                \
	} while (0)

#define WAIT_FOR(rig, condition)                                                                   \
	do {                                                                                       \
		uint64_t until_ = clock_mono_ms() + PATIENCE_MS;                                   \
		while (!(condition)) {                                                             \
			if (clock_mono_ms() > until_)                                              \
				fail_msg("not in time: %s", #condition);                           \
			link_loop_wait((rig)->loop, 50);                                           \
		}                                                                                  \
	} while (0)

static void send_message(struct rig *rig, uint64_t call, struct bytes data)
{
	Fairlead__V1__CallMessage inner = FAIRLEAD__V1__CALL_MESSAGE__INIT;
	inner.call = call;
	inner.data = pb_borrow(data.data, data.len);
	Fairlead__V1__ToGateway message = FAIRLEAD__V1__TO_GATEWAY__INIT;
	message.message = &inner;
	send_packet(rig, &message, -1);
}

static void send_end(struct rig *rig, uint64_t call, const struct err *err)
{
	Fairlead__V1__CallEnd end = FAIRLEAD__V1__CALL_END__INIT;
	Fairlead__V1__ErrorDetail detail;
	end.call = call;
	if (err) {
		detail = status_detail(err);
		end.status = (uint32_t)err_code_status(err->code);
		end.error = &detail;
	}
	Fairlead__V1__ToGateway message = FAIRLEAD__V1__TO_GATEWAY__INIT;
	message.end = &end;
	send_packet(rig, &message, -1);
}

static void send_grant(struct rig *rig, uint64_t call, uint64_t bytes, int fd)
{
	Fairlead__V1__SpoolGrant grant = FAIRLEAD__V1__SPOOL_GRANT__INIT;
	grant.call = call;
	grant.bytes = bytes;
	Fairlead__V1__ToGateway message = FAIRLEAD__V1__TO_GATEWAY__INIT;
	message.spool = &grant;
	send_packet(rig, &message, fd);
}

/* ---- the client's end ---- */

static void on_opened(struct link *link, void *user)
{
	(void)link;
	((struct client_view *)user)->opened++;
}

static void on_closed(struct link *link, const struct err *err, void *user)
{
	struct client_view *view = user;
	(void)link;
	view->closed++;
	view->link_err = *err;
}

static void on_message(struct link_call *call, struct bytes message, void *user)
{
	struct client_view *view = user;
	(void)call;
	view->messages++;
	view->bytes += message.len;
	buf_clear(&view->last);
	buf_append(&view->last, message.data, message.len);
}

static void on_writable(struct link_call *call, void *user)
{
	(void)call;
	((struct client_view *)user)->writable++;
}

static void on_ended(struct link_call *call, const struct err *err, void *user)
{
	struct client_view *view = user;
	(void)call;
	view->ended++;
	view->call_err = *err;
}

static const struct link_ops link_ops = {on_opened, on_closed};
static const struct link_call_ops call_ops = {on_message, NULL, on_writable, on_ended};

static struct link_call *start(struct rig *rig, const char *method, struct bytes request)
{
	struct err err = ERR_INIT;
	struct link_call *call = link_call_start(rig->link, method, 0, &call_ops, &rig->view);
	assert_int_equal(link_call_send(call, request, &err), LINK_SEND_OK);
	return call;
}

static void send_chunk(struct link_call *call, struct bytes bundle)
{
	struct err err = ERR_INIT;
	AUTO(buf) struct buf packed = {0};
	Fairlead__V1__PrepareChunk chunk = FAIRLEAD__V1__PREPARE_CHUNK__INIT;
	chunk.bundle = pb_borrow(bundle.data, bundle.len);
	PB_PACK(&chunk, &packed);
	assert_int_equal(link_call_send(call, buf_bytes(&packed), &err), LINK_SEND_OK);
}

/* ---- the rig ---- */

static void start_gateway(struct rig *rig)
{
	struct err err = ERR_INIT;
	int pair[2];
	char key[KEY_TEXT_SIZE];
	public_key_text(signing_key_public(rig->host), key);
	assert_int_equal(packet_pair(pair, &err), 0);
	rig->pid = fork();
	assert_true(rig->pid >= 0);
	if (rig->pid == 0) {
		dup2(pair[1], 3);
		if (pair[1] == 3)
			fcntl(3, F_SETFD, 0);
		/* It is not dumpable, so a leak checker cannot look at it as an ordinary user. */
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		execl(BIN_DIR "/fairlead-gateway", "fairlead-gateway", "--listen", "127.0.0.1:0",
			"--host-key", key, NULL);
		_exit(127);
	}
	close(pair[1]);
	rig->core = pair[0];
}

static void admit(struct rig *rig, bool admitted)
{
	EXPECT(rig, sign);
	assert_int_equal(rig->got->sign->transcript.len, 32);
	struct signature signature = signing_key_sign(
		rig->host, KEY_CONTEXT_LINK_RESPONDER, PB_BYTES(rig->got->sign->transcript));
	Fairlead__V1__SignReply sign = FAIRLEAD__V1__SIGN_REPLY__INIT;
	sign.request = rig->got->sign->request;
	sign.signature = pb_borrow(signature.bytes, sizeof(signature.bytes));
	Fairlead__V1__ToGateway message = FAIRLEAD__V1__TO_GATEWAY__INIT;
	message.sign = &sign;
	send_packet(rig, &message, -1);

	EXPECT(rig, admit);
	const struct public_key *user = signing_key_public(rig->user);
	assert_int_equal(rig->got->admit->peer_key.len, sizeof(user->bytes));
	assert_memory_equal(rig->got->admit->peer_key.data, user->bytes, sizeof(user->bytes));
	Fairlead__V1__AdmitReply reply = FAIRLEAD__V1__ADMIT_REPLY__INIT;
	reply.request = rig->got->admit->request;
	reply.admitted = admitted;
	message = (Fairlead__V1__ToGateway)FAIRLEAD__V1__TO_GATEWAY__INIT;
	message.admit = &reply;
	send_packet(rig, &message, -1);
}

static void connect_client(struct rig *rig)
{
	rig->link = link_dial(rig->loop, rig->address, rig->user, signing_key_public(rig->host), 0,
		&link_ops, &rig->view);
}

static int open_rig(void **state)
{
	assert_true(sodium_init() >= 0);
	struct err err = ERR_INIT;
	struct rig *rig = xcalloc(1, sizeof(*rig));
	*state = rig;
	rig->host = signing_key_new();
	rig->user = signing_key_new();
	start_gateway(rig);
	assert_int_equal(link_loop_new(&rig->loop, &err), 0);
	EXPECT(rig, ready);
	snprintf(rig->address, sizeof(rig->address), "127.0.0.1:%u", rig->got->ready->port);
	connect_client(rig);
	return 0;
}

/* Closing the socket must end the gateway, with status 0. */
static int close_rig(void **state)
{
	struct rig *rig = *state;
	int status = -1;
	link_loop_free(rig->loop);
	close(rig->core);
	assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
	assert_int_equal(status, 0);
	pb_free((ProtobufCMessage *)rig->got);
	buf_release(&rig->view.last);
	signing_key_free(rig->host);
	signing_key_free(rig->user);
	free(rig);
	return 0;
}

/* ---- tests ---- */

static void carries_a_unary_call(void **state)
{
	struct rig *rig = *state;
	admit(rig, true);
	struct link_call *call = start(rig, "/fairlead.v1.Agent/Status", BYTES_STR("request"));
	link_call_half_close(call);
	EXPECT(rig, open);
	uint64_t number = rig->got->open->call;
	assert_string_equal(rig->got->open->method, "/fairlead.v1.Agent/Status");
	assert_int_equal(rig->got->open->peer_key.len, KEY_PUBLIC_SIZE);
	EXPECT(rig, message);
	assert_int_equal(rig->got->message->call, number);
	assert_memory_equal(rig->got->message->data.data, "request", 7);
	EXPECT(rig, half_close);
	assert_int_equal(rig->got->half_close->call, number);
	send_message(rig, number, BYTES_STR("reply"));
	send_end(rig, number, NULL);
	WAIT_FOR(rig, rig->view.ended);
	assert_int_equal(rig->view.call_err.code, ERR_NONE);
	assert_string_equal(buf_str(&rig->view.last), "reply");
}

static void carries_an_error_with_its_hint(void **state)
{
	struct rig *rig = *state;
	struct err err = ERR_INIT;
	err_set(&err, ERR_LOCKED, "held by 'ci'");
	err_hint(&err, "Wait for it.");
	admit(rig, true);
	start(rig, "/fairlead.v1.Agent/Abort", BYTES_STR(""));
	EXPECT(rig, open);
	send_end(rig, rig->got->open->call, &err);
	WAIT_FOR(rig, rig->view.ended);
	assert_int_equal(rig->view.call_err.code, ERR_LOCKED);
	assert_string_equal(rig->view.call_err.message, "held by 'ci'");
	assert_string_equal(rig->view.call_err.hint, "Wait for it.");
}

static void refuses_whom_the_core_refuses(void **state)
{
	struct rig *rig = *state;
	admit(rig, false);
	WAIT_FOR(rig, rig->view.closed);
	assert_int_equal(rig->view.opened, 0);
	assert_int_equal(rig->view.link_err.code, ERR_AUTH);
}

static void refuses_an_unknown_method(void **state)
{
	struct rig *rig = *state;
	admit(rig, true);
	start(rig, "/fairlead.v1.Agent/Reboot", BYTES_STR(""));
	WAIT_FOR(rig, rig->view.ended);
	assert_int_equal(rig->view.call_err.code, ERR_UNSUPPORTED);
}

static uint64_t begin_prepare(struct rig *rig, struct link_call **ret)
{
	admit(rig, true);
	*ret = start(rig, "/fairlead.v1.Agent/Prepare", BYTES_STR("command"));
	EXPECT(rig, open);
	uint64_t number = rig->got->open->call;
	EXPECT(rig, message);
	assert_memory_equal(rig->got->message->data.data, "command", 7);
	return number;
}

static void spools_a_bundle(void **state)
{
	struct rig *rig = *state;
	enum { CHUNK = 100000, CHUNKS = 30 };
	static uint8_t chunk[CHUNK];
	struct link_call *call = NULL;
	uint64_t number = begin_prepare(rig, &call);
	unsigned sent = 0;
	/* Before the grant only a window's worth leaves us; the rest waits here. */
	for (; sent < 3; sent++) {
		memset(chunk, (int)sent, CHUNK);
		send_chunk(call, BYTES(chunk, CHUNK));
		WAIT_FOR(rig, rig->view.writable > sent || sent == 2);
	}
	AUTO_CLOSE int spool = memfd_create("spool", MFD_CLOEXEC);
	send_grant(rig, number, CHUNK * CHUNKS, spool);
	for (; sent < CHUNKS; sent++) {
		unsigned before = rig->view.writable;
		WAIT_FOR(rig, rig->view.writable > before || before > sent);
		memset(chunk, (int)sent, CHUNK);
		send_chunk(call, BYTES(chunk, CHUNK));
	}
	link_call_half_close(call);
	EXPECT(rig, spooled);
	assert_null(rig->got->spooled->error);
	assert_int_equal(rig->got->spooled->bytes, CHUNK * CHUNKS);
	for (unsigned i = 0; i < CHUNKS; i++) {
		struct err err = ERR_INIT;
		uint8_t expected[16];
		memset(expected, (int)i, sizeof(expected));
		assert_int_equal(fd_pread_exact(spool, chunk, CHUNK, (off_t)i * CHUNK, &err), 0);
		assert_memory_equal(chunk, expected, sizeof(expected));
		assert_memory_equal(chunk + CHUNK - 16, expected, sizeof(expected));
	}
	send_message(rig, number, BYTES_STR("prepared"));
	send_end(rig, number, NULL);
	WAIT_FOR(rig, rig->view.ended);
	assert_int_equal(rig->view.call_err.code, ERR_NONE);
	assert_string_equal(buf_str(&rig->view.last), "prepared");
}

static void reports_a_full_disk(void **state)
{
	struct rig *rig = *state;
	struct link_call *call = NULL;
	uint64_t number = begin_prepare(rig, &call);
	AUTO_CLOSE int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	send_grant(rig, number, 1000, full);
	send_chunk(call, BYTES_STR("bundle"));
	EXPECT(rig, spooled);
	assert_non_null(rig->got->spooled->error);
	assert_string_equal(rig->got->spooled->error->code, "no_space");
}

static void reports_more_than_was_granted(void **state)
{
	struct rig *rig = *state;
	struct link_call *call = NULL;
	uint64_t number = begin_prepare(rig, &call);
	AUTO_CLOSE int spool = memfd_create("spool", MFD_CLOEXEC);
	send_chunk(call, BYTES_STR("12345678"));
	send_chunk(call, BYTES_STR("9"));
	send_grant(rig, number, 8, spool);
	EXPECT(rig, spooled);
	assert_string_equal(rig->got->spooled->error->code, "limit");
	assert_int_equal(rig->got->spooled->bytes, 8);
}

static void gives_credit_as_a_stream_is_read(void **state)
{
	struct rig *rig = *state;
	static uint8_t chunk[PACKET_DATA_MAX];
	enum { MESSAGES = 40 };
	admit(rig, true);
	link_call_half_close(start(rig, "/fairlead.v1.Agent/Logs", BYTES_STR("")));
	EXPECT(rig, open);
	uint64_t number = rig->got->open->call;
	uint64_t until = clock_mono_ms() + PATIENCE_MS;
	unsigned credit = 0, sent = 0;
	while (sent < MESSAGES) {
		assert_true(clock_mono_ms() < until);
		for (; credit > 0 && sent < MESSAGES; credit--, sent++)
			send_message(rig, number, BYTES(chunk, sizeof(chunk)));
		if (next_packet(rig, 50) && rig->got->credit)
			credit += rig->got->credit->messages;
	}
	send_end(rig, number, NULL);
	WAIT_FOR(rig, rig->view.ended);
	assert_int_equal(rig->view.call_err.code, ERR_NONE);
	assert_int_equal(rig->view.messages, MESSAGES);
	assert_int_equal(rig->view.bytes, MESSAGES * sizeof(chunk));
}

static void tells_the_core_of_a_cancelled_call(void **state)
{
	struct rig *rig = *state;
	struct link_call *call = NULL;
	uint64_t number = begin_prepare(rig, &call);
	link_call_cancel(call);
	EXPECT(rig, cancel);
	assert_int_equal(rig->got->cancel->call, number);
	send_message(rig, number, BYTES_STR("too late"));
	send_end(rig, number, NULL);
	start(rig, "/fairlead.v1.Agent/Watch", BYTES_STR(""));
	EXPECT(rig, open);
	number = rig->got->open->call;
	EXPECT(rig, credit);
	EXPECT(rig, message);
	link_close(rig->link);
	EXPECT(rig, cancel);
	assert_int_equal(rig->got->cancel->call, number);
}

/* A core gone mad: nothing of it may end the gateway. */
static void survives_nonsense_from_the_core(void **state)
{
	struct rig *rig = *state;
	struct err err = ERR_INIT;
	struct link_call *call = NULL;
	AUTO_CLOSE int spool = memfd_create("spool", MFD_CLOEXEC);
	static const uint8_t garbage[] = {0xff, 0xff, 0xff, 0x01, 0x00};
	assert_int_equal(packet_send(rig->core, BYTES(garbage, sizeof(garbage)), spool, &err), 0);
	send_message(rig, 12345, BYTES_STR("nobody"));
	send_end(rig, 0, NULL);
	send_grant(rig, 99, 1, spool);
	send_grant(rig, 99, 1, -1);
	Fairlead__V1__SignReply sign = FAIRLEAD__V1__SIGN_REPLY__INIT;
	sign.request = 1;
	sign.signature = pb_borrow("short", 5);
	Fairlead__V1__AdmitReply early = FAIRLEAD__V1__ADMIT_REPLY__INIT;
	early.request = 1;
	early.admitted = true;
	Fairlead__V1__ToGateway message = FAIRLEAD__V1__TO_GATEWAY__INIT;
	message.sign = &sign;
	message.admit = &early;
	send_packet(rig, &message, spool);
	uint64_t number = begin_prepare(rig, &call);
	send_grant(rig, number, 4, -1);
	send_grant(rig, number, 4, spool);
	AUTO_CLOSE int second = memfd_create("second", MFD_CLOEXEC);
	send_grant(rig, number, 400, second); /* one grant is enough */
	send_chunk(call, BYTES_STR("1234"));
	link_call_half_close(call);
	EXPECT(rig, spooled);
	assert_int_equal(rig->got->spooled->bytes, 4);
	assert_int_equal(lseek(spool, 0, SEEK_END), 4);
	assert_int_equal(lseek(second, 0, SEEK_END), 0);
	send_grant(rig, number, 400, spool);
	send_end(rig, number, NULL);
	send_end(rig, number, NULL);
	WAIT_FOR(rig, rig->view.ended);
	assert_int_equal(rig->view.call_err.code, ERR_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
		CASE(carries_a_unary_call),
		CASE(carries_an_error_with_its_hint),
		CASE(refuses_whom_the_core_refuses),
		CASE(refuses_an_unknown_method),
		CASE(spools_a_bundle),
		CASE(reports_a_full_disk),
		CASE(reports_more_than_was_granted),
		CASE(gives_credit_as_a_stream_is_read),
		CASE(tells_the_core_of_a_cancelled_call),
		CASE(survives_nonsense_from_the_core),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
