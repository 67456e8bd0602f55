/* The report of a verb that changes hosts: one line for each member, in their order. */
#pragma once

#include "coordinator/cli/context.h"

struct report *member_report_new(const struct options *options, struct hosts *hosts);
/* Close a report with "nothing to do: why"; returns the exit status, which says whether hosts
 * were left out because they could not be reached. */
int member_report_nothing(struct report *report, const struct context *context, const char *why);
