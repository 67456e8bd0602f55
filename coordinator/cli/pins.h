/* `fairlead releases --pin` and `--unpin`: one signed command to each host that has the release. */
#pragma once

#include "coordinator/cli/context.h"

enum pin_wish { PIN_ON, PIN_OFF };
/* `wanted` has the form of a release (release_choice.h). On every READY member: all are asked which
 * release `wanted` is before any is told to pin it, so that a name that does not fit changes
 * nothing. */
int pins_set(struct context *context, const struct options *options, enum pin_wish wish,
	const char *wanted, struct err *err);
