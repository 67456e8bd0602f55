#include "coordinator/plan/base.h"

#include "common/base/mem.h"

static char *why_not_in_clone(struct repo *repo, const char *commit)
{
	if (!repo)
		return xasprintf(
			"the host runs %.12s, and a folder has no history to find it in", commit);
	if (strncmp(commit, "dir-", 4) == 0)
		return xasprintf(
			"the host runs '%s', deployed from a folder, not from this repository",
			commit);
	if (repo_is_shallow(repo))
		return xasprintf("commit %.12s, which the host runs, is beyond the edge of this "
				 "shallow clone; "
				 "run `git fetch --unshallow` (GitHub Actions: fetch-depth: 0) and "
				 "plan again "
				 "to restart only what changed",
			commit);
	return xasprintf(
		"commit %.12s, which the host runs, is not in this clone (history rewritten by a "
		"force-push, or not fetched); run `git fetch origin %.12s` and plan again to "
		"restart only what changed",
		commit, commit);
}

enum plan_base base_find(struct repo *repo, const char *commit, const struct digest *current,
	struct tree *ret, char **ret_why)
{
	struct tree tree = {0};
	struct err err = ERR_INIT;
	if (digest_is_zero(current))
		return PLAN_BASE_FIRST;
	if (!repo || !repo_has_commit(repo, commit)) {
		*ret_why = why_not_in_clone(repo, commit);
		return PLAN_BASE_UNKNOWN;
	}
	if (tree_from_commit(repo, commit, &tree, &err) < 0) {
		*ret_why = xasprintf("the tree of %.12s, which the host runs, cannot be read: %s",
			commit, err.message);
		return PLAN_BASE_UNKNOWN;
	}
	if (!digest_equal(&tree.manifest.digest, current)) {
		tree_release(&tree);
		*ret_why = xasprintf(
			"the release on the host is labelled %.12s but is not the tree of that "
			"commit; it was deployed from something else, or altered",
			commit);
		return PLAN_BASE_UNKNOWN;
	}
	*ret = tree;
	return PLAN_BASE_KNOWN;
}
