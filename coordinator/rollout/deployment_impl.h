/* Private to deployment*.c: a running deployment and its hosts. */
#pragma once

#include "coordinator/ledger/ledger.h"
#include "coordinator/rollout/deployment.h"
#include "coordinator/rollout/interrupt.h"

/* Is there a link on which the next command can go out? */
enum attachment {
	ATTACHED,
	ATTACH_LOST,   /* to be dialled, or asked, at next_try_ms */
	ATTACH_ASKING, /* has a link again, and was asked how far it is */
	ATTACH_GONE,   /* given up */
};

struct deployment_target {
	struct deployment *deployment;
	const struct deployment_host *host;
	size_t index;                            /* in the engine */
	uint8_t id[DEPLOYMENT_ID_SIZE];          /* of the attempt */
	unsigned attempt;                        /* deployment_id.h */
	const struct bundle_file *bundle;        /* NULL: nothing to send */
	bool held;                               /* its prepare waits for the leader */
	bool sent_whole, caught_up, asked_again; /* second tries, each at most once */

	/* The verb last asked for, and whether its answer is still out. */
	enum rollout_verb verb;
	bool unanswered;
	struct agent_call *call, *watch, *question;
	Fairlead__V1__DeploymentStatus *status; /* what `call` replied, then the newest; owned */
	Fairlead__V1__AppStatus *app;           /* what `question` replied; owned */

	enum attachment attachment;
	uint64_t next_try_ms, give_up_ms; /* monotonic */
	/* So long it may take to be where the verb leads, links that break and come back and all;
	 * monotonic. */
	uint64_t asked_ms, due_ms;
	uint64_t last_event;    /* the newest that came */
	uint64_t told_by_event; /* up to here they were known by a status; only to be shown */
	uint64_t shown_before;  /* up to here another coordinator may have shown them */
	uint64_t shown;         /* up to here this one has, or is about to */
	uint64_t remembered;    /* up to here the ledger knows that it has */
	Fairlead__V1__State host_state; /* the newest that it was heard to be in */
	uint64_t started_ms, ended_ms;
	uint64_t sent_before; /* bytes on its links before the deployment */
	struct err err;
	bool reported;
};

/* An event that came and is to be shown. */
struct news {
	struct deployment_target *target;
	Fairlead__V1__Event *event; /* owned */
};

/* Left before its end, and how. */
enum deployment_left { LEFT_NOT, LEFT_AT_ONCE, LEFT_DETACHED };

struct deployment {
	const struct deployment_setup *setup;
	struct rollout *engine;
	struct deployment_target *targets;
	size_t count;
	uint8_t id[DEPLOYMENT_ID_SIZE];
	/* Two coordinators at once would each lock some hosts and both give way. So all ask the
	 * same host first, the one with the lowest key; the others once it has said yes or no. */
	size_t leader; /* index; count if no host can be asked */
	bool leader_spoke;
	struct interrupt interrupt;
	bool asking;      /* a person is asked whether to abort or to detach */
	bool interrupted; /* the next interrupt leaves */
	bool aborted;     /* on request */
	bool finished;
	bool diagnosed; /* a host's diagnosis was shown */
	enum deployment_left left;
	struct news *news; /* in the order they came */
	size_t news_count;
	bool ledger_failed; /* and that was said */
	uint64_t next_tick_ms;
	uint64_t started_unix_ms;
	struct ledger *ledger; /* NULL: could not be opened */
};

/* deployment_target.c: commands and answers of one host */
void target_init(struct deployment_target *target, struct deployment *deployment,
	const struct deployment_host *host, size_t index);
/* The rollout begins: is the host still there? */
void target_begin(struct deployment_target *target);
void target_release(struct deployment_target *target);
/* Choose or make the bundle. Blocks. */
int target_bundle(struct deployment_target *target, struct err *err);
/* Ask for what the engine wants; waits for a link if there is none just now. */
void target_ask(struct deployment_target *target, enum rollout_verb verb);
/* The same once more, because the answer was lost or no. It has no more time for it. */
void target_ask_again(struct deployment_target *target);
/* It was told to go somewhere and is not there: how long that may take has begun. */
void target_set_due(struct deployment_target *target, enum rollout_verb verb);
/* Follow the host's events from the last one seen. */
void target_watch(struct deployment_target *target);
/* Tell the engine, and the report when the host has ended. */
void target_tell(struct deployment_target *target, enum rollout_event event);
/* What the host said last; status is borrowed. */
void target_keep_status(
	struct deployment_target *target, const Fairlead__V1__DeploymentStatus *status);
/* Tell the engine what this status means; status is borrowed. */
void target_take_status(
	struct deployment_target *target, const Fairlead__V1__DeploymentStatus *status);
/* The host said no to what was asked last; target->err says why. */
void target_refused(struct deployment_target *target);
bool target_is_own(const struct deployment_target *target, const ProtobufCBinaryData *id);
bool target_state_is_final(Fairlead__V1__State state);
/* The switch lies behind it; `switched` itself is said before the act. */
bool target_state_is_switched(Fairlead__V1__State state);

/* The host is in a final state: the report is told, once. */
void target_report_end(struct deployment_target *target);
/* What it replied as AppStatus says of this deployment; NULL: nothing. */
const Fairlead__V1__DeploymentStatus *target_own_status(const struct deployment_target *target);
/* How far the engine believes it is. */
enum rollout_state target_state(const struct deployment_target *target);
bool target_is_over(const struct deployment_target *target);

/* deployment_again.c: the prepare was refused; true when it is tried a second time */
bool target_prepare_again(struct deployment_target *target);
/* The host aborted because the upload of the coordinator before broke off; true when it is sent. */
bool target_send_again(struct deployment_target *target);

/* deployment_look.c: the host is asked instead of guessed */
/* It refused, or did not answer in time, but may have done it all the same. */
void target_look(struct deployment_target *target);
/* After the engine has finished: every host is asked how it ended, and its events are awaited. */
void deployment_read_back(struct deployment *deployment);

/* deployment_news.c: events are shown, and remembered as shown */
void target_news(struct deployment_target *target, const Fairlead__V1__Event *event);
void deployment_show_news(struct deployment *deployment);
void deployment_drop_news(struct deployment *deployment);

/* deployment_interrupt.c */
/* What has come since; the terminal is read only while a person is asked. */
void deployment_take_interrupts(struct deployment *deployment);
void deployment_take_answer(struct deployment *deployment);

/* deployment_attach.c: links that break and come back */
void target_lost(struct deployment_target *target, const struct err *err);
void target_back(struct deployment_target *target);
/* Dial again, ask again, or give up, as the time says. What is not where it was told to go when it
 * is due is given up, whatever it says: a coordinator always comes to an end. */
void target_tick(struct deployment_target *target, uint64_t now_ms);

/* deployment_ledger.c: what is remembered. A ledger that fails is said, and changes nothing. */
void deployment_remember_begin(struct deployment *deployment);
enum remember { REMEMBER_SHOWING, REMEMBER_SHOWN };
void deployment_remember_news(struct deployment *deployment, enum remember what);
void deployment_remember_end(struct deployment *deployment, enum rollout_outcome outcome);

/* deployment_receipts.c: those that came with the final states go to the ledger; one that does not
 * verify is said. */
void deployment_remember_receipts(struct deployment *deployment);

/* deployment.c: wait for what comes next, and take it */
void deployment_turn(struct deployment *deployment);

/* deployment_end.c: what is said at the end. Returns the exit status. */
int deployment_conclude(struct deployment *deployment);
