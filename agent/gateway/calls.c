#include "agent/gateway/calls.h"

#include "agent/gateway/spool.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/link/methods.h"
#include "common/link/status.h"
#include "common/os/packet.h"

enum {
	STREAM_CREDIT = 8, /* messages the core may have under way on a server stream */
	BACKLOG_MAX = 4 * STREAM_CREDIT,
};

/* Where a client stream stands; other calls stay in UPLOAD_NONE. */
enum upload {
	UPLOAD_NONE,
	UPLOAD_FIRST,   /* the next message goes to the core */
	UPLOAD_WAITING, /* for the grant; messages are kept, their credit held back */
	UPLOAD_RUNNING,
	UPLOAD_DONE, /* told the core; what still comes is dropped */
};

struct kept {
	STAILQ_ENTRY(kept) next;
	struct buf message;
};
STAILQ_HEAD(kept_list, kept);

struct gateway_call {
	TAILQ_ENTRY(gateway_call) next;
	struct gateway_calls *calls;
	uint64_t number;
	const struct method *method;
	struct link_call *link;
	enum upload upload;
	bool uploaded; /* the client has sent its last message */
	struct spool spool;
	struct kept_list incoming; /* in UPLOAD_WAITING */
	struct kept_list outgoing; /* the link takes no more at the moment */
	size_t outgoing_count;
	unsigned unacknowledged; /* messages of the core not yet written out */
	struct err *end;         /* to end with, once outgoing is empty */
};

struct gateway_calls {
	struct port *port;
	uint64_t last_number;
	TAILQ_HEAD(, gateway_call) list;
};

/* ---- bookkeeping ---- */

struct gateway_calls *gateway_calls_new(struct port *port)
{
	struct gateway_calls *calls = xcalloc(1, sizeof(*calls));
	calls->port = port;
	TAILQ_INIT(&calls->list);
	return calls;
}

static void keep(struct kept_list *list, struct bytes message)
{
	struct kept *kept = xcalloc(1, sizeof(*kept));
	buf_append(&kept->message, message.data, message.len);
	STAILQ_INSERT_TAIL(list, kept, next);
}

static void drop_first(struct kept_list *list)
{
	struct kept *kept = STAILQ_FIRST(list);
	STAILQ_REMOVE_HEAD(list, next);
	buf_release(&kept->message);
	free(kept);
}

static void drop_all(struct kept_list *list)
{
	while (!STAILQ_EMPTY(list))
		drop_first(list);
}

static void call_free(struct gateway_call *call)
{
	TAILQ_REMOVE(&call->calls->list, call, next);
	spool_release(&call->spool);
	drop_all(&call->incoming);
	drop_all(&call->outgoing);
	free(call->end);
	free(call);
}

void gateway_calls_free(struct gateway_calls *calls)
{
	if (!calls)
		return;
	for (struct gateway_call *call = TAILQ_FIRST(&calls->list), *next; call; call = next) {
		next = TAILQ_NEXT(call, next);
		call_free(call);
	}
	free(calls);
}

static struct gateway_call *find(const struct gateway_calls *calls, uint64_t number)
{
	struct gateway_call *call;
	TAILQ_FOREACH(call, &calls->list, next)
	if (call->number == number)
		return call;
	return NULL;
}

/* ---- to the core ---- */

/* When the core is gone the main loop reads that from the socket. */
static void tell(struct gateway_call *call, const Fairlead__V1__ToCore *message)
{
	port_send(call->calls->port, message, NULL);
}

static void tell_open(struct gateway_call *call, const char *method, uint64_t deadline_ms,
	const struct public_key *peer)
{
	Fairlead__V1__CallOpen open = FAIRLEAD__V1__CALL_OPEN__INIT;
	open.call = call->number;
	open.method = pb_str(method);
	open.deadline_ms = deadline_ms;
	open.peer_key = pb_borrow(peer->bytes, sizeof(peer->bytes));
	Fairlead__V1__ToCore message = FAIRLEAD__V1__TO_CORE__INIT;
	message.open = &open;
	tell(call, &message);
}

static void tell_message(struct gateway_call *call, struct bytes data)
{
	Fairlead__V1__CallMessage inner = FAIRLEAD__V1__CALL_MESSAGE__INIT;
	inner.call = call->number;
	inner.data = pb_borrow(data.data, data.len);
	Fairlead__V1__ToCore message = FAIRLEAD__V1__TO_CORE__INIT;
	message.message = &inner;
	tell(call, &message);
}

