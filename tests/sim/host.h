/* A host of a simulation: the shell of agent/core/deployment.c around the real machine, the real
 * replay protection and the real journal, on a disk that can be struck.
 *
 * What the journal has survives everything. `current` survives the death of the agent, and the loss
 * of power once it was synced; before that, either is possible. All else is forgotten. */
#pragma once

#include "agent/core/journal.h"
#include "common/trust/replay.h"
#include "message.h"
#include "world.h"

enum { HOST_WAITERS = 16 };

struct fleet;
struct host {
	struct fleet *fleet;
	size_t index;
	/* the disk */
	int dirfd;
	unsigned current, synced; /* releases, 0: none */
	/* the clock */
	int64_t skew_ms;
	/* a running agent */
	enum { HOST_DOWN, HOST_UP } life;
	uint64_t lives;
	struct journal *journal;
	struct replay replay;
	enum { HOST_FREE, HOST_BUSY } work;
	struct machine machine;
	struct command plan;
	uint64_t act;   /* the number of what is under way; others come too late */
	uint64_t alarm; /* the number of the deadline that is armed */
	uint64_t last;
	Fairlead__V1__State last_state;
	struct host_waiter {
		uint64_t link, call;
		Fairlead__V1__Action action;
	} waiters[HOST_WAITERS];
	size_t waiter_count;
};

enum host_blow { HOST_KILLED, HOST_POWER_LOST };

void host_init(struct host *host, struct fleet *fleet, size_t index);
void host_release(struct host *host);
/* Open the journal and take up what it says. */
void host_start(struct host *host);
void host_strike(struct host *host, enum host_blow blow); /* starts again later, by itself */
void host_jump_clock(struct host *host, int64_t skew_ms);

/* Give it a command that is not its turn. */
void host_mislead(struct host *host);

void host_command(struct host *host, uint64_t link, const struct command *command);
void host_lost(struct host *host, uint64_t link);

/* ---- private to host*.c ---- */

uint64_t host_now(const struct host *host);
/* Durable when it returns 0; <0: the agent has died of it. */
int host_note(struct host *host, const char *step);
int host_journal(struct host *host, enum machine_event event, uint64_t sequence);
/* Point `current` to a release, and sync it. */
int host_switch(struct host *host, unsigned release);
/* An event for the machine; sequence of the command behind it, or 0. */
void host_event(struct host *host, enum machine_event event, uint64_t sequence);
void host_act(struct host *host, enum machine_act act);
void host_tell(struct host *host); /* waiters and watchers hear the state */
void host_arm(struct host *host);
