/* Inside of the watch over one service: its checks, its process, and how they come to a verdict.
 * Private to agent/service; what others use is in prober.h.
 *
 *     health_watch.c    beginning and end, the timer, what follows from an answer
 *     health_ask.c      asking one check, by its kind
 *     health_process.c  the process itself, from the driver's status */
#pragma once

#include "agent/service/health.h"
#include "agent/service/probe_worker.h"
#include "agent/service/prober.h"

#include <netinet/in.h>

enum { CHECK_ANSWER_SIZE = 513 };

struct prober {
	struct probe_worker *worker;
	struct health_watch *watches;
	uv_loop_t *loop;
	uint64_t last_request;
};

/* One check of a watch. */
struct check {
	struct health_watch *watch;
	const Fairlead__V1__Probe *probe;
	struct health health;
	uint64_t wake_ms;
	uint64_t request; /* under way in the worker; 0: none */
	char answer[CHECK_ANSWER_SIZE];
	uint64_t latency_us; /* of that answer; 0: there was none, or it has none */
	/* What the last answer that had any connected to; empty: none yet. */
	char peer[INET6_ADDRSTRLEN];
	unsigned peer_port;
};

struct health_watch {
	struct prober *prober;
	struct health_watch *next;
	struct health_subject subject;
	health_done_fn *done;
	void *user;
	uv_timer_t timer;
	struct check *checks;
	size_t count;

	/* The process, from the driver's status. */
	int asking_status; /* an operation that cannot be called back */
	int want_status;
	uint64_t guard_at_ms;
	uint64_t guard_pause_ms;
	int64_t pid; /* 0: not seen yet */
	int seen;
	uint32_t restarts_before; /* when it was first seen */

	enum { WATCH_OPEN, WATCH_DECIDED, WATCH_ENDED } phase;
	int timer_closed;
	struct err verdict;
	const struct check *failed; /* that decided; NULL: none did */
	int is_lost;
	uint64_t tell_at_ms; /* of DECIDED: at the latest */
};

/* ---- health_watch.c ---- */

/* The caller hears of it from the timer, never in the middle of our walk over the watches. */
void health_watch_decide(struct health_watch *watch, const struct err *verdict);
/* The process has ended for good; a check of `running` may have said so already. */
void health_watch_lost(struct health_watch *watch, const char *words);
/* An answer to the question that is under way, or one that needed none. */
void health_watch_answer(struct check *check, enum health_answer answer);
/* Do what the engine says. */
void health_watch_follow(struct check *check, struct health_step step);
int health_watch_all_passed(const struct health_watch *watch);
/* Set the timer to the next thing to do. */
void health_watch_schedule(struct health_watch *watch);
/* Gone when nothing can call back any more. */
void health_watch_free_if_done(struct health_watch *watch);

/* ---- health_ask.c ---- */

/* Ask; the answer comes later. -1: it could not be asked, and check->answer says why. */
int health_ask(struct check *check);
/* Its answer is not waited for any more. */
void health_ask_cancel(struct check *check);
int health_ask_waits(const struct check *check);
/* "http probe of http://…" */
void health_ask_describe(const Fairlead__V1__Probe *probe, struct buf *out);
/* The worker's answer to whoever asked; NULL: it died. */
probe_answer_fn health_ask_replied;
/* Which process holds the port that was asked; nothing when that is not to be seen. */
void health_ask_name_holder(const struct check *check, struct buf *out);

/* ---- health_process.c ---- */

void health_process_ask(struct health_watch *watch);
