/* The world of a simulation: one seed, one clock, one queue of what is going to happen.
 *
 * Everything that happens is a call out of world_run, in the order of its time and then of its
 * making, and everything random comes from the seed: so the same seed is the same history. One
 * thread; nothing here reads a real clock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Figures of all seeds of a run. */
enum tally {
	TALLY_SEEDS,
	TALLY_DEPLOYMENTS,
	TALLY_CRASHES,
	TALLY_POWER_LOSSES,
	TALLY_COORDINATOR_CRASHES,
	TALLY_INTERRUPTS,
	TALLY_RESUMES,
	TALLY_MESSAGES,
	TALLY_DROPPED,
	TALLY_REPLAYED,
	TALLY_MISLED,
	TALLY_CUTS,
	TALLY_PARTITIONS,
	TALLY_CLOCK_JUMPS,
	TALLY_HELD,
	TALLY_DECISIONS,
	TALLY_COMMITTED,
	TALLY_ABORTED,
	TALLY_ROLLED_BACK,
	TALLY_FAILED_SAFE,
	TALLY_COUNT
};
const char *tally_name(enum tally tally); /* "sim: hosts crashed" */

enum { WORLD_EPOCH_MS = 1000000 }; /* times are above it, so that a skewed clock is above 0 */

struct world_event;
struct world {
	uint64_t seed, random;
	uint64_t now_ms;
	struct world_event *queue; /* a heap */
	size_t queued, cap;
	uint64_t made; /* events so far; breaks ties */
	enum { WORLD_SILENT, WORLD_TRACED } trace;
	char problem[512]; /* what is wrong; "" as long as nothing is */
	uint64_t *tallies; /* borrowed, TALLY_COUNT */
};

void world_init(struct world *world, uint64_t seed, uint64_t *tallies);
void world_release(struct world *world);

/* Call fn(user, argument) after delay_ms. */
typedef void world_fn(void *user, uint64_t argument);
void world_after(
	struct world *world, uint64_t delay_ms, world_fn *fn, void *user, uint64_t argument);
/* Until nothing is left to happen, something is wrong, or so much time has gone by. */
void world_run(struct world *world, uint64_t until_ms);

uint64_t world_random(struct world *world, uint64_t below);              /* 0 .. below - 1 */
uint64_t world_between(struct world *world, uint64_t from, uint64_t to); /* both included */
bool world_chance(struct world *world, unsigned permille);

void world_count(struct world *world, enum tally tally);
/* A line of the trace, with the time in front. */
void world_say(struct world *world, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* An invariant does not hold: the first one is kept, and the run ends. */
void world_wrong(struct world *world, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
