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

struct hook;

struct queued {
	enum machine_event event;
	struct err cause;
};

enum deployment_life {
	DEPLOYMENT_LIVES,
	DEPLOYMENT_ENDED, /* its outcome is recorded: tell it, and be gone */
};

struct deployment {
	struct app *app;
	struct machine machine;
	Fairlead__V1__DeploymentStatus *status; /* owned; its state is the machine's */
	Fairlead__V1__JournalRecord *record;    /* owned: the first record, with `accepted` */
	const Fairlead__V1__Prepare *plan;      /* borrowed from record */
	struct digest from, to;
	struct deployment_service *services;
	size_t service_count;
	struct err cause;         /* why it is not going to commit */
	enum machine_blame blame; /* RELEASE: quarantine it */

	struct digest keep[APP_KEEP_MAX]; /* releases staging must not recycle */
	size_t keep_count;
	int spool_fd; /* -1: none */
	struct worker *worker;
	struct digest verifying; /* by the worker, and then: */
	void (*verified)(struct deployment *d, const struct err *err);
	struct service_sequence *sequence;
	struct deployment_watch *watches;
	size_t watch_count, healthy_count;
	uv_timer_t *deadline;        /* NULL: none armed */
	struct deadline deadline_at; /* the machine's, on a clock that nobody sets */
	uint64_t progress_unix_ms;   /* of the last progress event */
	enum deployment_log_how log_how;
	unsigned undo_failures;
	struct err trouble; /* of the conclusion: it is not all on the disk */
	int undo_waits;     /* the undoing begins when the sequence under way has ended */
	/* The hook under way. */
	struct hook *hook; /* NULL: none */
	Fairlead__V1__HookPhase hook_phase;
	unsigned hook_number;
	char *hook_text; /* its command; NULL with it */
	enum machine_act
		after_hook; /* it is being stopped, then this; MACHINE_ACT_COUNT: it is not */
	enum machine_event resolved; /* the newest decision about a held step */
	int activated;               /* a hook or the switch may have begun: on_failure runs */

	struct deployment_waiter *waiters;
	size_t waiter_count;
	struct queued queue[QUEUE_MAX];
	size_t queued;
	int stepping;
	enum deployment_life life;
};

/* An event for the machine; cause NULL but for FAIL, ABORT and DEADLINE. May free the deployment
 * when it returns to the outermost caller. */
void deployment_event(struct deployment *d, enum machine_event event, const struct err *cause);

/* Steps of journal records beside the states. */
#define DEPLOYMENT_STEP_SWITCH_BEGIN "SWITCH_BEGIN"     /* the switch may happen from here on */
#define DEPLOYMENT_STEP_RELEASE_FAILED "RELEASE_FAILED" /* it is to blame: quarantine it */
#define DEPLOYMENT_STEP_RESOLVED_DONE "RESOLVED_DONE"   /* the held step counts as ended */
#define DEPLOYMENT_STEP_RESOLVED_REDO "RESOLVED_REDO"   /* it is to be run again */
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
/* The status tells which step is held, if one is. */
void deployment_set_held(struct deployment *d);
/* A journal record of the state it is in. */
int deployment_note(struct deployment *d, const char *step, struct err *err);
/* The same about a hook. */
int deployment_note_hook(
	struct deployment *d, const char *step, Fairlead__V1__Step *hook, struct err *err);
/* Its outcome is recorded where it belongs: those who wait are told, and it is freed when this
 * returns to the outermost caller. */
void deployment_end(struct deployment *d);

/* The one place that changes the state: to what `after` is, by the move that led there. Journals it
 * (with the sequence of the command behind it, 0 for none), then tells. <0 when the journal failed;
 * the core is then stopping. */
int deployment_enter(struct deployment *d, const struct machine *after,
	const struct machine_move *move, uint64_t sequence);
void deployment_wait(struct deployment *d, struct deployment_waiter waiter);
/* Arm the timer for the machine's deadline. */
void deployment_arm(struct deployment *d);
/* What was not done in time, in the state it is in. */
void deployment_explain_deadline(const struct deployment *d, struct err *ret);

/* Tell the watchers: service "" and total 0 where they do not apply. */
void deployment_tell(struct deployment *d, const char *service, uint64_t done, uint64_t total,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* ---- the acts; each ends with an event, now or later ---- */

/* Do what the table says. */
void deployment_act(struct deployment *d, enum machine_act act);
/* The act of this state failed. */
void deployment_fail(struct deployment *d, const struct err *err);
/* Stop what may be under way (worker, watches); services are left to finish their step. */
void deployment_stop_acts(struct deployment *d);

void deployment_stage(struct deployment *d); /* deployment_prepare.c */
/* What pruning leaves, and staging must not recycle. */
struct store_keep deployment_keeps(const struct deployment *d);
void deployment_check(struct deployment *d);        /* the same */
void deployment_switch(struct deployment *d);       /* deployment_activate.c */
void deployment_watch_health(struct deployment *d); /* deployment_health.c: until healthy */
void deployment_stop_watching(struct deployment *d);
void deployment_undo(struct deployment *d); /* deployment_undo.c */
/* The sequence that was under way when the undoing began has ended. */
void deployment_undo_now(struct deployment *d);
void deployment_undo_failed(struct deployment *d, const struct err *err);
void deployment_close(struct deployment *d);  /* deployment_end.c: on_failure, then the end */
void deployment_finish(struct deployment *d); /* the same, without on_failure */
/* All that follows from the end is recorded: make sure that it is on the disk, and say so. */
void deployment_conclude(struct deployment *d);

/* deployment_verify.c: read the tree beside its manifest, then say so (ERR_NONE), now or later. */
void deployment_verify(struct deployment *d, const struct digest *release,
	void (*verified)(struct deployment *d, const struct err *err));

/* For lists of service steps: one that has begun. */
service_sequence_step_fn deployment_service_begun;
void deployment_add_step(struct service_step *steps, size_t *count, enum service_step_kind kind,
	const Fairlead__V1__ServicePlan *plan, const struct digest *release, size_t tag);
