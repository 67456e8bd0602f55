/* The process between the core and a hook's program; see hook.h. Inside agent/hook.
 *
 * Over their socket (SOCK_SEQPACKET) the core sends one byte a packet; the end of the file means
 * KILL. The runner answers with one struct runner_end, when nothing of the tree is left, and exits.
 */
#pragma once

#include "agent/hook/hook.h"

enum runner_order { RUNNER_GO = 'g', RUNNER_STOP = 's' };

struct runner_end {
	struct err err; /* it could not be begun, or its processes could not be ended */
	struct spawn_end end;
};

struct runner {
	const struct hook_setup *setup;
	int socket;
	int output; /* of the program: stdout and stderr */
};

/* Its exit status; user is a struct runner. In the forked child. */
int runner_main(void *user);
