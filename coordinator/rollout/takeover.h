/* A deployment that another coordinator began, found again: by what the hosts say, and by what the
 * ledger remembers where there is one. The hosts are enough; the ledger adds which events were
 * shown, which hosts belong to it though they do not answer, and how it was asked for.
 *
 * A struct takeover is filled once (find, then survey) and immutable from there. */
#pragma once

#include "common/base/digest.h"
#include "coordinator/fleet/hosts.h"
#include "coordinator/ledger/ledger.h"
#include "coordinator/rollout/deployment_id.h"
#include "coordinator/rollout/rollout.h"

/* One member, in the order of the hosts. */
struct takeover_host {
	enum { TAKEOVER_APART, TAKEOVER_PART } part; /* APART: not one of its hosts */
	enum rollout_state state;                    /* to adopt */
	struct err err;                              /* why it is not going to commit */
	/* Borrowed from the member, or `proven`; NULL: it says nothing of it. */
	const Fairlead__V1__DeploymentStatus *status;
	/* How it ended there by the host's journal, receipt included; owned. NULL: not read from
	 * there, since the host has not moved on to another deployment. */
	Fairlead__V1__DeploymentStatus *proven;
	/* What its journal tells of a host that speaks of another deployment by now: that this one
	 * never was there, or nothing, for it does not reach back or does not verify. */
	enum { TAKEOVER_NOT_READ, TAKEOVER_NEVER, TAKEOVER_FORGOTTEN } past;
	unsigned attempt;        /* of its id */
	uint64_t showing, shown; /* events, as the ledger remembers; 0: not */
};

enum takeover_ledger { TAKEOVER_UNKNOWN, TAKEOVER_UNFINISHED, TAKEOVER_ENDED };

struct takeover {
	uint8_t id[DEPLOYMENT_ID_SIZE];
	enum takeover_ledger ledger;
	/* Owned. As the ledger has them, else as a host says; "" where neither knows. */
	char *kind, *class_name, *commit_from, *commit_to, *folder, *forced, *actor;
	int retry_bad;
	uint64_t started_unix_ms;
	struct digest target; /* zero: no host knows it yet */
	struct takeover_host *hosts;
	size_t count;
	struct takeover_memory {
		char *host; /* owned */
		uint64_t showing, shown;
	} * memories; /* the hosts that the ledger knows */
	size_t memory_count;
};

/* All members are READY or FAILED. id_prefix NULL: the one that has not ended. ledger NULL: there
 * is none. >0 TAKEOVER_NOTHING: all have ended. ERR_NOT_FOUND: no such id; ERR_USAGE: more than
 * one; ERR_PREFLIGHT: it never began on the hosts, and they have moved on. */
enum takeover_found { TAKEOVER_FOUND = 0, TAKEOVER_NOTHING = 1 };
int takeover_find(struct hosts *hosts, const struct app_config *config, struct ledger *ledger,
	const char *id_prefix, struct takeover *ret, struct err *err);
void takeover_release(struct takeover *takeover);

/* Is a host on the new release, or on its way there or back? Then it is too late to prepare. */
bool takeover_is_live(const struct takeover *takeover);
/* Must a host still be sent something before it can go on? */
bool takeover_needs_plan(const struct takeover *takeover);
/* Is any host still at it? */
bool takeover_is_running(const struct takeover *takeover);
/* They cannot: `why`. */
void takeover_cannot_prepare(struct takeover *takeover, const struct err *why);

/* For takeover.c: how far every host is, once the id and the ledger's part are there. */
int takeover_survey(struct takeover *takeover, struct hosts *hosts, const struct app_config *config,
	struct err *err);
/* takeover_journal.c: those that say nothing of it, and may have had it before what they speak of
 * now, are asked for their journal: fills state, err, status and `proven`, or `past`. Waits for the
 * answers. */
void takeover_read_journals(
	struct takeover *takeover, struct hosts *hosts, const struct app_config *config);
/* The deployment that the host speaks of; NULL: of none, or it does not speak. */
const Fairlead__V1__DeploymentStatus *takeover_newest(const struct member *member);
/* How far a host is that says so; a state of a newer agent is one in which it is at work. Pure. */
enum rollout_state takeover_state_of(Fairlead__V1__State state);
/* What one host says, so far as it can be judged alone; WAITING where it says nothing. app may be
 * NULL. Pure. */
void takeover_judge(const uint8_t id[static DEPLOYMENT_ID_SIZE], const char *name,
	const Fairlead__V1__AppStatus *app, struct takeover_host *ret);
