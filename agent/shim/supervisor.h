/* One service, kept running: the event loop of fairlead-shim.
 *
 *     running → ending → waiting → running …      an end, everything it left killed, back-off
 *                      → resting                  ended well, or given up: asked for its status
 *     any     → ending → done                     stop, by request or SIGTERM
 *                      → keeping → done           stop for a successor: it takes the sockets
 *
 * `ending` holds until no descendant is left: first the stop signal, after stop_timeout_ms
 * SIGKILL, again and again. Writes the log, the control socket and the pid file beside it.
 * Single-threaded; SIGCHLD, SIGTERM, SIGINT and SIGHUP arrive through a signalfd. */
#pragma once

#include "common/base/err.h"
#include "fairlead/v1/local.pb-c.h"

/* Supervise until the service has been stopped. When it runs, *ready_fd gets a packed ShimReply and
 * is closed (and -1). `spec` is borrowed. Returns 0 after a stop; -1 with err when the service did
 * not start at all: then nothing is left of it, and *ready_fd is as it was. A service that has
 * sockets and does not start is reported, and its sockets are kept for the next one. */
int supervisor_run(const Fairlead__V1__ShimSpec *spec, int *ready_fd, struct err *err);
