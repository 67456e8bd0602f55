/* Turning a ShimSpec into a running process: program, environment, user, limits.
 *
 * The service gets a clean environment: PATH, HOME, USER and LANG, FAIRLEAD_SERVICE and
 * FAIRLEAD_RELEASE (the digest), and what the plan says, which wins. The release is its working
 * directory. A command with a slash is a path in the release; one without is looked up on the
 * service's PATH. */
#pragma once

#include "agent/shim/limits.h"
#include "agent/shim/sockets.h"
#include "common/os/spawn.h"
#include "fairlead/v1/local.pb-c.h"

/* PATH of a service that sets none. */
extern const char launch_default_path[];

/* Look up the program as launch_service will: *ret is the caller's. ERR_FAILED: not there. */
int launch_find(const Fairlead__V1__ProcessSpec *process, const char *release_dir, char **ret,
	struct err *err);

/* Start it, stdout and stderr into log_fd, its sockets from fd 3 on with LISTEN_FDS,
 * LISTEN_PID and LISTEN_FDNAMES, in a session of its own; the process must still be
 * waited for with waitid(2). The user changes only if we are root. */
int launch_service(const Fairlead__V1__ShimSpec *spec, const struct sockets *sockets,
	const struct limits *limits, int log_fd, pid_t *ret, struct err *err);

/* A field of bytes (a path, an argument) as a C string; the caller's. */
char *launch_string(ProtobufCBinaryData field);
/* "FAIRLEAD_SERVICE=<name>", which every process of the service was started with. */
char *launch_mark(const char *service);
/* The release's digest in hex: the last component of its path. Borrowed. */
const char *launch_release(const char *release_dir);
