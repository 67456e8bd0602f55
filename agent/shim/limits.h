/* What a service may use, and who holds it to that: cgroups where this host has one that can be
 * written to, else resource limits of each process, else nobody; `held` says which.
 *
 * Of each controller (memory, cpu, pids) the unified hierarchy (v2) is tried, then v1. The group is
 * made beside the one this process is in: v2 gives no controller to a group below one that has
 * processes. It holds the service and not its supervisor, and is gone when the service has ended.
 * Writes to the kernel's file systems only; may block as they do. */
#pragma once

#include "common/base/err.h"
#include "common/os/spawn.h"
#include "fairlead/v1/command.pb-c.h"

enum { LIMITS_CONTROLLERS = 3, LIMITS_HELD_SIZE = 256 };

struct limits {
	const Fairlead__V1__Limits *spec; /* borrowed; NULL: none */
	char *groups[LIMITS_CONTROLLERS]; /* directories; NULL: not held by a cgroup */
	int versions[LIMITS_CONTROLLERS]; /* of cgroups, 1 or 2 */
	int join[LIMITS_CONTROLLERS];     /* cgroup.procs of each distinct one */
	size_t join_count;
	uint64_t memory_kills;       /* so far */
	char held[LIMITS_HELD_SIZE]; /* for status: "memory 512M (cgroup v2), …" */
};

/* `name` is a file name that no other service on this host has. Never fails: see `held`. `is_root`:
 * the service runs as root, which no limit of processes holds but a cgroup's. */
void limits_open(
	struct limits *limits, const Fairlead__V1__Limits *spec, const char *name, int is_root);
/* What the new process joins and what it limits itself. */
void limits_apply(const struct limits *limits, struct spawn *spawn);
/* 1 when the kernel has killed for memory since it was last asked. */
int limits_memory_kill(struct limits *limits);
/* The groups are removed unless somebody is left in them. */
void limits_release(struct limits *limits);
