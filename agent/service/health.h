/* The judgement on one probe: when to ask, what an answer counts. Pure: events in, one step out;
 * times are milliseconds of one steady clock, passed in.
 *
 * Until the first good answer it asks quickly: after 10 ms, then whenever a quarter of the time
 * so far has passed again, at last every interval. So a service is known to be up at most a quarter
 * later than it is. A good answer counts at once, a bad one only after
 * start_period. Bad answers count at most once an interval, so that `retries` in a row take
 * the time they say whatever the pace. After the first good answer every bad one counts, and
 * breaks min_healthy, for which answers must have been good without a break. The last answer of
 * that time is asked at its end.
 *
 * An unproven answer is a good one that somebody else may have given: whoever held the port before
 * the service failed to get it, or a proxy in front of it. Before the process has been there for
 * HEALTH_SETTLE_MS it counts for nothing and is asked again; after that it is a good one. */
#pragma once

#include <stdint.h>

enum { HEALTH_QUICK_MS = 10, HEALTH_INTERVAL_MIN_MS = 50, HEALTH_GRACE_MS = 2000 };
/* A process whose port is taken has ended by then: it binds first, and fails at once. */
enum { HEALTH_SETTLE_MS = 1000 };

struct health_rule {
	uint64_t start_period_ms;
	uint64_t interval_ms;
	uint64_t timeout_ms; /* of one answer; 0: none */
	uint64_t min_healthy_ms;
	unsigned retries; /* bad answers in a row that make it failed; 0 counts as 1 */
};

struct health {
	struct health_rule rule;
	uint64_t began_ms;
	uint64_t ask_at_ms;     /* while not asking */
	uint64_t asked_ms;      /* while asking */
	uint64_t count_from_ms; /* a bad answer before does not count */
	uint64_t good_since_ms;
	uint64_t settled_ms; /* from then on an unproven answer counts */
	unsigned bad;        /* in a row, counted */
	enum health_phase {
		HEALTH_STARTING, /* no good answer yet */
		HEALTH_GOOD,     /* good since good_since_ms */
		HEALTH_SHAKY,    /* was good, is not */
		HEALTH_PASSED,
		HEALTH_FAILED,
	} phase;
	int asking;
};

enum health_answer {
	HEALTH_ANSWER_GOOD,
	HEALTH_ANSWER_UNPROVEN, /* good, but perhaps not of this process */
	HEALTH_ANSWER_BAD,
	HEALTH_ANSWER_HOPELESS, /* no later answer can be better; counts unasked too */
};
enum health_action {
	HEALTH_ASK,     /* ask now; the answer goes to health_answered */
	HEALTH_WAIT,    /* health_tick at until_ms */
	HEALTH_HEALTHY, /* the end, well */
	HEALTH_GAVE_UP, /* the end */
};
struct health_step {
	enum health_action action;
	uint64_t until_ms; /* of WAIT */
};

/* The first step, by health_tick, is to ask. */
void health_init(struct health *health, const struct health_rule *rule, uint64_t now_ms);
struct health_step health_tick(struct health *health, uint64_t now_ms);
/* An answer that nobody waits for changes nothing. A question not answered HEALTH_GRACE_MS after
 * its timeout is bad: the tick says so with HEALTH_ASK or HEALTH_GAVE_UP. */
struct health_step health_answered(
	struct health *health, enum health_answer answer, uint64_t now_ms);
/* The process is another one now: what was good was good of the one before. Asked again at once;
 * start_period does not begin anew, the time to settle does. Also for the first process, when it
 * is seen. */
void health_restarted(struct health *health, uint64_t now_ms);
