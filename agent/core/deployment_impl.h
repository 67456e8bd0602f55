/* What deployment.c and its acts share; private to them. */
#pragma once

#include "agent/core/core.h"
#include "agent/core/deployment.h"
#include "agent/core/deployment_log.h"
#include "agent/core/service_sequence.h"
#include "agent/core/worker.h"

enum { QUEUE_MAX = 8 };

/* A service of the deployment: as the new release wants it and as the old one has it; either may
 * be missing. The plans are this host's, variables put in. */
struct deployment_service {
	Fairlead__V1__ServicePlan *new_plan, *old_plan;      /* owned */
	enum { SERVICE_UNTOUCHED, SERVICE_TOUCHED } touched; /* a stop or start of it has begun */
};

/* A health watch of one service; plan is borrowed from its deployment_service. */
struct deployment_watch {
	struct deployment *d;
	const Fairlead__V1__ServicePlan *plan;
	struct health_watch *watch; /* NULL: has given its verdict */
};

struct queued {
	enum machine_event event;
	struct err cause;
};

struct deployment {
	struct app *app;
	Fairlead__V1__DeploymentStatus *status; /* owned; its state is the state */
	Fairlead__V1__JournalRecord *record;    /* owned: the first record, with `accepted` */
	const Fairlead__V1__Prepare *plan;      /* borrowed from record */
	struct digest from, to;
	struct deployment_service *services;
	size_t service_count;
	struct err cause;                            /* why it is not going to commit */
	enum { CAUSE_OUTSIDE, CAUSE_RELEASE } blame; /* RELEASE: quarantine it */

	struct digest keep[APP_KEEP_MAX]; /* releases staging must not recycle */
	size_t keep_count;
	int spool_fd; /* -1: none */
	struct worker *worker;
	struct service_sequence *sequence;
	struct deployment_watch *watches;
	size_t watch_count, healthy_count;
	uv_timer_t *deadline; /* NULL: none armed */
	uint64_t deadline_unix_ms;
	uint64_t progress_unix_ms; /* of the last progress event */
	enum deployment_log_how log_how;
	int undo_waits; /* the undoing begins when the sequence under way has ended */

	struct deployment_waiter *waiters;
	size_t waiter_count;
	struct queued queue[QUEUE_MAX];
	size_t queued;
	int stepping;
};

/* An event for the machine; cause NULL but for FAIL, ABORT and DEADLINE. May free the deployment
 * when it returns to the outermost caller. */
void deployment_event(struct deployment *d, enum machine_event event, const struct err *cause);

/* Steps of journal records beside the states. */
#define DEPLOYMENT_STEP_RELEASE_FAILED "RELEASE_FAILED" /* it is to blame: quarantine it */
#define DEPLOYMENT_STEP_RECOVERED "RECOVERED"           /* a new agent takes the act up again */
#define DEPLOYMENT_STEP_CONCLUDED "CONCLUDED" /* ended, and recorded beside the journal too */

/* From a first record, owned by the deployment from here on. */
int deployment_build(struct app *app, Fairlead__V1__JournalRecord *record, struct deployment **ret,
	struct err *err);
/* Pair the services of the new plan with those the old release was recorded with. */
int deployment_pair_services(struct deployment *d, struct err *err);
void deployment_free(struct deployment *d);
/* The status tells d->cause. */
void deployment_set_error(struct deployment *d);
/* A journal record of the state it is in. */
int deployment_note(struct deployment *d, const char *step, struct err *err);
/* The state is final and its act is done: make sure that it is on the disk. */
void deployment_concluded(struct deployment *d);

/* The one place that changes the state: journals it (with the sequence of the command behind it, 0
 * for none), then tells. <0 when the journal failed; the core is then stopping. */
int deployment_enter(struct deployment *d, Fairlead__V1__State state, uint64_t sequence);
void deployment_wait(struct deployment *d, struct deployment_waiter waiter);

/* Run what belongs to the state the deployment is in. */
void deployment_act(struct deployment *d);
/* Stop what may be under way (worker, watches); services are left to finish their step. */
void deployment_stop_acts(struct deployment *d);

/* Tell the watchers: service "" and total 0 where they do not apply. */
void deployment_tell(struct deployment *d, const char *service, uint64_t done, uint64_t total,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Arm the one deadline: at an absolute time, journalled with the state. 0 disarms. */
void deployment_set_deadline(struct deployment *d, uint64_t unix_ms);
