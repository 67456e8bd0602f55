/* What must be true of a simulated fleet, at every step and at the end.
 *
 * Hosts and coordinators tell what they do; what was promised to whom is remembered here, beside
 * their own memories, which they lose. Each check says in its message what was promised. */
#pragma once

#include "coordinator/rollout/rollout.h"
#include "message.h"
#include "net.h"

enum { CHECK_DEPLOYMENTS = 32, CHECK_STEPS = 3 };

/* One deployment as its coordinator signed it, and what came of it on each host. */
struct check_deployment {
	struct command plan; /* `from` differs between hosts */
	struct check_host {
		unsigned from;
		bool accepted, ended;
		bool activate_sent, confirm_sent;
		bool cancelled;   /* by a command; the journal says so too */
		bool saw_healthy; /* the journal says healthy, and nothing since */
		bool was_new;     /* `current` pointed to the new release */
		Fairlead__V1__State end;
		unsigned runs[2][CHECK_STEPS], allowed[2][CHECK_STEPS]; /* of a `once` step */
	} hosts[NET_HOSTS];
};

struct check {
	struct world *world;
	size_t hosts;
	struct check_deployment deployments[CHECK_DEPLOYMENTS];
	uint64_t count; /* deployment n is deployments[n - 1] */
	struct {
		Fairlead__V1__State state; /* of the newest durable record */
		uint64_t deployment, sequence;
	} journals[NET_HOSTS];
};

/* 0: no room for one more. */
uint64_t check_new_deployment(struct check *check);
struct check_deployment *check_deployment(struct check *check, uint64_t deployment);

/* The record is durable; `event` led there. */
void check_journalled(struct check *check, size_t host, uint64_t deployment,
	const struct machine *machine, enum machine_event event, uint64_t sequence);
/* What a new agent finds in the journal. */
void check_recovered(struct check *check, size_t host, uint64_t deployment,
	Fairlead__V1__State state, uint64_t last_sequence);
/* `current` is about to point to release. */
void check_switching(struct check *check, size_t host, uint64_t deployment, unsigned release);
/* … and points there for good. Services are touched only now. */
void check_switched(struct check *check, size_t host, uint64_t deployment, unsigned release);
/* A step is about to run. where: 0 before, 1 after. */
void check_step(
	struct check *check, size_t host, uint64_t deployment, unsigned where, unsigned step);
struct coordinator;
/* The engine of a coordinator wants this. */
void check_asked(struct check *check, const struct coordinator *coordinator, size_t host,
	enum rollout_verb verb);

struct fleet;
/* Nothing more will happen. */
void check_end(struct check *check, struct fleet *fleet);
