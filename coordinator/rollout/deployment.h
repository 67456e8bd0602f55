/* One deployment over the hosts it concerns: the engine of rollout.h driven over real links,
 * shown in the report and remembered in the ledger.
 *
 * A link that breaks is dialled again and the deployment taken up by its id, for as long as
 * DEPLOYMENT_REATTACH_MS; a host keeps itself safe meanwhile. SIGINT and SIGTERM abort: the first
 * one brings every host back, a second one leaves at once. */
#pragma once

#include "coordinator/report/report.h"
#include "coordinator/rollout/bundles.h"
#include "coordinator/rollout/plan_hosts.h"
#include "coordinator/rollout/rollout.h"

enum { DEPLOYMENT_REATTACH_MS = 20000 };

/* What one host is to do. Exactly one of plan and rollback is there, neither for a host that
 * could not be reached. All borrowed. */
struct deployment_host {
	struct member *member;
	size_t report_index;
	const struct plan_host *plan;          /* deploy what the plan says */
	const Fairlead__V1__Release *rollback; /* go back to a release the host has kept */
	const char *commit_from, *commit_to;   /* labels, "" for none */
};

enum deployment_bad { DEPLOYMENT_BAD_REFUSED, DEPLOYMENT_BAD_RETRIED };

struct deployment_setup {
	const char *kind; /* "deploy" | "rollback" */
	const struct app_config *config;
	const struct plan *plan; /* NULL for a rollback */
	struct bundles *bundles; /* NULL for a rollback */
	const char *class_name;  /* for people */
	const char *actor;
	enum deployment_bad bad; /* releases that failed before */
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
