/* The calls that the gateway carries: each is verified, given to its handler, and answered.
 * One table action -> handler (handlers.c). Loop thread only. */
#pragma once

#include "agent/core/core.h"
#include "agent/core/deployment.h"
#include "common/link/methods.h"
#include "common/trust/envelope.h"
#include "fairlead/v1/local.pb-c.h"

struct call {
	struct call *next;
	struct core *core;
	uint64_t id; /* the gateway's number */
	const struct method *method;
	struct app *app;       /* once verified; NULL while the app is new here */
	unsigned credit;       /* messages it may send now */
	int verified;          /* its command was; further messages mean nothing */
	int spooling;          /* the gateway writes its bundle */
	struct stream *stream; /* of a server-streaming call, streams.c */
};

/* Everything but Ready. */
void calls_receive(struct core *core, const Fairlead__V1__ToCore *message);
/* The gateway is gone: forget all calls. */
void calls_drop_all(struct core *core);
/* The core stops: forget all calls, and let deployments be what the journal says. */
void calls_forget(struct core *core);
/* NULL when it has ended meanwhile. */
struct call *call_find(struct core *core, uint64_t id);

/* One message of a server-streaming call; only while call->credit > 0. */
void call_send(struct call *call, const ProtobufCMessage *message);
/* Ends and frees the call: with the one reply and OK, or with an error. */
void call_reply(struct call *call, const ProtobufCMessage *reply);
void call_fail(struct call *call, const struct err *err);
void call_finish(struct call *call); /* OK, nothing more to send */

/* The handler of an action takes the verified command: it replies now or later, or fails (<0). */
typedef int call_handler_fn(struct call *call, const struct envelope *envelope, struct err *err);
call_handler_fn *call_handler_for(Fairlead__V1__Action action);
