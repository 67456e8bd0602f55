/* The gateway: between the network and the core, holding no key and deciding nothing.
 *
 * It listens for links, has the core sign and admit, and carries calls as numbered messages over
 * the socketpair. Of a client stream (Prepare) the first message goes to the core, the rest into
 * the file that the core grants; of a server stream the core sends as many messages as it has
 * credit for. What either side sends out of turn ends that call, or is ignored; it never ends
 * the gateway. One thread beside nng's. */
#pragma once

#include "common/base/err.h"
#include "common/link/link.h"

/* Serve until the core closes core_fd (0). ERR_*: it could not listen, or lost the core. */
int gateway_run(int core_fd, const char *address, const struct public_key *identity,
	const struct link_server_limits *limits, struct err *err);
