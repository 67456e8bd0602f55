/* A coordinator of a simulation: the shell of coordinator/rollout/deployment*.c around the real
 * engine. It plans from what the hosts say, asks the one with the lowest number first, takes up
 * hosts whose link broke, and can be interrupted, killed, and followed by one that resumes. */
#pragma once

#include "coordinator/rollout/rollout.h"
#include "message.h"
#include "net.h"

struct fleet;
struct coordinator;

struct target {
	struct coordinator *coordinator;
	size_t host;
	enum target_link { LINK_DIALLING, LINK_UP, LINK_LOST, LINK_ASKING, LINK_GONE } link;
	uint64_t sequence;
	enum rollout_verb verb;
	bool unanswered, held, caught_up;
	uint64_t call;       /* under way; 0: none */
	uint64_t give_up_ms; /* of a host that was lost */
	enum err_code error;
	Fairlead__V1__State missed; /* an event that came before the host was taken up */
	struct answer described;    /* what it said first */
};

struct coordinator {
	struct fleet *fleet;
	size_t index;
	enum { COORDINATOR_DEAD, COORDINATOR_CONNECTS, COORDINATOR_RUNS, COORDINATOR_DONE } life;
	uint64_t deployment;
	struct rollout *engine;
	struct target targets[NET_HOSTS];
	enum { BEGINS, RESUMES } how;
	bool accompanied; /* two at once are at the same deployment */
	bool called_back; /* a host said that it was told to go back */
	size_t count, leader, answered;
	bool leader_spoke;
	uint64_t calls;
};

/* Dials every host, then deploys a new release. */
void coordinator_start(struct coordinator *coordinator, struct fleet *fleet, size_t index);
/* Dials every host, then goes on with a deployment that another coordinator began. */
void coordinator_resume(
	struct coordinator *coordinator, struct fleet *fleet, size_t index, uint64_t deployment);
void coordinator_release(struct coordinator *coordinator);
void coordinator_interrupt(struct coordinator *coordinator);
void coordinator_kill(struct coordinator *coordinator);

void coordinator_linked(struct coordinator *coordinator, size_t host, uint64_t link);
void coordinator_lost(struct coordinator *coordinator, size_t host);
void coordinator_answered(
	struct coordinator *coordinator, size_t host, const struct answer *answer);

/* ---- private to coordinator*.c ---- */

void target_ask(struct target *target, enum rollout_verb verb);
void target_tell(struct target *target, enum rollout_event event);
void target_lost(struct target *target);
void target_taken_up(struct target *target, const struct answer *answer);
/* What a host's state means to the engine; false: nothing. */
bool target_take_state(struct target *target, Fairlead__V1__State state);
void target_question(struct target *target);
/* Tell the engine how far the hosts are in a deployment that it did not begin. */
void coordinator_adopt(struct coordinator *coordinator);
/* Do what the engine wants. */
void coordinator_drain(struct coordinator *coordinator);
