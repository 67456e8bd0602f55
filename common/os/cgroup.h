/* A control group of one's own (cgroups(7)), for one purpose: whoever is put into it, and all that
 * they start, stay in it whatever they do, so that a tree of processes can be found and ended
 * whole.
 *
 * It is a directory below the cgroup this process is in, in the first hierarchy that lets us: the
 * unified one (v2), else the v1 hierarchies "name=systemd", "pids" and "freezer". No controller is
 * used. Where none is writable there is none, and the caller finds processes by other means. May
 * block as the kernel's file systems do. */
#pragma once

#include "common/base/err.h"

#include <stddef.h>
#include <sys/types.h>

/* Make (or take over) the group `name`, a file name, and put the process into it. *ret_path is the
 * caller's. CGROUP_NONE: nowhere on this host; *ret_path untouched. */
enum cgroup_found { CGROUP_MADE = 0, CGROUP_NONE = 1 };
enum cgroup_found cgroup_enter(const char *name, pid_t pid, char **ret_path);
/* The directory that a sibling of our own group goes into, in the hierarchy of that controller ("":
 * the unified one): the parent of ours, or ours if it is the root. The caller's; NULL: none to be
 * seen. */
char *cgroup_beside(const char *controller);
/* Append the processes of all groups of this name, in every hierarchy, to *list (realloc'ed). */
void cgroup_members(const char *name, pid_t **list, size_t *count);
/* Remove the groups of this name; those that still have processes stay. */
void cgroup_remove(const char *name);