static void tell_half_close(struct gateway_call *call)
{
	Fairlead__V1__CallId id = FAIRLEAD__V1__CALL_ID__INIT;
	id.call = call->number;
	Fairlead__V1__ToCore message = FAIRLEAD__V1__TO_CORE__INIT;
	message.half_close = &id;
	tell(call, &message);
}

static void tell_cancel(struct gateway_call *call)
{
	Fairlead__V1__CallId id = FAIRLEAD__V1__CALL_ID__INIT;
	id.call = call->number;
	Fairlead__V1__ToCore message = FAIRLEAD__V1__TO_CORE__INIT;
	message.cancel = &id;
	tell(call, &message);
}

static void tell_credit(struct gateway_call *call, uint32_t messages)
{
	Fairlead__V1__CallCredit credit = FAIRLEAD__V1__CALL_CREDIT__INIT;
	credit.call = call->number;
	credit.messages = messages;
	Fairlead__V1__ToCore message = FAIRLEAD__V1__TO_CORE__INIT;
	message.credit = &credit;
	tell(call, &message);
}

static void tell_spooled(struct gateway_call *call, const struct err *err)
{
	Fairlead__V1__SpoolDone done = FAIRLEAD__V1__SPOOL_DONE__INIT;
	Fairlead__V1__ErrorDetail detail = FAIRLEAD__V1__ERROR_DETAIL__INIT;
	done.call = call->number;
	done.bytes = call->spool.written_bytes;
	if (err) {
		detail = status_detail(err);
		done.error = &detail;
	}
	Fairlead__V1__ToCore message = FAIRLEAD__V1__TO_CORE__INIT;
	message.spooled = &done;
	tell(call, &message);
}

/* ---- to the client ---- */

static void end(struct gateway_call *call, const struct err *err)
{
	link_call_end(call->link, err);
	call_free(call);
}

/* Our own reason to end it; the core hears that nobody waits for an answer any more. */
static void refuse(struct gateway_call *call, const struct err *err)
{
	tell_cancel(call);
	end(call, err);
}

/* What the link has room for, then the end if that is due. May free the call. */
static void push(struct gateway_call *call)
{
	struct kept *kept;
	struct err err = ERR_INIT;
	while ((kept = STAILQ_FIRST(&call->outgoing))) {
		int rc = link_call_send(call->link, buf_bytes(&kept->message), &err);
		if (rc == LINK_SEND_BLOCKED)
			return;
		if (rc < 0) {
			refuse(call, &err);
			return;
		}
		drop_first(&call->outgoing);
		call->outgoing_count--;
		call->unacknowledged++;
	}
	if (call->end)
		end(call, call->end);
}

static void on_writable(struct link_call *link, void *user)
{
	struct gateway_call *call = user;
	(void)link;
	unsigned written = call->unacknowledged;
	call->unacknowledged = 0;
	if (written && call->method->kind == METHOD_SERVER_STREAM && !call->end)
		tell_credit(call, written);
	push(call);
}

/* ---- from the client ---- */

static void finish_upload(struct gateway_call *call, const struct err *err)
{
	call->upload = UPLOAD_DONE;
	tell_spooled(call, err);
	spool_release(&call->spool);
}

static void upload(struct gateway_call *call, struct bytes message)
{
	struct err err = ERR_INIT;
	if (spool_write(&call->spool, message, &err) < 0)
		finish_upload(call, &err);
}

static void forward(struct gateway_call *call, struct bytes message)
{
	struct err err = ERR_INIT;
	if (message.len <= PACKET_DATA_MAX) {
		tell_message(call, message);
		return;
	}
	err_set(&err, ERR_LIMIT, "a request of %zu bytes, at most %d are possible", message.len,
		PACKET_DATA_MAX);
	refuse(call, &err);
}

static void on_message(struct link_call *link, struct bytes message, void *user)
{
	struct gateway_call *call = user;
	switch (call->upload) {
	case UPLOAD_FIRST:
		call->upload = UPLOAD_WAITING;
		forward(call, message);
		return;
	case UPLOAD_WAITING:
		link_call_hold(link);
		keep(&call->incoming, message);
		return;
	case UPLOAD_RUNNING:
		upload(call, message);
		return;
	case UPLOAD_DONE:
		return;
	case UPLOAD_NONE:
		forward(call, message);
		return;
	}
}

