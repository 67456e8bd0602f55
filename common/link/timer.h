/* Timers by due time: a binary heap of timers that live inside their owners.
 *
 * Invariant: a timer is in at most one heap, and knows its place there. Pure; times are any
 * monotonic milliseconds the caller passes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct timer {
	uint64_t due_ms;
	size_t place; /* index in the heap + 1; 0: not set */
	void (*run)(struct timer *timer);
};

struct timers {
	struct timer **heap;
	size_t count, cap;
};

void timers_release(struct timers *timers);
/* Set, or move, a timer. */
void timers_set(struct timers *timers, struct timer *timer, uint64_t due_ms);
void timers_stop(struct timers *timers, struct timer *timer);
/* The earliest; NULL for none. */
struct timer *timers_first(const struct timers *timers);
