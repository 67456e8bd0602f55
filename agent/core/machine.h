/* The states of a deployment on a host, as one table. Pure: an event in, the next state out.
 * deployment.c is the shell that journals and acts. The states are those of
 * proto/fairlead/v1/agent.proto; DESIGN "The deployment on a host" draws them. */
#pragma once

#include "fairlead/v1/agent.pb-c.h"

#include <stdbool.h>

enum machine_event {
	MACHINE_FETCHED,   /* the bundle is here, or none is needed */
	MACHINE_STAGED,    /* the tree is complete, verified and durable */
	MACHINE_CHECKED,   /* every service can be run by this host */
	MACHINE_ACTIVATE,  /* command */
	MACHINE_RESTARTED, /* switched, and the planned services run anew */
	MACHINE_HEALTHY,   /* every probe was answered by them */
	MACHINE_CONFIRM,   /* command */
	MACHINE_ABORT,     /* command */
	MACHINE_FAIL,      /* the act of this state failed */
	MACHINE_DEADLINE,  /* lease, activation or confirm time is over */
	MACHINE_UNDONE,    /* the old release runs again and is healthy */
	MACHINE_UNTOUCHED, /* after a crash: nothing was switched, so no service was touched */
	MACHINE_STUCK,     /* the act of this state was taken up too often */
	MACHINE_EVENT_COUNT
};

enum { MACHINE_STATE_COUNT = FAIRLEAD__V1__STATE__STATE_FAILED_SAFE + 1 };

/* The state that follows, or STATE_UNSPECIFIED where the table has no cell: refuse the event. */
Fairlead__V1__State machine_next(Fairlead__V1__State state, enum machine_event event);
/* committed, aborted, rolled_back, failed_safe: nothing follows. */
bool machine_is_final(Fairlead__V1__State state);
const char *machine_event_name(enum machine_event event);
const char *machine_state_name(Fairlead__V1__State state); /* "rolling_back" */
