/* The gateway: an unprivileged program of its own that speaks to the network for the core, over a
 * socketpair (proto/fairlead/v1/local.proto). Started here, and started again when it dies; the
 * calls it carried are then cancelled. Loop thread only. */
#pragma once

#include "agent/core/core.h"

struct gateway_process;

int gateway_process_start(struct core *core, struct gateway_process **ret, struct err *err);
void gateway_process_stop(struct gateway_process *gateway); /* NULL is fine */
/* Queue one message; pass_fd is duplicated, -1 for none. Nothing is lost while the gateway lives.
 */
void gateway_process_send(
	struct gateway_process *gateway, const Fairlead__V1__ToGateway *message, int pass_fd);
