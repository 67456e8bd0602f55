#include "agent/core/calls.h"

#include "agent/core/gateway_process.h"
#include "agent/core/streams.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"

/* What a gateway that is not itself any more can make the core keep: calls, and messages of each
 * under way. The real one asks for a fraction of it. */
enum { CALLS_MAX = 4096, CREDIT_MAX = 64 };

/* ---- to the gateway ---- */

static void send_message(struct call *call, const ProtobufCMessage *message)
{
	AUTO(buf) struct buf packed = {0};
	pb_pack(message, &packed);
	Fairlead__V1__CallMessage inner = FAIRLEAD__V1__CALL_MESSAGE__INIT;
	Fairlead__V1__ToGateway outer = FAIRLEAD__V1__TO_GATEWAY__INIT;
	inner.call = call->id;
	inner.data = pb_borrow(packed.data, packed.len);
	outer.message = &inner;
	gateway_process_send(call->core->gateway, &outer, -1);
}

static void send_end(struct core *core, uint64_t id, const struct err *err)
{
	Fairlead__V1__CallEnd end = FAIRLEAD__V1__CALL_END__INIT;
	Fairlead__V1__ErrorDetail detail = FAIRLEAD__V1__ERROR_DETAIL__INIT;
	Fairlead__V1__ToGateway outer = FAIRLEAD__V1__TO_GATEWAY__INIT;
	end.call = id;
	outer.end = &end;
	if (err && err->code != ERR_NONE) {
		detail.code = pb_str(err_code_name(err->code));
		detail.message = pb_str(err->message);
		detail.hint = pb_str(err->hint);
		end.status = (uint32_t)err_code_status(err->code);
		end.error = &detail;
	}
	gateway_process_send(core->gateway, &outer, -1);
}

static void call_free(struct call *call)
{
	for (struct call **at = &call->core->calls; *at; at = &(*at)->next) {
		if (*at == call) {
			*at = call->next;
			call->core->call_count--;
			break;
		}
	}
	if (call->app && call->app->running)
		deployment_forget(call->app->running, call);
	stream_free(call->stream);
	free(call);
}

void call_send(struct call *call, const ProtobufCMessage *message)
{
	call->credit--;
	send_message(call, message);
}

void call_reply(struct call *call, const ProtobufCMessage *reply)
{
	send_message(call, reply);
	call_finish(call);
}

void call_fail(struct call *call, const struct err *err)
{
	send_end(call->core, call->id, err);
	call_free(call);
}

void call_finish(struct call *call)
{
	call_fail(call, NULL);
}

struct call *call_find(struct core *core, uint64_t id)
{
	for (struct call *call = core->calls; call; call = call->next)
		if (call->id == id)
			return call;
	return NULL;
}

/* ---- from the gateway ---- */

static void on_sign(struct core *core, const Fairlead__V1__SignRequest *request)
{
	if (request->transcript.len != DIGEST_SIZE) {
		core_log_foreign("gateway: a transcript of %zu bytes", request->transcript.len);
		return;
	}
	struct signature signature = signing_key_sign(
		core->host_key, KEY_CONTEXT_LINK_RESPONDER, PB_BYTES(request->transcript));
	Fairlead__V1__SignReply reply = FAIRLEAD__V1__SIGN_REPLY__INIT;
	Fairlead__V1__ToGateway outer = FAIRLEAD__V1__TO_GATEWAY__INIT;
	reply.request = request->request;
	reply.signature = pb_borrow(signature.bytes, sizeof(signature.bytes));
	outer.sign = &reply;
	gateway_process_send(core->gateway, &outer, -1);
}

static void on_admit(struct core *core, const Fairlead__V1__AdmitRequest *request)
{
	struct public_key key;
	struct err err = ERR_INIT;
	Fairlead__V1__AdmitReply reply = FAIRLEAD__V1__ADMIT_REPLY__INIT;
	Fairlead__V1__ToGateway outer = FAIRLEAD__V1__TO_GATEWAY__INIT;
	if (request->peer_key.len == sizeof(key.bytes)) {
		memcpy(key.bytes, request->peer_key.data, sizeof(key.bytes));
		reply.admitted = policy_admits(&core->policy, &key, clock_unix_ms(), &err) == 0;
	}
	if (!reply.admitted)
		core_log_foreign("refused a connection: %s", err.message);
	reply.request = request->request;
	outer.admit = &reply;
	gateway_process_send(core->gateway, &outer, -1);
}

