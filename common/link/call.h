/* What one call does with frames; the other half of mux.h, for mux.c only. */
#pragma once

#include "common/link/mux.h"

struct link_call *call_new(struct mux *mux, uint32_t stream);
void call_free(struct link_call *call);
/* Over, without a word to anybody. */
void call_kill(struct link_call *call);
/* Over for the application: `ended` comes if it still holds the call. */
void call_finish(struct link_call *call, const struct err *reason);
/* Callee: END with this status goes out behind what is queued. */
void call_end(struct link_call *call, const struct err *status);
/* The deadline has passed. */
void call_expire(struct link_call *call);
int call_receive(struct link_call *call, const struct frame *frame, struct err *err);
bool call_pull_control(struct link_call *call, uint64_t now_ms, struct buf *plain);
bool call_pull_data(struct link_call *call, struct buf *plain);
