#include "coordinator/agentlink/agent_client.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/trust/envelope.h"

#include <assert.h>

enum { UPLOAD_PIECE = 48 * 1024 }; /* below LINK_FRAME_MAX, so that a piece is one frame */

/* The method of each action, by its name in proto/fairlead/v1/agent.proto, and how many replies
 * it has (protoc-c does not keep the word `stream`). */
enum replies { REPLY_ONE, REPLY_STREAM };

static const struct {
	const char *name;
	enum replies replies;
} methods[] = {
	[FAIRLEAD__V1__ACTION__ACTION_DESCRIBE] = {"Describe", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_PREPARE] = {"Prepare", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_ACTIVATE] = {"Activate", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_CONFIRM] = {"Confirm", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_ABORT] = {"Abort", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_ROLLBACK] = {"Rollback", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_STATUS] = {"Status", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_RELEASES] = {"Releases", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_WATCH] = {"Watch", REPLY_STREAM},
	[FAIRLEAD__V1__ACTION__ACTION_LOGS] = {"Logs", REPLY_STREAM},
	[FAIRLEAD__V1__ACTION__ACTION_MANIFEST] = {"Manifest", REPLY_STREAM},
	[FAIRLEAD__V1__ACTION__ACTION_RESOLVE] = {"Resolve", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_PIN] = {"Pin", REPLY_ONE},
	[FAIRLEAD__V1__ACTION__ACTION_AUDIT] = {"Audit", REPLY_STREAM},
	[FAIRLEAD__V1__ACTION__ACTION_DRIFT] = {"Drift", REPLY_ONE},
};

struct agent_client {
	struct agent_client_setup setup;
	const struct agent_client_ops *ops;
	void *user;
	struct link *link; /* NULL once closed */
	bool open;
	struct agent_call *calls;
	uint64_t last_sequence;
	uint64_t sent_before; /* over links that have closed */
};

struct agent_call {
	struct agent_call *next;
	struct agent_client *client;
	struct link_call *link_call;
	const ProtobufCMessageDescriptor *reply;
	enum replies replies;
	const struct agent_call_ops *ops;
	void *user;
	unsigned messages;
	struct err failure; /* found on this side; comes before what the agent says */
	/* Upload: offset == total when there is nothing more to read. */
	int fd;
	uint64_t offset, total;
	bool uploading;
	struct buf piece; /* packed, not taken by the link yet */
};

static void link_opened(struct link *link, void *user)
{
	(void)link;
	struct agent_client *client = user;
	client->open = true;
	client->ops->opened(client->user);
}

static uint64_t link_sent(const struct link *link)
{
	uint64_t sent = 0, received = 0;
	link_traffic(link, &sent, &received);
	return sent;
}

static void link_closed(struct link *link, const struct err *err, void *user)
{
	struct agent_client *client = user;
	client->sent_before += link_sent(link);
	client->link = NULL;
	client->open = false;
	struct err named = *err;
	const struct fleet_host *host = client->setup.host;
	/* Whoever cannot be spoken with is not reached; it may be a bad line, and come back. */
	if (named.code == ERR_INVALID)
		named.code = ERR_UNREACHABLE;
	if (strstr(err->message, host->address))
		err_wrap(&named, "host '%s'", host->name);
	else
		err_wrap(&named, "host '%s' (%s)", host->name, host->address);
	client->ops->closed(client->user, &named);
}

static const struct link_ops link_events = {.opened = link_opened, .closed = link_closed};

void agent_client_redial(struct agent_client *client)
{
	assert(!client->link);
	client->link = link_dial(client->setup.loop, client->setup.host->address, client->setup.key,
		&client->setup.host->key, client->setup.connect_timeout_ms, &link_events, client);
}

struct agent_client *agent_client_new(
	const struct agent_client_setup *setup, const struct agent_client_ops *ops, void *user)
{
	struct agent_client *client = xcalloc(1, sizeof(*client));
	client->setup = *setup;
	client->ops = ops;
	client->user = user;
	agent_client_redial(client);
	return client;
}

