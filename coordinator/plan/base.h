/* The base of a plan: the release a host stands on, found again in our clone. May block on disk. */
#pragma once

#include "coordinator/plan/plan.h"
#include "coordinator/plan/tree.h"

/* A host says it verified the release `current` (zero: none), made from `commit` (its label).
 *
 * PLAN_BASE_KNOWN: *ret is that tree, and its manifest digest is `current`; release it with
 * tree_release, and before repo. PLAN_BASE_FIRST: the host has no release. PLAN_BASE_UNKNOWN:
 * *ret_why says in one line why, and what to do about it (caller frees); a plan must then be
 * FULL_RESTART. Never fails: whatever hinders reading the old tree makes it unknown.
 * repo may be NULL (a folder is deployed). *ret and *ret_why are untouched otherwise. */
enum plan_base base_find(struct repo *repo, const char *commit, const struct digest *current,
	struct tree *ret, char **ret_why);
