/* The processes of a service whose shim is gone: found through the pid file it wrote.
 *
 * The service leads a session of its own, so every process of that session is its own, as long
 * as the leader is proven to be the one that was started (boot and start time). When the leader
 * has ended, its number may be somebody else's by now: then only processes that carry the
 * service's mark in their environment count. Reads /proc; may block as that does. */
#pragma once

#include "agent/shim/pidfile.h"

/* Their pids, the leader (if it lives) first; free(*ret). None is fine. */
int orphan_find(const struct pidfile *file, const char *service, pid_t **ret, size_t *ret_count,
	struct err *err);
