#include "common/base/mem.h"
#include "coordinator/plan/blob_cache.h"
#include "coordinator/plan/tree_impl.h"

struct git_tree_impl {
	struct tree_impl base; /* first: freed through it */
	git_repository *git;   /* borrowed */
	git_tree *root;
};

struct walker {
	struct repo *repo;
	git_odb *odb;
	struct manifest *manifest;
	struct buf path; /* of the entry at hand */
	int depth;
};

static const char *path_of(struct walker *w)
{
	return buf_str(&w->path);
}

static int submodule_error(struct walker *w, struct err *err)
{
	err_set(err, ERR_CONFIG, "'%s' is a submodule, and those are not deployed", path_of(w));
	return err_hint(err,
		"Vendor its files into the repository (git subtree), or deploy a checked-out "
		"folder with `fairlead deploy --from DIR`.");
}

/* The spec wants the pointer's first line to be this, and less than 1024 bytes in all
 * (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md). */
static bool is_lfs_pointer(const void *data, size_t size)
{
	static const char first_line[] = "version https://git-lfs.github.com/spec/";
	return size < 1024 && size >= sizeof(first_line) &&
	       memcmp(data, first_line, sizeof(first_line) - 1) == 0;
}

static int lfs_error(struct walker *w, struct err *err)
{
	err_set(err, ERR_CONFIG, "'%s' is a Git LFS pointer, its content is not in the repository",
		path_of(w));
	return err_hint(err,
		"Run `git lfs pull` and deploy the folder with `fairlead deploy --from DIR`, "
		"or commit the file itself.");
}

static int read_blob(struct walker *w, const git_oid *id, git_odb_object **ret, struct err *err)
{
	if (git_odb_read(ret, w->odb, id) == 0 && git_odb_object_type(*ret) == GIT_OBJECT_BLOB)
		return 0;
	repo_error(err, ERR_CORRUPT, "cannot read '%s' from the repository", path_of(w));
	return err_hint(err, "Check the clone with `git fsck`; a partial clone has to be completed "
			     "with `git fetch --refetch`.");
}

/* Links are read each time: whether a target stays inside depends on where the link is. */
static int add_link(struct walker *w, const git_oid *id, struct err *err)
{
	git_odb_object *object = NULL;
	if (read_blob(w, id, &object, err) < 0)
		return -1;
	const char *target = git_odb_object_data(object);
	size_t size = git_odb_object_size(object);
	int rc = manifest_link_check(path_of(w), target, size, err);
	if (rc == 0) {
		struct digest digest = digest_of(target, size);
		rc = manifest_add(
			w->manifest, path_of(w), w->path.len, MANIFEST_LINK, size, &digest, err);
	}
	git_odb_object_free(object);
	return rc;
}

static int hash_blob(struct walker *w, const git_oid *id, struct blob_fact *ret, struct err *err)
{
	git_odb_object *object = NULL;
	if (read_blob(w, id, &object, err) < 0)
		return -1;
	const void *data = git_odb_object_data(object);
	size_t size = git_odb_object_size(object);
	bool pointer = is_lfs_pointer(data, size);
	*ret = (struct blob_fact){*id, digest_of(data, size), size};
	git_odb_object_free(object);
	if (pointer)
		return lfs_error(w, err);
	blob_cache_add(w->repo->blobs, ret);
	return 0;
}

static int add_file(struct walker *w, const git_oid *id, enum manifest_mode mode, struct err *err)
{
	struct blob_fact fact;
	if (!blob_cache_find(w->repo->blobs, id, &fact) && hash_blob(w, id, &fact, err) < 0)
		return -1;
	return manifest_add(
		w->manifest, path_of(w), w->path.len, mode, fact.size, &fact.digest, err);
}

static int walk(struct walker *w, const git_tree *tree, struct err *err);

static int walk_subtree(struct walker *w, const git_oid *id, struct err *err)
{
	git_tree *tree = NULL;
	if (w->depth >= MANIFEST_DEPTH_MAX)
		return err_set(err, ERR_CONFIG, "'%s' is nested too deeply", path_of(w));
	if (git_tree_lookup(&tree, w->repo->git, id) < 0)
		return repo_error(err, ERR_CORRUPT, "cannot read the directory '%s'", path_of(w));
	buf_append(&w->path, "/", 1);
	w->depth++;
	int rc = walk(w, tree, err);
	w->depth--;
	git_tree_free(tree);
	return rc;
}

