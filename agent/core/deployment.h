/* One deployment on this host: the shell around the machine's table that journals, then acts.
 *
 * deployment_enter() is the only place that changes the state, and the one that journals: record
 * first, durable, then the log, then the act of the new state. Loop thread only; the long work
 * happens in a worker, the services' driver and the prober. Its end frees it and app->running. */
#pragma once

#include "agent/core/app.h"
#include "agent/core/machine.h"
#include "common/trust/envelope.h"

struct deployment;

/* Who waits for an answer: told of every state that is entered, and at the end of a deployment with
 * a final state (after which the waiter is forgotten). Status is borrowed. */
struct deployment_waiter {
	void (*entered)(void *user, Fairlead__V1__State state,
		const Fairlead__V1__DeploymentStatus *status);
	void *user;
};

/* A verified Prepare or Rollback that is new, on an app that is free. Journals STATE_ACCEPTED.
 * ERR_PREFLIGHT: wrong base, quarantined; ERR_NOT_FOUND: release not here. When a bundle is
 * needed, *ret_spool is a fresh file for it (owned by the deployment), else -1. */
int deployment_begin(struct app *app, const struct envelope *envelope,
	struct deployment_waiter waiter, struct deployment **ret, int *ret_spool, struct err *err);
/* The bundle has arrived in the spool, or none is needed (err NULL); or it will not come. May free
 * the deployment. Nothing goes on before this is called. */
void deployment_spooled(struct deployment *deployment, const struct err *err);

/* A verified, fresh command for this deployment. Refused (<0) where the table has no cell; a
 * command whose goal is reached already is not an event: the waiter is told the state at once, and
 * its sequence is not journalled, so it must not be remembered either. */
enum { DEPLOYMENT_ACTS, DEPLOYMENT_WAITS };
int deployment_command(struct deployment *deployment, const struct envelope *envelope,
	struct deployment_waiter waiter, struct err *err);
/* Nobody listens any more. */
void deployment_forget(struct deployment *deployment, const void *user);

/* What the journal says of the newest deployment. */
struct deployment_past {
	Fairlead__V1__JournalRecord *accepted; /* its first record; NULL: there never was one */
	Fairlead__V1__JournalRecord *latest;   /* the one that entered the state it is in */
	Fairlead__V1__JournalRecord *hook;     /* begun, and perhaps not all of it ended; or NULL */
	unsigned step;                         /* of the state's steps: under way, or the next */
	enum machine_mark mark;                /* of that step */
	int activated;                         /* a hook or the switch may have begun */
	unsigned recoveries; /* of that state or step, by starts of the agent before */
	int concluded;       /* it has ended, and all was written that follows */
};
/* The next record of the journal. */
void deployment_past_add(struct deployment_past *past, const Fairlead__V1__JournalRecord *record);
void deployment_past_release(struct deployment_past *past);
/* Takes up the act of the state it was in, by the table in DESIGN "Recovery". */
int deployment_recover(struct app *app, const struct deployment_past *past, struct err *err);

/* The agent stops: kills the worker, stops timers, frees; the journal says where it was. */
void deployment_suspend(struct deployment *deployment);

struct bytes deployment_id(const struct deployment *deployment);
const char *deployment_actor(const struct deployment *deployment);
Fairlead__V1__State deployment_state(const struct deployment *deployment);
/* A fresh copy: pb_free. */
Fairlead__V1__DeploymentStatus *deployment_status(const struct deployment *deployment);
