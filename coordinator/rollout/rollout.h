/* The rollout engine: one deployment over a fleet, events in, actions out. Pure: no I/O, no
 * clock, no memory of its own but this struct, so that a test can run any order of events.
 *
 * Two phases over the whole fleet: every host prepares (nothing live is touched); only when all
 * have does any activate; only when all are healthy are they confirmed. What stops a phase undoes
 * it on every host. The host states and what each event does to them stand in one table
 * (rollout.c); the policy decides when the fleet moves on.
 *
 * Invariant: each host has at most one action under way, but for an abort, which replaces it.
 * ROLLOUT_FINISH is the last action, comes exactly once, and only when no host is busy. */
#pragma once

#include "common/base/err.h"
#include "coordinator/config/app_config.h"

#include <stddef.h>

enum rollout_state {
	ROLLOUT_WAITING, /* not asked yet */
	ROLLOUT_PREPARING,
	ROLLOUT_PREPARED,
	ROLLOUT_ACTIVATING,
	ROLLOUT_HEALTHY, /* runs the new release, wants to be confirmed */
	ROLLOUT_CONFIRMING,
	ROLLOUT_COMMITTED,    /* final: on the new release */
	ROLLOUT_ABORTING,     /* never activated */
	ROLLOUT_ROLLING_BACK, /* activated, told to go back */
	ROLLOUT_ABORTED,      /* final: nothing live was changed */
	ROLLOUT_ROLLED_BACK,  /* final: back on the old release */
	ROLLOUT_FAILED_SAFE,  /* final: the way back failed too */
	ROLLOUT_UNREACHED, /* final: lost before activation; its lease ends, nothing live changes */
	ROLLOUT_LOST,      /* final: lost after activation; it decides on its own */
	ROLLOUT_STATE_COUNT
};

enum rollout_event {
	ROLLOUT_ON_PREPARED,
	ROLLOUT_ON_HEALTHY,
	ROLLOUT_ON_COMMITTED,
	ROLLOUT_ON_ABORTED,
	ROLLOUT_ON_ROLLED_BACK,
	ROLLOUT_ON_FAILED_SAFE,
	ROLLOUT_ON_REFUSED,     /* the last action's call ended with an error from the host */
	ROLLOUT_ON_UNREACHABLE, /* the host cannot be reached, or not any more */
	ROLLOUT_EVENT_COUNT
};

enum rollout_verb {
	ROLLOUT_PREPARE,
	ROLLOUT_ACTIVATE,
	ROLLOUT_CONFIRM,
	ROLLOUT_ABORT,
	ROLLOUT_FINISH, /* no host: see rollout_outcome */
};

/* DESIGN "What people see"; the table in rollout.c maps each to its exit status. */
enum rollout_outcome {
	ROLLOUT_RUNNING,
	ROLLOUT_DONE,
	ROLLOUT_DONE_SKIPPED,  /* done, but hosts that could not be reached were left out */
	ROLLOUT_LOCKED,        /* nothing changed: another deployment holds a host */
	ROLLOUT_DENIED,        /* nothing changed: identity or permission */
	ROLLOUT_UNCHANGED,     /* nothing changed: unreachable, or a precondition failed */
	ROLLOUT_REVERTED,      /* failed; every host is back on its old release */
	ROLLOUT_MIXED,         /* hosts differ, or one was lost on the way */
	ROLLOUT_REVERT_FAILED, /* a host could not go back */
	ROLLOUT_INTERRUPTED,   /* aborted on request, every host on its old release */
	ROLLOUT_OUTCOME_COUNT
};

struct rollout_policy {
	enum app_strategy strategy;
	unsigned max_failures; /* so many hosts may fail without stopping the others */
	enum app_unreachable unreachable;
	enum app_on_failure on_failure;
};

struct rollout_action {
	enum rollout_verb verb;
	size_t host; /* index; 0 with ROLLOUT_FINISH */
};

enum rollout_result { ROLLOUT_TAKEN = 0, ROLLOUT_IGNORED = 1 };

struct rollout;
struct rollout *rollout_new(const struct rollout_policy *policy, size_t host_count);
void rollout_free(struct rollout *rollout); /* NULL is fine */

/* Before rollout_start: the host is this far already, in a deployment that another coordinator
 * began. What went wrong there counts as it would here, for `cause`. Any state but CONFIRMING and
 * ABORTING, which only a command under way can be. */
void rollout_adopt(
	struct rollout *rollout, size_t host, enum rollout_state state, enum err_code cause);
/* Ask every host that is still waiting to prepare; or go on where the adopted ones are: forward
 * when one has committed, back when one was told to go back or too many have failed, else forward
 * when all can. Hosts that are
 * activating or going back are asked to once more. ROLLOUT_ON_UNREACHABLE may come before. */
void rollout_start(struct rollout *rollout);
/* Something happened on a host. `cause` is why it failed, ERR_NONE otherwise; the first cause
 * tells apart the outcomes in which nothing changed. Late and repeated news is ROLLOUT_IGNORED. */
enum rollout_result rollout_event(
	struct rollout *rollout, size_t host, enum rollout_event event, enum err_code cause);
/* After ROLLOUT_FINISH: the host was asked, and this is its final state. Judges anew. */
void rollout_correct(struct rollout *rollout, size_t host, enum rollout_state state);
/* Abort on request; before rollout_start, what was adopted. Too late once hosts are being
 * confirmed: ROLLOUT_IGNORED, and they finish. */
enum rollout_result rollout_interrupt(struct rollout *rollout);
/* >0: *ret is the next thing to do; 0: nothing until the next event. */
int rollout_next(struct rollout *rollout, struct rollout_action *ret);

enum rollout_state rollout_host_state(const struct rollout *rollout, size_t host);
/* ROLLOUT_RUNNING until ROLLOUT_FINISH has been queued. */
enum rollout_outcome rollout_outcome(const struct rollout *rollout);

const char *rollout_state_name(enum rollout_state state);       /* "rolled_back" */
const char *rollout_outcome_name(enum rollout_outcome outcome); /* "rolled_back", for the ledger */
int rollout_outcome_exit_status(enum rollout_outcome outcome);
