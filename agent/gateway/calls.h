/* The calls in progress, between the link and the core. Numbers are ours, unique while we run;
 * the core's messages for a number that is not here any more are ignored. */
#pragma once

#include "agent/gateway/port.h"
#include "common/link/link.h"

struct gateway_calls;

struct gateway_calls *gateway_calls_new(struct port *port);
/* Frees them without a word to either side; the loop is freed after. */
void gateway_calls_free(struct gateway_calls *calls);

/* A call came in over a link (link_server_ops.called). */
void gateway_calls_open(struct gateway_calls *calls, struct link_call *link, const char *method,
	uint64_t deadline_ms, const struct public_key *peer);
/* The core speaks: message, end or spool, whichever is set. Takes fd (-1: none). */
void gateway_calls_receive(
	struct gateway_calls *calls, const Fairlead__V1__ToGateway *message, int fd);
