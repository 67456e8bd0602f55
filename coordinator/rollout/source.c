#include "coordinator/rollout/source.h"

#include "common/base/mem.h"

static int check_clean(struct repo *repo, struct err *err)
{
	AUTO_FREE char *example = NULL;
	int dirty = repo_dirty(repo, &example, err);
	if (dirty <= 0)
		return dirty;
	err_set(err, ERR_USAGE, "the working tree has changes that are not committed ('%s')",
		example ? example : "?");
	return err_hint(err,
		"Only commits are deployed: commit them, or deploy HEAD without them by "
		"--allow-dirty (or --to REV).");
}

static int open_commit(const struct source_setup *setup, struct source *source, struct err *err)
{
	char commit[COMMIT_HEX_SIZE];
	if (repo_open(".", &source->repo, err) < 0 ||
		repo_resolve(source->repo, setup->revision, commit, err) < 0)
		return -1;
	if (setup->dirty == SOURCE_DIRTY_REFUSED && check_clean(source->repo, err) < 0)
		return -1;
	return tree_from_commit(source->repo, commit, &source->tree, err);
}

static int open_folder(const struct source_setup *setup, struct source *source, struct err *err)
{
	return tree_from_folder(setup->folder, &source->tree, err);
}

int source_open(const struct source_setup *setup, struct source *ret, struct err *err)
{
	struct source source = {0};
	int r = setup->folder ? open_folder(setup, &source, err) : open_commit(setup, &source, err);
	if (r < 0) {
		repo_free(source.repo);
		/* Not a peer's bytes but the user's own tree: theirs to mend. */
		if (err && err->code == ERR_INVALID)
			err->code = ERR_CONFIG;
		return -1;
	}
	*ret = source;
	return 0;
}

void source_release(struct source *source)
{
	tree_release(&source->tree);
	repo_free(source->repo);
	*source = (struct source){0};
}
