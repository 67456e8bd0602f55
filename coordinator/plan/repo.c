#include "coordinator/plan/tree_impl.h"

#include "common/base/mem.h"
#include "coordinator/plan/blob_cache.h"

int repo_error(struct err *err, enum err_code code, const char *fmt, ...)
{
	const git_error *last = git_error_last();
	va_list args;
	va_start(args, fmt);
	AUTO_FREE char *what = NULL;
	if (vasprintf(&what, fmt, args) < 0)
		abort();
	va_end(args);
	return err_set(err, code, "%s: %s", what, last ? last->message : "unknown error");
}

static int open_error(const char *dir, int rc, struct err *err)
{
	switch (rc) {
	case GIT_ENOTFOUND:
		err_set(err, ERR_CONFIG, "'%s' is not in a git repository", dir);
		return err_hint(err, "Change to the repository of the application, name it with -C "
				     "DIR, or deploy a plain "
				     "folder with `fairlead deploy --from DIR`.");
	case GIT_EOWNER:
		err_set(err, ERR_CONFIG, "the repository at '%s' belongs to another user", dir);
		return err_hint(err,
			"If you trust it, run `git config --global --add safe.directory "
			"\"$(realpath %s)\"`.",
			dir);
	default:
		return repo_error(err, ERR_CONFIG, "cannot open the git repository at '%s'", dir);
	}
}

int repo_open(const char *dir, struct repo **ret, struct err *err)
{
	git_repository *git = NULL;
	git_libgit2_init();
	int rc = git_repository_open_ext(&git, dir, 0, NULL);
	if (rc < 0) {
		open_error(dir, rc, err);
		git_libgit2_shutdown();
		return -1;
	}
	struct repo *repo = xcalloc(1, sizeof(*repo));
	repo->git = git;
	*ret = repo;
	return 0;
}

void repo_free(struct repo *repo)
{
	if (!repo)
		return;
	blob_cache_free(repo->blobs);
	git_repository_free(repo->git);
	git_libgit2_shutdown();
	free(repo);
}

bool repo_is_shallow(struct repo *repo)
{
	return git_repository_is_shallow(repo->git) == 1;
}

static int not_found(struct repo *repo, const char *rev, struct err *err)
{
	err_set(err, ERR_NOT_FOUND, "there is no commit '%s' in this repository", rev);
	if (repo_is_shallow(repo))
		return err_hint(err,
			"This clone is shallow, run `git fetch --unshallow` (in GitHub "
			"Actions: fetch-depth: 0) or name a newer commit.");
	return err_hint(err, "Run `git fetch`, and look for it with `git log --all`.");
}

static int resolve_error(struct repo *repo, const char *rev, int rc, struct err *err)
{
	switch (rc) {
	case GIT_ENOTFOUND:
		return not_found(repo, rev, err);
	case GIT_EAMBIGUOUS:
		err_set(err, ERR_USAGE, "'%s' is the beginning of more than one commit", rev);
		return err_hint(err, "Write more digits of it.");
	case GIT_EINVALIDSPEC:
		err_set(err, ERR_USAGE, "'%s' is not a revision", rev);
		return err_hint(
			err, "Write a commit, a branch or a tag, for example HEAD~1 or v1.2.");
	default:
		return repo_error(err, ERR_NOT_FOUND, "'%s' does not name a commit", rev);
	}
}

int repo_resolve(struct repo *repo, const char *rev, char ret_commit[static COMMIT_HEX_SIZE],
	struct err *err)
{
	if (git_repository_head_unborn(repo->git) == 1 &&
		(!rev || strcmp(rev, "HEAD") == 0 || git_repository_is_empty(repo->git) == 1)) {
		err_set(err, ERR_CONFIG, "the git repository '%s' has no commit yet",
			git_repository_path(repo->git));
		return err_hint(err, "Commit what is to be deployed: `git add . && git commit`.");
	}
	if (!rev)
		rev = "HEAD";
	git_object *object = NULL, *commit = NULL;
	int rc = git_revparse_single(&object, repo->git, rev);
	if (rc == 0)
		rc = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
	git_object_free(object);
	if (rc < 0)
		return resolve_error(repo, rev, rc, err);
	git_oid_tostr(ret_commit, COMMIT_HEX_SIZE, git_object_id(commit));
	git_object_free(commit);
	return 0;
}

bool repo_has_commit(struct repo *repo, const char *commit)
{
	git_oid oid;
	git_commit *found = NULL;
	git_tree *tree = NULL;
	if (strlen(commit) != COMMIT_HEX_SIZE - 1 || git_oid_fromstr(&oid, commit) < 0 ||
		git_commit_lookup(&found, repo->git, &oid) < 0)
		return false;
	/* A partial clone may have the commit without its tree. */
	bool whole = git_commit_tree(&tree, found) == 0;
	git_tree_free(tree);
	git_commit_free(found);
	return whole;
}

/* A git_diff_notify_cb: remembers the first difference, and stops there. */
static int first_difference(
	const git_diff *diff, const git_diff_delta *delta, const char *matched, void *user)
{
	(void)diff;
	(void)matched;
	char **example = user;
	*example = xstrdup(delta->old_file.path ? delta->old_file.path : delta->new_file.path);
	return -1;
}

static git_tree *head_tree(struct repo *repo)
{
	git_object *tree = NULL;
	if (git_revparse_single(&tree, repo->git, "HEAD^{tree}") < 0)
		return NULL;
	return (git_tree *)tree;
}

int repo_dirty(struct repo *repo, char **ret_example, struct err *err)
{
	if (git_repository_is_bare(repo->git))
		return 0;
	AUTO_FREE char *example = NULL;
	git_diff_options options;
	git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
	options.flags = GIT_DIFF_IGNORE_SUBMODULES | GIT_DIFF_SKIP_BINARY_CHECK;
	options.notify_cb = first_difference;
	options.payload = &example;
	git_diff *diff = NULL;
	git_tree *head = head_tree(repo);
	int rc = git_diff_tree_to_index(&diff, repo->git, head, NULL, &options);
	git_diff_free(diff);
	diff = NULL;
	if (rc == 0)
		rc = git_diff_index_to_workdir(&diff, repo->git, NULL, &options);
	git_diff_free(diff);
	git_tree_free(head);
	if (rc < 0 && !example)
		return repo_error(err, ERR_IO, "cannot compare the working tree with HEAD");
	if (example && ret_example)
		*ret_example = TAKE(example);
	return rc < 0;
}
