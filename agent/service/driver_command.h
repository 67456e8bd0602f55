/* The `command` driver: the user's own scripts start, stop and tell of a service
 * (docs/drivers.md).
 *
 *     <store>/state/services/<name>.command   agent/service/command_record.h
 *                            <name>.lock      held while a script runs
 *                   logs/<name>.log, .1 …    what the scripts wrote, unless log_file is set
 *
 * The scripts are those of the release the service was started from. What they say is believed
 * only as far as it can be: a start is done when the status script says `running`, a stop when it
 * says `stopped`; the pid it names is never signalled, for a service may name any. */
#pragma once

#include "agent/service/service.h"

extern const struct service_ops driver_command;
