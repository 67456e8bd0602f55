/* The listening sockets that a shim opens for its service and hands over (sd_listen_fds(3)).
 *
 * They outlive the service's processes: while none is there, connections wait in the kernel's
 * queue and none is refused. A shim that is told to stop for a successor keeps them until that
 * one takes them (control.h). A socket is the same one when its ADDRESS:PORT is. IPv6 ones are
 * for IPv6 only. Bound as the agent's user, so that a port below 1024 needs no privilege of the
 * service. Blocks for a moment while taking. */
#pragma once

#include "common/os/endpoint.h"
#include "fairlead/v1/command.pb-c.h"

#include <stddef.h>

struct sockets {
	size_t count;
	char *places[ENDPOINTS_MAX]; /* ADDRESS:PORT */
	char *names[ENDPOINTS_MAX];
	int fds[ENDPOINTS_MAX];
};

/* All that `process` names: from the shim that keeps them at the control socket `control_path`, if
 * there is one, which then ends; the others anew. What it kept and `process` does not name is
 * closed. ERR_CONFIG: cannot be parsed; ERR_FAILED: cannot be opened, such as a port in use. */
int sockets_open(struct sockets *sockets, const Fairlead__V1__ProcessSpec *process,
	const char *service, const char *control_path, struct err *err);
/* Before each start: as fresh as the first one found them, whatever the last process did. */
void sockets_refresh(const struct sockets *sockets);
/* Value of LISTEN_FDNAMES; the caller's. */
char *sockets_names(const struct sockets *sockets);
void sockets_release(struct sockets *sockets);
