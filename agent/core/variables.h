/* A host's own variables (agent.yaml `variables`): put into every service's environment, and for
 * ${NAME} in its environment values, commands' arguments and probes. This is how one signed plan
 * fits hosts that differ in a port or a path. */
#pragma once

#include "agent/config/agent_config.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "fairlead/v1/command.pb-c.h"

/* A copy of the plan for this host (pb_free). ERR_CONFIG names a variable that is not there. */
int variables_apply(const struct agent_config *config, const Fairlead__V1__ServicePlan *plan,
	Fairlead__V1__ServicePlan **ret, struct err *err);
/* The same for text alone; "$$" stands for one "$". */
int variables_expand(
	const struct agent_config *config, struct bytes text, struct buf *ret, struct err *err);