static void call_free(struct agent_call *call)
{
	struct agent_call **p = &call->client->calls;
	while (*p != call)
		p = &(*p)->next;
	*p = call->next;
	buf_release(&call->piece);
	free(call);
}

void agent_client_free(struct agent_client *client)
{
	if (!client)
		return;
	if (client->link)
		link_close(client->link);
	while (client->calls)
		call_free(client->calls);
	free(client);
}

enum agent_link agent_client_link(const struct agent_client *client)
{
	if (!client->link)
		return AGENT_LINK_CLOSED;
	return client->open ? AGENT_LINK_OPEN : AGENT_LINK_DIALLING;
}

const struct fleet_host *agent_client_host(const struct agent_client *client)
{
	return client->setup.host;
}

uint64_t agent_client_sent_bytes(const struct agent_client *client)
{
	return client->sent_before + (client->link ? link_sent(client->link) : 0);
}

void agent_client_set_last_sequence(struct agent_client *client, uint64_t last)
{
	if (last > client->last_sequence)
		client->last_sequence = last;
}

/* ---- calls ---- */

static void call_end(struct agent_call *call, const struct err *err)
{
	struct err named = *err;
	if (named.code != ERR_NONE)
		err_wrap(&named, "host '%s'", call->client->setup.host->name);
	const struct agent_call_ops *ops = call->ops;
	void *user = call->user;
	call_free(call);
	ops->ended(user, &named);
}

static void on_message(struct link_call *link_call, struct bytes message, void *user)
{
	(void)link_call;
	struct agent_call *call = user;
	ProtobufCMessage *reply = NULL;
	if (call->failure.code != ERR_NONE)
		return;
	/* The caller is promised one reply where one belongs; on_ended tells of the others. */
	if (call->messages++ > 0 && call->replies == REPLY_ONE)
		return;
	if (pb_unpack(call->reply, message, &reply, &call->failure) < 0)
		return;
	call->ops->message(call->user, reply);
	pb_free(reply);
}

static void on_ended(struct link_call *link_call, const struct err *err, void *user)
{
	(void)link_call;
	struct agent_call *call = user;
	struct err found = call->failure.code != ERR_NONE ? call->failure : *err;
	if (found.code == ERR_NONE && call->replies == REPLY_ONE && call->messages != 1)
		err_set(&found, ERR_INVALID, "the agent sent %u replies where one belongs",
			call->messages);
	call_end(call, &found);
}

/* ---- upload ---- */

static void pack_piece(struct agent_call *call, const uint8_t *data, size_t len)
{
	Fairlead__V1__PrepareChunk chunk = FAIRLEAD__V1__PREPARE_CHUNK__INIT;
	chunk.bundle = pb_borrow(data, len);
	PB_PACK(&chunk, &call->piece);
}

static int next_piece(struct agent_call *call, struct err *err)
{
	uint8_t data[UPLOAD_PIECE];
	uint64_t left = call->total - call->offset;
	size_t len = left < sizeof(data) ? (size_t)left : sizeof(data);
	if (fd_pread_exact(call->fd, data, len, (off_t)call->offset, err) < 0)
		return err_wrap(err, "reading the bundle");
	pack_piece(call, data, len);
	call->offset += len;
	return 0;
}

/* Give the link what it takes now. */
static int upload(struct agent_call *call, struct err *err)
{
	for (;;) {
		if (call->piece.len == 0) {
			if (call->offset == call->total)
				break;
			if (next_piece(call, err) < 0)
				return -1;
		}
		int r = link_call_send(call->link_call, buf_bytes(&call->piece), err);
		if (r < 0)
			return -1;
		if (r == LINK_SEND_BLOCKED)
			return 0;
		buf_clear(&call->piece);
		if (call->ops->progress && call->offset > 0)
			call->ops->progress(call->user, call->offset, call->total);
	}
	call->uploading = false;
	link_call_half_close(call->link_call);
	return 0;
}

