/* Comparing the current release with its manifest, file by file; and the journal as it is, for an
 * audit. Both only look. */
#pragma once

#include "agent/core/calls.h"

/* At once, in all apps: a full re-hash takes the disk, so a third has to wait. */
enum { DRIFTS_AT_ONCE = 2 };

call_handler_fn handle_drift, handle_audit;
