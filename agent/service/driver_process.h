/* The `process` driver: each service under a fairlead-shim of its own, which outlives the agent.
 *
 *     <store>/state/services/<name>.sock   the shim's control socket
 *                            <name>.pid    agent/shim/pidfile.h
 *                   logs/<name>.log, .1 …  stdout and stderr, rotated by the shim
 *
 * The files belong to the agent's user; only the service itself changes to its own user, so that
 * a service can neither signal its supervisor nor forge the pid that a stop will kill. When a shim
 * was killed, status and stop still find its service through the pid file. */
#pragma once

#include "agent/service/service.h"

extern const struct service_ops driver_process;
