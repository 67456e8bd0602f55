/* The audit of this host's own journals, offline: `fairlead-agent audit`. Only reads, so it may run
 * beside the agent. */
#pragma once

#include "agent/core/core.h"

#include <stdio.h>

/* Every app and environment below the root, a line each to `out`. ERR_CORRUPT when one does not
 * verify; all are looked at. The core is loaded (core_load), nothing is opened. */
int self_audit(const struct core *core, FILE *out, struct err *err);
