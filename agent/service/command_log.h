/* The log of a service of the `command` driver: its log_file and what that was rotated to by
 * numbers, or what its scripts wrote. As open_log of service.h. */
#pragma once

#include "agent/service/service.h"

int command_log_open(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
	unsigned age, int *ret_fd, struct err *err);
