/* What every driver demands of a plan before anything is run: names, bytes, programs, users.
 *
 * The coordinator has checked most of it; whoever signs commands by other means has not. Nothing
 * here is kept; may block briefly on disk and the user database. All fail with ERR_CONFIG. */
#pragma once

#include "agent/service/service.h"

int plan_check_name(const Fairlead__V1__ServicePlan *plan, struct err *err);
/* Environment and user of `process`, which may be missing. */
int plan_check_process(const struct service_context *context,
	const Fairlead__V1__ProcessSpec *process, struct err *err);
/* The program of process->command is an executable file, as it will be started from the release.
 * `key`: what the user called it, as in "command" or "commands.start". */
int plan_check_program(const Fairlead__V1__ProcessSpec *process, const char *key,
	const char *release_path, struct err *err);
