/* The tree of a release beside its manifest: what drifted, file by file. */
#include "agent/store/content.h"
#include "agent/store/cursor.h"
#include "agent/store/layout.h"
#include "agent/store/shared_paths.h"
#include "agent/store/stat_index.h"
#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>

struct comparison {
	struct manifest manifest;
	struct stat_index index;
	store_difference_fn *fn;
	void *user;
	struct store_compared done;
};

static void comparison_release(struct comparison *comparison)
{
	manifest_release(&comparison->manifest);
	stat_index_release(&comparison->index);
}

/* ---- what the manifest has ---- */

static int compare_link(struct comparison *c, int dirfd, const char *name,
	const struct manifest_entry *entry, struct err *err)
{
	struct stat st;
	int verdict = content_check(dirfd, name, entry, &st, err);
	if (verdict == CONTENT_DIFFERS)
		c->fn(c->user, STORE_TARGET, entry->path);
	return verdict < 0 ? -1 : 0;
}

static int compare_file(struct comparison *c, int dirfd, const char *name,
	const struct manifest_entry *entry, const struct stat *is, struct err *err)
{
	struct stat st;
	struct manifest_entry content = *entry;
	if (is->st_mode != (mode_t)entry->mode)
		c->fn(c->user, STORE_MODE, entry->path);
	/* Its mode has been judged; now the content alone. */
	content.mode = (enum manifest_mode)is->st_mode;
	int verdict = content_check(dirfd, name, &content, &st, err);
	if (verdict == CONTENT_DIFFERS)
		c->fn(c->user, STORE_CHANGED, entry->path);
	c->done.bytes += entry->size;
	return verdict < 0 ? -1 : 0;
}

static bool is_absent(int errnum)
{
	/* Also when something else stands in the place of a folder above it. */
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP;
}

static int compare_entry(struct comparison *c, struct cursor *cursor,
	const struct manifest_entry *entry, struct err *err)
{
	const char *name;
	struct stat st;
	struct err why = ERR_INIT;
	int dirfd = cursor_open(cursor, entry->path, &name, &why);
	if (dirfd >= 0 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		err_errno(&why, ERR_IO, errno, "cannot look at '%s'", name);
		dirfd = -1;
	}
	if (dirfd < 0 && is_absent(why.errnum)) {
		c->fn(c->user, STORE_MISSING, entry->path);
		return 0;
	}
	if (dirfd < 0) {
		*err = why;
		return -1;
	}
	c->done.files++;
	bool is_link = entry->mode == MANIFEST_LINK;
	if (is_link ? !S_ISLNK(st.st_mode) : !S_ISREG(st.st_mode)) {
		c->fn(c->user, STORE_TYPE, entry->path);
		return 0;
	}
	return is_link ? compare_link(c, dirfd, name, entry, err)
		       : compare_file(c, dirfd, name, entry, &st, err);
}

static int compare_entries(struct comparison *c, int treefd, struct err *err)
{
	AUTO(cursor) struct cursor cursor = CURSOR_INIT(treefd);
	const struct manifest *manifest = &c->manifest, *links = &c->index.links;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < manifest->count; i++)
		if (shared_paths_above(links, manifest->entries[i].path) < 0)
			rc = compare_entry(c, &cursor, &manifest->entries[i], err);
	for (size_t i = 0; rc == 0 && i < links->count; i++)
		rc = compare_entry(c, &cursor, &links->entries[i], err);
	return rc;
}

/* ---- what it has not ---- */

struct walk {
	struct comparison *comparison;
	const char *path; /* "" for the root */
};

static bool is_known(const struct comparison *c, const char *path)
{
	return manifest_find(&c->manifest, path) || manifest_find(&c->index.links, path);
}

static bool has_below(const struct comparison *c, const char *path)
{
	return manifest_has_below(&c->manifest, path) || manifest_has_below(&c->index.links, path);
}

static int visit(void *user, int dirfd, const char *name, struct err *err)
{
	const struct walk *walk = user;
	struct comparison *c = walk->comparison;
	struct stat st;
	AUTO_FREE char *path = walk->path[0] ? xasprintf("%s/%s", walk->path, name) : xstrdup(name);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : err_errno(err, ERR_IO, errno, "cannot look at '%s'", path);
	if (!S_ISDIR(st.st_mode) || !has_below(c, path)) {
		if (!is_known(c, path))
			c->fn(c->user, STORE_EXTRA, path);
		return 0;
	}
	struct walk below = {c, path};
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return is_absent(errno) ? 0
					: err_errno(err, ERR_IO, errno, "cannot open '%s'", path);
	return layout_each(fd, visit, &below, err);
}

int store_compare(const struct store *store, const struct digest *release, store_difference_fn *fn,
	void *user, struct store_compared *ret, struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	AUTO(comparison) struct comparison c = {.fn = fn, .user = user};
	AUTO_CLOSE int treefd = layout_open_release(store, release, err);
	if (treefd < 0 || store_manifest_read(store, release, &c.manifest, err) < 0 ||
		stat_index_read(store, &c.manifest, &c.index, err) < 0)
		return err_wrap(err, "release %.12s", digest_hex(release, hex));
	struct walk root = {&c, ""};
	if (compare_entries(&c, treefd, err) < 0 || layout_each(treefd, visit, &root, err) < 0)
		return err_wrap(err, "release %.12s", digest_hex(release, hex));
	*ret = c.done;
	return 0;
}
