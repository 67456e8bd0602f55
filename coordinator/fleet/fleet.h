/* The hosts a command is about: the inventory, narrowed to an environment and by --limit.
 * Immutable once opened. */
#pragma once

#include "coordinator/config/fleet_config.h"

struct fleet {
	struct fleet_config config;
	const struct fleet_host *
		*hosts; /* those selected, in the order of the file; borrow config */
	size_t count;
};

/* A host belongs to the environment that its label `env` names, or to every environment when it
 * has none. environment NULL: whatever the label says. limit is a selector, NULL for all.
 * ERR_CONFIG of the file, ERR_USAGE of the selector, ERR_NOT_FOUND when no host is left. */
int fleet_open(const char *path, const char *environment, const char *limit, struct fleet *ret,
	struct err *err);
void fleet_release(struct fleet *fleet);
