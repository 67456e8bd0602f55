/* One call to every host at once, each with its own command: for verbs that ask more than a plain
 * look (hosts_ask_all). */
#pragma once

#include "coordinator/fleet/hosts.h"

struct hosts_call_ops {
	/* The command for this host, its action set; false: do not ask it. NULL: as it is. */
	bool (*fill)(void *user, struct member *member, Fairlead__V1__Command *command);
	/* Each message; borrowed. */
	void (*message)(void *user, struct member *member, const ProtobufCMessage *message);
	/* Once for every host that was asked. */
	void (*ended)(void *user, struct member *member, const struct err *err);
};

/* Every READY member; returns when all calls have ended. Callbacks come as the hosts answer. */
void hosts_call_all(struct hosts *hosts, Fairlead__V1__Action action, uint64_t deadline_ms,
	const struct hosts_call_ops *ops, void *user);
