/* What `resume`, `abort` and a repeated `deploy` share: a deployment that another coordinator began
 * is found and run to its end. */
#pragma once

#include "coordinator/cli/context.h"
#include "coordinator/rollout/deployment.h"
#include "coordinator/rollout/plan_hosts.h"

/* As takeover_find, with the ledger of the options. A ledger that cannot be read is said, and gone
 * without. */
int takeover_find_with(const struct options *options, const struct context *context,
	const char *id_prefix, struct takeover *ret, struct err *err);

/* planned and source NULL: no host has to prepare any more. Borrowed. */
struct takeover_run {
	const struct options *options;
	const struct context *context;
	struct takeover *takeover;
	const struct fleet_plan *planned;
	const struct source *source;
	enum deployment_aim aim;
};
/* Tells what is taken up and what is not known of it; returns the exit status. */
int takeover_run(const struct takeover_run *run, struct err *err);

/* What the first Ctrl-C does: it asks where somebody can answer. */
enum deployment_interrupts interrupts_of(const struct options *options);
