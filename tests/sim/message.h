/* What coordinators and hosts of a simulation say to each other: the commands and answers of
 * proto/fairlead/v1, without their bytes. Plain values. */
#pragma once

#include "agent/core/machine.h"
#include "common/base/digest.h"
#include "common/base/err.h"

/* Releases are numbers, 0 is none. So are deployments; on the host the number becomes 16 bytes. */
struct command {
	Fairlead__V1__Action action;
	uint64_t deployment, sequence;
	uint64_t not_before_unix_ms, expires_unix_ms;
	uint64_t call; /* the answer names it */

	/* PREPARE */
	unsigned from, to;
	enum { SERVICE_STAYS, SERVICE_RESTARTS } service;
	struct machine_plan plan;
	unsigned once_before, once_after; /* bit i: step i may run only once */
	/* a decision about a held host */
	enum machine_event decision;
};

struct answer {
	uint64_t call; /* 0: an event that somebody who watches hears */
	enum err_code error;
	/* of the deployment that was asked about, or that the event is about */
	uint64_t deployment;
	Fairlead__V1__State state;
	/* of the app, with every answer */
	unsigned current; /* the verified release */
	uint64_t last_sequence;
	uint64_t running, last; /* deployments, 0: none */
	Fairlead__V1__State running_state, last_state;
	bool running_cancelled, last_cancelled; /* a command told them to go back */
};

/* Not a method of its own here: the answer to everything holds the app's status. */
#define ACTION_ASK FAIRLEAD__V1__ACTION__ACTION_STATUS

/* Of the command that begins a deployment, as an envelope has it. */
struct digest command_digest(const struct command *command);
