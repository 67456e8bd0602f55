/* The numbered events of one app+environment: what happened, for whoever watches or comes later.
 *
 * Numbers rise by one and survive a restart. The newest events (EVENTS_KEPT_BYTES of them) are kept
 * in memory and in the file `events` of the state directory: u32 length, packed Event, one after
 * another, rewritten when it has grown to twice that. Events are a convenience, the journal is the
 * truth: the file is not synced, and a torn end is cut. Loop thread only. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "fairlead/v1/agent.pb-c.h"

enum { EVENTS_KEPT_BYTES = 256 * 1024 };

struct events;
/* added: called after each new event; may be NULL. */
int events_open(
	int dirfd, void (*added)(void *user), void *user, struct events **ret, struct err *err);
void events_close(struct events *events); /* NULL is fine */
/* Sets event->number; the rest is the caller's. A file that cannot be written loses the event for
 * those who come after a restart, and nothing else. */
void events_add(struct events *events, Fairlead__V1__Event *event);
uint64_t events_last(const struct events *events); /* 0: none yet */
/* The packed event with the lowest kept number above `after`; len 0 when there is none. Borrowed
 * until the next events_add. */
struct bytes events_after(const struct events *events, uint64_t after, uint64_t *ret_number);
