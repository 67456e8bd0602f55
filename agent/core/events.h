/* The numbered events of one app+environment: what happened, for whoever watches or comes later.
 *
 * Numbers rise, by one as long as nothing is lost, and are never used twice: not after a restart,
 * and not after the file was lost, torn or could not be written, or the power failed
 * (event_mark.h); then they go on above all that may have been used, and who watches sees the gap.
 * The newest events (EVENTS_KEPT_BYTES of them) are kept in memory and in the file `events` of the
 * state directory: u32 length, packed Event, one after another, rewritten when it has grown to
 * twice that. Events are a convenience, the journal is the truth: the file is not synced, and a
 * torn end is cut. Loop thread only. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "fairlead/v1/agent.pb-c.h"

enum { EVENTS_KEPT_BYTES = 256 * 1024 };

struct events;
/* Fails only when no numbers can be reserved; a file that cannot be read is gone without. added:
 * called after each new event; may be NULL. */
int events_open(
	int dirfd, void (*added)(void *user), void *user, struct events **ret, struct err *err);
void events_close(struct events *events); /* NULL is fine */
/* Sets event->number; the rest is the caller's. A file that cannot be written loses the event for
 * those who come after a restart, and nothing else. */
void events_add(struct events *events, Fairlead__V1__Event *event);
uint64_t events_last(const struct events *events); /* 0: none yet */
/* Numbers go on above this one, whatever the file has lost. */
void events_raise(struct events *events, uint64_t last);
/* The packed event with the lowest kept number above `after`; len 0 when there is none. Borrowed
 * until the next events_add. */
struct bytes events_after(const struct events *events, uint64_t after, uint64_t *ret_number);
