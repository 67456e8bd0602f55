/* What `plan` and `deploy` begin with: the tree to deploy is read while the hosts are reached, then
 * both are compared. */
#pragma once

#include "coordinator/cli/context.h"
#include "coordinator/rollout/plan_hosts.h"

struct planning {
	struct context context;
	struct source source;
	struct fleet_plan planned;
};

/* By --to, --from (a folder), --type, --allow-dirty and the common options. Errors: those of the
 * files, of the source, and of hosts that could not be reached and may not be skipped. */
int planning_open(const struct options *options, struct planning *ret, struct err *err);
void planning_release(struct planning *planning);
/* To stdout, as `fairlead plan` does. */
void planning_print(const struct planning *planning, const struct options *options);
