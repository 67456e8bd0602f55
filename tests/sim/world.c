#include "world.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdio.h>

struct world_event {
	uint64_t at_ms, made;
	world_fn *fn;
	void *user;
	uint64_t argument;
};

static const char *const tally_names[] = {
	[TALLY_SEEDS] = "sim: seeds",
	[TALLY_DEPLOYMENTS] = "sim: deployments",
	[TALLY_CRASHES] = "sim: agents crashed",
	[TALLY_POWER_LOSSES] = "sim: hosts lost power",
	[TALLY_COORDINATOR_CRASHES] = "sim: coordinators crashed",
	[TALLY_INTERRUPTS] = "sim: coordinators interrupted",
	[TALLY_RESUMES] = "sim: deployments resumed",
	[TALLY_MESSAGES] = "sim: messages sent",
	[TALLY_DROPPED] = "sim: messages dropped",
	[TALLY_REPLAYED] = "sim: commands replayed",
	[TALLY_MISLED] = "sim: commands out of turn",
	[TALLY_CUTS] = "sim: links cut",
	[TALLY_PARTITIONS] = "sim: hosts cut off",
	[TALLY_CLOCK_JUMPS] = "sim: clocks that jumped",
	[TALLY_HELD] = "sim: hosts held at a step",
	[TALLY_DECISIONS] = "sim: decisions about them",
	[TALLY_COMMITTED] = "sim: hosts committed",
	[TALLY_ABORTED] = "sim: hosts aborted",
	[TALLY_ROLLED_BACK] = "sim: hosts rolled back",
	[TALLY_FAILED_SAFE] = "sim: hosts failed safe",
};
static_assert(ARRAY_LEN(tally_names) == TALLY_COUNT, "a tally without a name");

const char *tally_name(enum tally tally)
{
	return tally_names[tally];
}

void world_init(struct world *world, uint64_t seed, uint64_t *tallies)
{
	*world = (struct world){
		.seed = seed,
		.random = seed,
		.now_ms = WORLD_EPOCH_MS,
		.tallies = tallies,
	};
}

void world_release(struct world *world)
{
	free(TAKE(world->queue));
}

/* ---- the queue ---- */

static bool before(const struct world_event *a, const struct world_event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->made < b->made;
}

static void swap(struct world_event *a, struct world_event *b)
{
	struct world_event held = *a;
	*a = *b;
	*b = held;
}

void world_after(
	struct world *world, uint64_t delay_ms, world_fn *fn, void *user, uint64_t argument)
{
	if (world->queued == world->cap) {
		world->cap = world->cap ? 2 * world->cap : 64;
		world->queue = xrealloc(world->queue, world->cap * sizeof(*world->queue));
	}
	struct world_event *queue = world->queue;
	size_t at = world->queued++;
	queue[at] =
		(struct world_event){world->now_ms + delay_ms, world->made++, fn, user, argument};
	for (; at > 0 && before(&queue[at], &queue[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&queue[at], &queue[(at - 1) / 2]);
}

static struct world_event take_first(struct world *world)
{
	struct world_event *queue = world->queue, first = queue[0];
	queue[0] = queue[--world->queued];
	for (size_t at = 0;;) {
		size_t least = at;
		for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < world->queued && before(&queue[child], &queue[least]))
				least = child;
		if (least == at)
			return first;
		swap(&queue[at], &queue[least]);
		at = least;
	}
}

void world_run(struct world *world, uint64_t until_ms)
{
	while (world->queued > 0 && !world->problem[0] && world->queue[0].at_ms <= until_ms) {
		struct world_event event = take_first(world);
		world->now_ms = event.at_ms;
		event.fn(event.user, event.argument);
	}
}

/* ---- chance ---- */

/* splitmix64, https://prng.di.unimi.it/splitmix64.c */
static uint64_t next(struct world *world)
{
	uint64_t z = world->random += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t world_random(struct world *world, uint64_t below)
{
	return next(world) % below;
}

uint64_t world_between(struct world *world, uint64_t from, uint64_t to)
{
	return from + world_random(world, to - from + 1);
}

bool world_chance(struct world *world, unsigned permille)
{
	return world_random(world, 1000) < permille;
}

/* ---- what is told ---- */

void world_count(struct world *world, enum tally tally)
{
	world->tallies[tally]++;
}

void world_say(struct world *world, const char *fmt, ...)
{
	if (world->trace == WORLD_SILENT)
		return;
	va_list ap;
	va_start(ap, fmt);
	uint64_t ms = world->now_ms - WORLD_EPOCH_MS;
	printf("%6llu.%03llu  ", (unsigned long long)ms / 1000, (unsigned long long)ms % 1000);
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
}

void world_wrong(struct world *world, const char *fmt, ...)
{
	if (world->problem[0])
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(world->problem, sizeof(world->problem), fmt, ap);
	va_end(ap);
	world_say(world, "WRONG: %s", world->problem);
}