static void on_open(struct core *core, const Fairlead__V1__CallOpen *open)
{
	const struct method *method = method_find(open->method);
	if (!method || call_find(core, open->call)) {
		struct err err = ERR_INIT;
		err_set(&err, ERR_UNSUPPORTED, "this agent has no method '%s'", open->method);
		err_hint(&err, "Use a coordinator of the agent's version, or update the agent.");
		send_end(core, open->call, &err);
		return;
	}
	if (core->call_count == CALLS_MAX) {
		struct err err = ERR_INIT;
		err_set(&err, ERR_LIMIT, "the agent has %d calls in progress", CALLS_MAX);
		err_hint(&err, "Try again when others have ended.");
		send_end(core, open->call, &err);
		return;
	}
	struct call *call = xcalloc(1, sizeof(*call));
	core->call_count++;
	call->core = core;
	call->id = open->call;
	call->method = method;
	call->next = core->calls;
	core->calls = call;
}

static int verify(struct call *call, struct bytes data, struct envelope *ret, struct err *err)
{
	struct core *core = call->core;
	const struct public_key *host = signing_key_public(core->host_key);
	uint64_t now = clock_unix_ms();
	if (call->method->kind != METHOD_CLIENT_STREAM)
		return envelope_verify(
			&core->policy, host, call->method->action, data, now, ret, err);
	Fairlead__V1__PrepareChunk *chunk = NULL;
	if (PB_UNPACK(fairlead__v1__prepare_chunk, data, &chunk, err) < 0)
		return -1;
	int rc = chunk->command ? envelope_verify_message(&core->policy, host, call->method->action,
					  chunk->command, now, ret, err)
				: err_set(err, ERR_INVALID, "the first message carries no command");
	pb_free(&chunk->base);
	return rc;
}

static void on_message(struct core *core, const Fairlead__V1__CallMessage *message)
{
	struct call *call = call_find(core, message->call);
	if (!call || call->verified)
		return; /* ended meanwhile; or more than the one request */
	AUTO(envelope) struct envelope envelope = {0};
	struct err err = ERR_INIT;
	call->verified = 1;
	if (verify(call, PB_BYTES(message->data), &envelope, &err) < 0 ||
		call_handler_for(call->method->action)(call, &envelope, &err) < 0) {
		if (err.code == ERR_AUTH || err.code == ERR_DENIED)
			core_log_foreign("refused %s: %s", call->method->name, err.message);
		call_fail(call, &err);
	}
}

/* The bundle is complete, or will not be; then the call waits for the deployment. */
static void end_spooling(struct call *call, const struct err *err)
{
	if (!call->spooling)
		return;
	call->spooling = 0;
	if (call->app && call->app->running)
		deployment_spooled(call->app->running, err);
}

static void on_spooled(struct core *core, const Fairlead__V1__SpoolDone *spooled)
{
	struct call *call = call_find(core, spooled->call);
	struct err err = ERR_INIT;
	if (!call)
		return;
	if (spooled->error) {
		err_set(&err, err_code_from_name(spooled->error->code), "%s",
			spooled->error->message);
		err_hint(&err, "%s", spooled->error->hint);
	}
	end_spooling(call, spooled->error ? &err : NULL);
}

static void on_cancel(struct core *core, uint64_t id)
{
	struct call *call = call_find(core, id);
	struct err err = ERR_INIT;
	if (!call)
		return;
	if (call->spooling) {
		struct app *app = call->app;
		call->spooling = 0;
		call_free(call);
		err_set(&err, ERR_UNREACHABLE, "the coordinator went away during the upload");
		if (app->running)
			deployment_spooled(app->running, &err);
		return;
	}
	call_free(call);
}

static void on_credit(struct core *core, const Fairlead__V1__CallCredit *credit)
{
	struct call *call = call_find(core, credit->call);
	if (!call)
		return;
	call->credit += credit->messages < CREDIT_MAX ? credit->messages : CREDIT_MAX;
	if (call->credit > CREDIT_MAX)
		call->credit = CREDIT_MAX;
	if (call->stream)
		stream_pump(call);
}

void calls_receive(struct core *core, const Fairlead__V1__ToCore *message)
{
	if (message->sign)
		on_sign(core, message->sign);
	else if (message->admit)
		on_admit(core, message->admit);
	else if (message->open)
		on_open(core, message->open);
	else if (message->message)
		on_message(core, message->message);
	else if (message->spooled)
		on_spooled(core, message->spooled);
	else if (message->cancel)
		on_cancel(core, message->cancel->call);
	else if (message->credit)
		on_credit(core, message->credit);
}

void calls_drop_all(struct core *core)
{
	while (core->calls)
		on_cancel(core, core->calls->id);
}

void calls_forget(struct core *core)
{
	for (struct call *call = core->calls, *next; call; call = next) {
		next = call->next;
		call_free(call);
	}
}
