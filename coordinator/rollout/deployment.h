/* One deployment over the hosts it concerns: the engine of rollout.h driven over real links,
 * shown in the report and remembered in the ledger.
 *
 * A link that breaks is dialled again and the deployment taken up by its id, for as long as
 * DEPLOYMENT_REATTACH_MS; a host keeps itself safe meanwhile. Should this process die, another one
 * takes the deployment up (takeover.h) and goes on where it was.
 *
 * SIGTERM aborts: the first one brings every host back, a second one leaves at once. SIGINT does
 * the same, but first asks a person at a terminal whether to abort or to detach. */
#pragma once

#include "coordinator/report/report.h"
#include "coordinator/rollout/bundles.h"
#include "coordinator/rollout/plan_hosts.h"
#include "coordinator/rollout/rollout.h"
#include "coordinator/rollout/takeover.h"

enum {
	DEPLOYMENT_REATTACH_MS = 20000,
	DEPLOYMENT_EXIT_DETACHED = 12, /* left on request while it ran */
};

/* What one host is to do. Exactly one of plan and rollback is there, neither for a host that
 * could not be reached or has been asked by another coordinator. All borrowed. */
struct deployment_host {
	struct member *member;
	size_t report_index;
	const struct plan_host *plan;          /* deploy what the plan says */
	const Fairlead__V1__Release *rollback; /* go back to a release the host has kept */
	const struct takeover_host *taken;     /* how far it is already; NULL: a new deployment */
	const char *commit_from, *commit_to;   /* labels, "" for none */
};

enum deployment_aim { DEPLOYMENT_FINISH, DEPLOYMENT_UNDO };
/* DETACH: leave once every host runs the new release; they go on alone. */
enum deployment_stay { DEPLOYMENT_STAY, DEPLOYMENT_DETACH };
/* What the first SIGINT does. */
enum deployment_interrupts { DEPLOYMENT_ABORTS, DEPLOYMENT_ASKS };
enum deployment_bad { DEPLOYMENT_BAD_REFUSED, DEPLOYMENT_BAD_RETRIED };

struct deployment_setup {
	const char *kind; /* "deploy" | "rollback" */
	const struct app_config *config;
	const struct plan *plan; /* NULL for a rollback */
	struct bundles *bundles; /* NULL for a rollback */
	const char *class_name;  /* for people */
	const char *actor;
	const char *folder, *forced;     /* as asked for, to be remembered; NULL: a commit, auto */
	enum deployment_bad bad;         /* releases that failed before */
	const struct takeover *takeover; /* NULL: a new deployment */
	enum deployment_aim aim;
	enum deployment_stay stay;
	enum deployment_interrupts interrupts;
	struct hosts *hosts;
	struct report *report;
	const char *ledger_path; /* NULL: the default; if it fails, that is said and gone without */
	const struct deployment_host *targets;
	size_t count;
	uint64_t started_mono_ms; /* of the command, for the duration that is shown */
};                                /* all borrowed */

/* Returns the exit status; everything is told through the report. <0 with *err only when it
 * could not begin. */
int deployment_run(const struct deployment_setup *setup, struct err *err);
