/* Server-streaming calls: events, service logs, manifests. Each sends while it has credit. */
#pragma once

#include "agent/core/calls.h"

struct stream;
void stream_free(struct stream *stream); /* NULL is fine */
/* Send what there is while the call has credit; may end and free the call. */
void stream_pump(struct call *call);

call_handler_fn handle_watch, handle_logs, handle_manifest;
