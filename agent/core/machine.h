/* The states of a deployment on a host, as one table. Pure: an event in, what to do out.
 *
 * Nothing here reads a clock, a disk or a network, and nothing is allocated: a struct machine is a
 * value that may be copied, and everything it rests on is passed in, so that a simulation runs
 * thousands of hosts in one thread. The library fairlead_machine is this file and machine.c alone
 * (of protobuf-c it needs the enums, not the code).
 *
 * The shell around it (deployment.c) works like this, and so does a simulated one:
 *
 *     machine_init(&m, &plan);
 *     machine_step(&m, MACHINE_ACCEPT, now, &move);     1. ask
 *     journal m.state, m.deadline_unix_ms               2. make it durable
 *     do move.act                                       3. act; its end is the next event
 *
 * A state that runs steps (activating: the `before` hooks; serving: the `after` hooks) is passed
 * over when the plan has none of them: one event then moves over two cells, and only the state it
 * comes to is journalled. The steps of a state are counted here too: machine_step_begin() before
 * one is begun, machine_step_end() after it has ended well, both to be journalled.
 *
 * After a crash the shell sets the fields to what the journal says, looks at the switch and asks
 * machine_recover(). The states are those of proto/fairlead/v1/agent.proto;
 * docs/deployment-states.md is drawn from this table. */
#pragma once

#include "fairlead/v1/agent.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

enum machine_event {
	MACHINE_ACCEPT,       /* command: a new deployment */
	MACHINE_FETCHED,      /* the bundle is here, or none is needed */
	MACHINE_STAGED,       /* the tree is complete, verified and durable */
	MACHINE_CHECKED,      /* every service and hook can be run by this host */
	MACHINE_ACTIVATE,     /* command */
	MACHINE_STEPPED,      /* the steps of this state have all ended well */
	MACHINE_RESTARTED,    /* switched, and the planned services run anew */
	MACHINE_HEALTHY,      /* every probe was answered by them */
	MACHINE_CONFIRM,      /* command */
	MACHINE_ABORT,        /* command */
	MACHINE_FAIL,         /* the act of this state failed */
	MACHINE_DEADLINE,     /* lease, activation or confirm time is over */
	MACHINE_UNDONE,       /* the old release runs again and is healthy */
	MACHINE_UNTOUCHED,    /* after a crash: nothing was switched, so no service was touched */
	MACHINE_STUCK,        /* after a crash: the act or step was taken up too often */
	MACHINE_HOLD,         /* after a crash: a step of class `once` had begun and not ended */
	MACHINE_RESOLVE_DONE, /* command: that step counts as done */
	MACHINE_RESOLVE_REDO, /* command: run it again */
	MACHINE_RESOLVE_UNDO, /* command: go back instead */
	MACHINE_EVENT_COUNT
};

enum {
	MACHINE_STATE_COUNT = FAIRLEAD__V1__STATE__STATE_HELD_AFTER + 1,
	MACHINE_RECOVERIES_MAX = 3, /* of one act or one step */
};

/* What is to be done on entering a state. */
enum machine_act {
	MACHINE_ACT_WAIT,   /* for a command, until the deadline */
	MACHINE_ACT_FETCH,  /* wait for the bundle */
	MACHINE_ACT_STAGE,  /* build the tree, verify it */
	MACHINE_ACT_CHECK,  /* can this host run it? */
	MACHINE_ACT_STEPS,  /* run the steps of this state, from machine.step on */
	MACHINE_ACT_SWITCH, /* switch `current`, restart the planned services */
	MACHINE_ACT_WATCH,  /* watch their health */
	MACHINE_ACT_HOLD,   /* tell everybody; only a signed decision leads on */
	MACHINE_ACT_UNDO,   /* switch back, restart what was touched, watch it */
	MACHINE_ACT_END,    /* record the outcome, run `on_failure` */
	MACHINE_ACT_COUNT
};

/* What becomes of the one deadline on entering a state. */
enum machine_timer {
	MACHINE_TIMER_KEEP, /* it goes on */
	MACHINE_TIMER_NONE,
	MACHINE_TIMER_LEASE,
	MACHINE_TIMER_ACTIVATE,
	MACHINE_TIMER_CONFIRM,
	MACHINE_TIMER_COUNT
};

enum machine_blame {
	MACHINE_BLAME_NONE,
	MACHINE_BLAME_RELEASE, /* it did not work here: quarantine it */
};