static int walk_entry(struct walker *w, const git_tree_entry *entry, struct err *err)
{
	const git_oid *id = git_tree_entry_id(entry);
	switch (git_tree_entry_filemode(entry)) {
	case GIT_FILEMODE_TREE:
		return walk_subtree(w, id, err);
	case GIT_FILEMODE_BLOB:
		return add_file(w, id, MANIFEST_FILE, err);
	case GIT_FILEMODE_BLOB_EXECUTABLE:
		return add_file(w, id, MANIFEST_EXEC, err);
	case GIT_FILEMODE_LINK:
		return add_link(w, id, err);
	case GIT_FILEMODE_COMMIT:
		return submodule_error(w, err);
	case GIT_FILEMODE_UNREADABLE:
	default:
		return err_set(
			err, ERR_CONFIG, "'%s' has a mode that git does not define", path_of(w));
	}
}

static int walk(struct walker *w, const git_tree *tree, struct err *err)
{
	size_t prefix = w->path.len;
	size_t count = git_tree_entrycount(tree);
	for (size_t i = 0; i < count; i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
		w->path.len = prefix;
		buf_append_str(&w->path, git_tree_entry_name(entry));
		if (walk_entry(w, entry, err) < 0)
			return -1;
	}
	w->path.len = prefix;
	return 0;
}

static int read_manifest(
	struct repo *repo, const git_tree *root, struct manifest *manifest, struct err *err)
{
	struct walker walker = {.repo = repo, .manifest = manifest};
	if (git_repository_odb(&walker.odb, repo->git) < 0)
		return repo_error(err, ERR_IO, "cannot open the object store");
	if (!repo->blobs)
		repo->blobs = blob_cache_open(git_repository_commondir(repo->git));
	int rc = walk(&walker, root, err);
	if (rc == 0)
		rc = manifest_finish(manifest, err);
	if (rc == 0)
		blob_cache_save(repo->blobs);
	buf_release(&walker.path);
	git_odb_free(walker.odb);
	return rc;
}

/* A bundle_source's fetch. */
static int fetch(void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err)
{
	const struct git_tree_impl *impl = user;
	git_tree_entry *found = NULL;
	git_blob *blob = NULL;
	int rc = git_tree_entry_bypath(&found, impl->root, entry->path);
	if (rc == 0)
		rc = git_blob_lookup(&blob, impl->git, git_tree_entry_id(found));
	git_tree_entry_free(found);
	if (rc < 0)
		return repo_error(err, rc == GIT_ENOTFOUND ? ERR_NOT_FOUND : ERR_IO,
			"cannot read '%s' from the repository", entry->path);
	ret->len = 0;
	buf_append(ret, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
	git_blob_free(blob);
	return 0;
}

static void impl_free(struct tree_impl *base)
{
	struct git_tree_impl *impl = (struct git_tree_impl *)base;
	git_tree_free(impl->root);
	free(impl);
}

static int commit_tree(struct repo *repo, const char *commit, git_tree **ret, struct err *err)
{
	git_oid id;
	git_commit *found = NULL;
	int rc = git_oid_fromstr(&id, commit);
	if (rc == 0)
		rc = git_commit_lookup(&found, repo->git, &id);
	if (rc == 0)
		rc = git_commit_tree(ret, found);
	git_commit_free(found);
	if (rc == 0)
		return 0;
	repo_error(err, ERR_NOT_FOUND, "cannot read commit '%s'", commit);
	return err_hint(err, "Run `git fetch`; a shallow clone may need `git fetch --unshallow`.");
}

int tree_from_commit(struct repo *repo, const char *commit, struct tree *ret, struct err *err)
{
	struct tree tree = {0};
	git_tree *root = NULL;
	if (commit_tree(repo, commit, &root, err) < 0)
		return -1;
	struct git_tree_impl *impl = xcalloc(1, sizeof(*impl));
	*impl = (struct git_tree_impl){{impl_free}, repo->git, root};
	tree.impl = &impl->base;
	tree.source = (struct bundle_source){fetch, impl};
	snprintf(tree.label, sizeof(tree.label), "%s", commit);
	if (read_manifest(repo, root, &tree.manifest, err) < 0) {
		tree_release(&tree);
		if (err && err->code == ERR_INVALID)
			err->code = ERR_CONFIG; /* the repository's own mistake, not a peer's */
		return err_wrap(err, "commit %.7s", commit);
	}
	*ret = tree;
	return 0;
}