static void on_half_closed(struct link_call *link, void *user)
{
	struct gateway_call *call = user;
	(void)link;
	call->uploaded = true;
	if (call->upload == UPLOAD_RUNNING)
		finish_upload(call, NULL);
	else if (call->upload == UPLOAD_NONE || call->upload == UPLOAD_FIRST)
		tell_half_close(call);
}

static void on_ended(struct link_call *link, const struct err *err, void *user)
{
	struct gateway_call *call = user;
	(void)link;
	(void)err;
	if (!call->end)
		tell_cancel(call);
	call_free(call);
}

static const struct link_call_ops link_ops = {
	.message = on_message,
	.half_closed = on_half_closed,
	.writable = on_writable,
	.ended = on_ended,
};

void gateway_calls_open(struct gateway_calls *calls, struct link_call *link, const char *method,
	uint64_t deadline_ms, const struct public_key *peer)
{
	const struct method *row = method_find(method);
	if (!row) {
		struct err err = ERR_INIT;
		err_set(&err, ERR_UNSUPPORTED, "this agent has no method '%s'", method);
		err_hint(&err, "Use a coordinator of the agent's version, or update the agent.");
		link_call_end(link, &err);
		return;
	}
	struct gateway_call *call = xcalloc(1, sizeof(*call));
	call->calls = calls;
	call->number = ++calls->last_number;
	call->method = row;
	call->link = link;
	call->upload = row->kind == METHOD_CLIENT_STREAM ? UPLOAD_FIRST : UPLOAD_NONE;
	call->spool = SPOOL_INIT;
	STAILQ_INIT(&call->incoming);
	STAILQ_INIT(&call->outgoing);
	TAILQ_INSERT_TAIL(&calls->list, call, next);
	link_call_accept(link, &link_ops, call);
	tell_open(call, method, deadline_ms, peer);
	if (row->kind == METHOD_SERVER_STREAM)
		tell_credit(call, STREAM_CREDIT);
}

/* ---- from the core ---- */

static void receive_message(struct gateway_call *call, struct bytes data)
{
	struct err err = ERR_INIT;
	if (call->end)
		return;
	if (call->outgoing_count == BACKLOG_MAX) {
		err_set(&err, ERR_INTERNAL, "the agent sends more than it may");
		refuse(call, &err);
		return;
	}
	keep(&call->outgoing, data);
	call->outgoing_count++;
	push(call);
}

static void receive_end(struct gateway_call *call, const Fairlead__V1__CallEnd *message)
{
	if (call->end)
		return;
	call->end = xcalloc(1, sizeof(*call->end));
	status_from_detail(message->status, message->error, call->end);
	if (call->end->code != ERR_NONE) {
		drop_all(&call->outgoing);
		call->outgoing_count = 0;
	}
	push(call);
}

static void receive_grant(struct gateway_call *call, uint64_t bytes, int *fd)
{
	if (call->upload != UPLOAD_WAITING || *fd < 0)
		return;
	call->upload = UPLOAD_RUNNING;
	spool_begin(&call->spool, TAKE_FD(*fd), bytes);
	while (!STAILQ_EMPTY(&call->incoming)) {
		if (call->upload == UPLOAD_RUNNING)
			upload(call, buf_bytes(&STAILQ_FIRST(&call->incoming)->message));
		drop_first(&call->incoming);
	}
	link_call_release(call->link);
	if (call->uploaded && call->upload == UPLOAD_RUNNING)
		finish_upload(call, NULL);
}

void gateway_calls_receive(
	struct gateway_calls *calls, const Fairlead__V1__ToGateway *message, int fd)
{
	AUTO_CLOSE int passed = fd;
	struct gateway_call *call = NULL;
	if (message->message && (call = find(calls, message->message->call)))
		receive_message(call, PB_BYTES(message->message->data));
	if (message->spool && (call = find(calls, message->spool->call)))
		receive_grant(call, message->spool->bytes, &passed);
	if (message->end && (call = find(calls, message->end->call)))
		receive_end(call, message->end);
}
