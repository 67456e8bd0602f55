#include "common/link/timer.h"

#include "common/base/mem.h"

void timers_release(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){0};
}

static void put(struct timers *timers, size_t i, struct timer *timer)
{
	timers->heap[i] = timer;
	timer->place = i + 1;
}

static void rise(struct timers *timers, size_t i)
{
	struct timer *timer = timers->heap[i];
	for (; i > 0; i = (i - 1) / 2) {
		struct timer *parent = timers->heap[(i - 1) / 2];
		if (parent->due_ms <= timer->due_ms)
			break;
		put(timers, i, parent);
	}
	put(timers, i, timer);
}

static void sink(struct timers *timers, size_t i)
{
	struct timer *timer = timers->heap[i];
	for (size_t child; (child = 2 * i + 1) < timers->count; i = child) {
		if (child + 1 < timers->count &&
			timers->heap[child + 1]->due_ms < timers->heap[child]->due_ms)
			child++;
		if (timer->due_ms <= timers->heap[child]->due_ms)
			break;
		put(timers, i, timers->heap[child]);
	}
	put(timers, i, timer);
}

void timers_set(struct timers *timers, struct timer *timer, uint64_t due_ms)
{
	timer->due_ms = due_ms;
	if (!timer->place) {
		if (timers->count == timers->cap) {
			timers->cap = timers->cap ? 2 * timers->cap : 16;
			timers->heap = xrealloc(timers->heap, timers->cap * sizeof(struct timer *));
		}
		put(timers, timers->count++, timer);
	}
	rise(timers, timer->place - 1);
	sink(timers, timer->place - 1);
}

void timers_stop(struct timers *timers, struct timer *timer)
{
	if (!timer->place)
		return;
	size_t i = timer->place - 1;
	timer->place = 0;
	struct timer *last = timers->heap[--timers->count];
	if (last == timer)
		return;
	put(timers, i, last);
	rise(timers, i);
	sink(timers, last->place - 1);
}

struct timer *timers_first(const struct timers *timers)
{
	return timers->count ? timers->heap[0] : NULL;
}