/* One cell of the table. */
struct machine_rule {
	Fairlead__V1__State next; /* STATE_UNSPECIFIED: no cell, the event is refused */
	enum machine_act act;
	enum machine_timer timer;
	enum machine_blame blame;
};

/* What the command asks for; the same through the whole deployment. */
struct machine_plan {
	uint64_t lease_ms, activate_timeout_ms, confirm_timeout_ms; /* 0: no deadline */
	unsigned before, after; /* how many steps `activating` and `serving` have */
};

struct machine {
	struct machine_plan plan;
	Fairlead__V1__State state;
	uint64_t deadline_unix_ms; /* 0: none. Then: MACHINE_DEADLINE, see machine_is_due */
	unsigned step;             /* of the state's steps: under way, or the next */
	enum machine_mark { MACHINE_MARK_NONE, MACHINE_MARK_BEGUN } mark; /* of that step */
	unsigned recoveries; /* of that step, or else of the state's act */
};

struct machine_move {
	Fairlead__V1__State from, to;
	enum machine_act act;
	enum machine_blame blame;
};

/* In STATE_UNSPECIFIED, which takes MACHINE_ACCEPT. */
void machine_init(struct machine *machine, const struct machine_plan *plan);
/* The one transition function. MACHINE_REFUSED: the table has no cell, nothing has changed. */
enum machine_outcome { MACHINE_MOVED = 0, MACHINE_REFUSED = 1 };
enum machine_outcome machine_step(struct machine *machine, enum machine_event event,
	uint64_t now_unix_ms, struct machine_move *ret);
/* The deadline is over: MACHINE_DEADLINE is to be raised. */
bool machine_is_due(const struct machine *machine, uint64_t now_unix_ms);

/* ---- the steps of a state ---- */

/* How many steps the state has; 0 where it has none. */
unsigned machine_steps(const struct machine *machine);
void machine_step_begin(struct machine *machine);
void machine_step_end(struct machine *machine);

/* ---- recovery ---- */

/* How a state is taken up at the start of an agent, before evidence is looked at. */
enum machine_recovery {
	MACHINE_RECOVERY_NONE,     /* no deployment rests in this state */
	MACHINE_RECOVERY_ABORT,    /* nothing live was touched */
	MACHINE_RECOVERY_WAIT,     /* until the deadline */
	MACHINE_RECOVERY_LOOK,     /* where does `current` point? old: abort; new: the act again */
	MACHINE_RECOVERY_AGAIN,    /* the act again */
	MACHINE_RECOVERY_STEPS,    /* go on with the steps; hold at one that may run only once */
	MACHINE_RECOVERY_CONCLUDE, /* it has ended; perhaps not all of that was recorded */
};
enum machine_recovery machine_recovery_of(Fairlead__V1__State state);

/* What the shell finds on the disk. */
struct machine_evidence {
	enum { MACHINE_ON_OLD, MACHINE_ON_NEW } current;       /* where the switch points */
	enum { MACHINE_STEP_AGAIN, MACHINE_STEP_ONCE } class_; /* of the step that was begun */
};

struct machine_decision {
	enum {
		MACHINE_DECIDE_WAIT,     /* nothing, the deadline is armed again */
		MACHINE_DECIDE_EVENT,    /* feed `event` to machine_step */
		MACHINE_DECIDE_AGAIN,    /* journal that it was taken up, then do `act` */
		MACHINE_DECIDE_CONCLUDE, /* do `act`; what it does is done twice at most */
		MACHINE_DECIDE_REFUSE,   /* this agent does not know the state: damaged, or newer */
	} kind;
	enum machine_event event;
	enum machine_act act;
};

/* The machine is as the journal says: state, deadline, step, mark and recoveries so far. Counts the
 * recovery where something is done again. */
struct machine_decision machine_recover(
	struct machine *machine, const struct machine_evidence *evidence);

/* ---- looking ---- */

const struct machine_rule *machine_rule(Fairlead__V1__State state, enum machine_event event);
/* committed, aborted, rolled_back, failed_safe: nothing follows. */
bool machine_is_final(Fairlead__V1__State state);
/* held_before, held_after: only a signed decision leads on. */
bool machine_is_held(Fairlead__V1__State state);
/* What this command asks for is under way, or reached and not yet final. */
bool machine_is_on_its_way(Fairlead__V1__State state, enum machine_event command);
const char *machine_event_name(enum machine_event event);
const char *machine_state_name(Fairlead__V1__State state); /* "rolling_back" */
const char *machine_act_name(enum machine_act act);
const char *machine_timer_name(enum machine_timer timer);