/* A failure here is told by `ended`: with its half closed too early, the agent ends the call. */
static void upload_or_give_up(struct agent_call *call)
{
	if (!call->uploading || upload(call, &call->failure) == 0)
		return;
	call->uploading = false;
	link_call_half_close(call->link_call);
}

static void on_writable(struct link_call *link_call, void *user)
{
	(void)link_call;
	upload_or_give_up(user);
}

static const struct link_call_ops link_call_events = {
	.message = on_message,
	.writable = on_writable,
	.ended = on_ended,
};

/* ---- start ---- */

/* The first chunk holds the packed SignedCommand as its only field. */
static int pack_command(struct buf *out, struct bytes packed, struct err *err)
{
	Fairlead__V1__SignedCommand *signed_command = NULL;
	if (PB_UNPACK(fairlead__v1__signed_command, packed, &signed_command, err) < 0)
		return -1;
	Fairlead__V1__PrepareChunk chunk = FAIRLEAD__V1__PREPARE_CHUNK__INIT;
	chunk.command = signed_command;
	PB_PACK(&chunk, out);
	pb_free(&signed_command->base);
	return 0;
}

static void complete_command(struct agent_client *client, Fairlead__V1__Command *command)
{
	command->host_key = pb_borrow(client->setup.host->key.bytes, KEY_PUBLIC_SIZE);
	command->app = pb_str(client->setup.app);
	command->environment = pb_str(client->setup.environment);
	if (!envelope_action_changes(command->action))
		return;
	uint64_t now_us = clock_unix_ms() * 1000;
	client->last_sequence = now_us > client->last_sequence ? now_us : client->last_sequence + 1;
	command->sequence = client->last_sequence;
}

static struct agent_call *call_new(struct agent_client *client, Fairlead__V1__Action action,
	uint64_t deadline_ms, const struct agent_call_ops *ops, void *user)
{
	assert(client->open && (size_t)action < ARRAY_LEN(methods) && methods[action].name);
	const ProtobufCServiceDescriptor *service = &fairlead__v1__agent__descriptor;
	const ProtobufCMethodDescriptor *method =
		protobuf_c_service_descriptor_get_method_by_name(service, methods[action].name);
	struct agent_call *call = xcalloc(1, sizeof(*call));
	AUTO_FREE char *path = xasprintf("/%s/%s", service->name, method->name);
	call->client = client;
	call->reply = method->output;
	call->replies = methods[action].replies;
	call->ops = ops;
	call->user = user;
	call->next = client->calls;
	client->calls = call;
	call->link_call = link_call_start(client->link, path, deadline_ms, &link_call_events, call);
	return call;
}

struct agent_call *agent_client_call(struct agent_client *client, Fairlead__V1__Command *command,
	uint64_t deadline_ms, const struct agent_call_ops *ops, void *user)
{
	struct agent_call *call = call_new(client, command->action, deadline_ms, ops, user);
	AUTO(buf) struct buf packed = {0};
	complete_command(client, command);
	envelope_sign(client->setup.key, command, clock_unix_ms(), &packed);
	link_call_send(call->link_call, buf_bytes(&packed), &call->failure);
	link_call_half_close(call->link_call);
	return call;
}

struct agent_call *agent_client_prepare(struct agent_client *client, Fairlead__V1__Command *command,
	int bundle_fd, uint64_t bundle_bytes, uint64_t deadline_ms,
	const struct agent_call_ops *ops, void *user)
{
	struct agent_call *call = call_new(client, command->action, deadline_ms, ops, user);
	AUTO(buf) struct buf packed = {0};
	complete_command(client, command);
	envelope_sign(client->setup.key, command, clock_unix_ms(), &packed);
	call->fd = bundle_fd;
	call->total = bundle_bytes;
	call->uploading = true;
	if (pack_command(&call->piece, buf_bytes(&packed), &call->failure) == 0)
		upload_or_give_up(call);
	else
		link_call_half_close(call->link_call);
	return call;
}

void agent_call_cancel(struct agent_call *call)
{
	if (!call)
		return;
	link_call_cancel(call->link_call);
	call_free(call);
}
