/* Server-streaming calls: events, service logs, manifests. Each sends while it has credit. */
#pragma once

#include "agent/core/calls.h"

struct stream;
void stream_free(struct stream *stream); /* NULL is fine */
/* Send what there is while the call has credit; may end and free the call. */
void stream_pump(struct call *call);

/* A call whose answer takes more than its handler. `release` is called exactly once, when the call
 * ends for whatever reason, also because nobody waits for it any more: what works for it ends
 * there. `pump` (NULL for a unary call) sends while call->credit > 0 and may end the call. */
void stream_attach(struct call *call, void (*pump)(struct call *call, void *state),
	void (*release)(void *state), void *state);

/* How many follow the events of the app. */
unsigned streams_watching(const struct app *app);

call_handler_fn handle_watch, handle_logs, handle_manifest;
