/* One run of a script of the `command` driver, seen from the core: started in a fairlead-shim of
 * its own (agent/shim/script.h), its end heard on the loop. */
#pragma once

#include "agent/service/service.h"

enum script_action { SCRIPT_START, SCRIPT_STOP, SCRIPT_STATUS, SCRIPT_ACTION_COUNT };

/* "start" …, as in FAIRLEAD_ACTION and in the keys `commands.<name>`. */
const char *script_action_name(enum script_action action);
/* The spec to run that script with: as plan->process, with the script for a command. Borrows from
 * the plan. */
void script_spec(const Fairlead__V1__ServicePlan *plan, enum script_action action,
	Fairlead__V1__ProcessSpec *ret);
uint64_t script_timeout_ms(const Fairlead__V1__ServicePlan *plan, enum script_action action);

/* The end, borrowed; NULL, and why, when the script could not be run. An end may be a bad one:
 * script_failed. */
typedef void script_done_fn(void *user, const Fairlead__V1__ScriptEnd *end, const struct err *err);
/* Run it from the release. `done` comes once, later, on the loop. */
int script_call(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
	enum script_action action, const struct digest *release, script_done_fn *done, void *user,
	struct err *err);

/* Fill err with how it ended and the last line it wrote; -1. */
int script_failed(enum script_action action, const Fairlead__V1__ScriptEnd *end, struct err *err);
