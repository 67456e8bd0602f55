/* `fairlead resume ID --resolve DECISION`: what becomes of the hosts that hold because a step that
 * may run only once was cut off. */
#pragma once

#include "coordinator/cli/context.h"

/* "done", "redo" or "undo"; else ERR_USAGE. */
int resolve_parse(const char *text, Fairlead__V1__Decision *ret, struct err *err);

/* Tell every READY host of the context that holds this deployment (the beginning of its id; NULL:
 * the one there is), and wait until each has gone on as far as it can by itself, or holds again.
 * Says on stderr what became of each. ERR_PREFLIGHT: no host holds it; ERR_USAGE: more than one
 * deployment is held. */
int resolve_held(struct context *context, const char *id_prefix, Fairlead__V1__Decision decision,
	struct err *err);
