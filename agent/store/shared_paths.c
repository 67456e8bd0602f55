#include "agent/store/shared_paths.h"

#include "agent/store/layout.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

char *shared_link_target(const char *path)
{
	AUTO(buf) struct buf target = {0};
	buf_append_str(&target, "../../");
	for (const char *p = path; (p = strchr(p, '/')); p++)
		buf_append_str(&target, "../");
	buf_printf(&target, "shared/%s", path);
	return xstrdup(buf_str(&target));
}

static int add_paths(
	struct manifest *links, const ProtobufCBinaryData *list, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		if (manifest_path_check((const char *)list[i].data, list[i].len, err) < 0)
			return -1;
		AUTO_FREE char *path = xstrndup((const char *)list[i].data, list[i].len);
		AUTO_FREE char *target = shared_link_target(path);
		struct digest digest = digest_of(target, strlen(target));
		if (manifest_add(links, path, list[i].len, MANIFEST_LINK, strlen(target), &digest,
			    err) < 0)
			return -1;
	}
	return 0;
}

static int build_links(
	struct shared_paths *shared, const Fairlead__V1__Prepare *plan, struct err *err)
{
	struct manifest *links = &shared->links;
	if (plan && (add_paths(links, plan->shared_dirs, plan->n_shared_dirs, err) < 0 ||
			    add_paths(links, plan->shared_files, plan->n_shared_files, err) < 0))
		return -1;
	if (manifest_finish(links, err) < 0)
		return -1;
	shared->is_dir = xcalloc(links->count + 1, sizeof(bool));
	shared->missing = xcalloc(links->count + 1, sizeof(bool));
	for (size_t i = 0; plan && i < plan->n_shared_dirs; i++) {
		const ProtobufCBinaryData *path = &plan->shared_dirs[i];
		shared->is_dir[manifest_lower_bound(links, (const char *)path->data, path->len)] =
			true;
	}
	return 0;
}

static int clash(const char *path, const char *what, struct err *err)
{
	AUTO_FREE char *shown = text_escaped(path);
	err_set(err, ERR_CONFIG, "the shared path '%s' %s", shown, what);
	return err_hint(err, "Change it in `shared:`, or change what the release has there.");
}

static int check_clash(
	const struct manifest *target, const char *path, bool is_dir, struct err *err)
{
	for (const char *p = path; (p = strchr(p, '/')); p++) {
		AUTO_FREE char *above = xstrndup(path, (size_t)(p - path));
		if (manifest_find(target, above))
			return clash(path, "lies below a file or link of the release", err);
	}
	const struct manifest_entry *entry = manifest_find(target, path);
	if (is_dir && entry)
		return clash(path, "is a directory, but a file or link in the release", err);
	if (!is_dir && entry && entry->mode == MANIFEST_LINK)
		return clash(path, "is a file, but a link in the release", err);
	if (!is_dir && manifest_has_below(target, path))
		return clash(path, "is a file, but a directory in the release", err);
	return 0;
}

int shared_paths_init(struct shared_paths *shared, const struct store *store,
	const Fairlead__V1__Prepare *plan, const struct manifest *target, struct err *err)
{
	if (build_links(shared, plan, err) < 0)
		return err_wrap(err, "shared paths");
	AUTO_CLOSE int sharedfd = layout_open(store, "shared", err);
	if (sharedfd < 0)
		return -1;
	for (size_t i = 0; i < shared->links.count; i++) {
		const char *path = shared->links.entries[i].path;
		if (check_clash(target, path, shared->is_dir[i], err) < 0)
			return -1;
		struct stat st;
		if (fstatat(sharedfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (errno != ENOENT)
			return err_errno(err, ERR_IO, errno, "cannot look at 'shared/%s'", path);
		shared->missing[i] = true;
	}
	return 0;
}

void shared_paths_release(struct shared_paths *shared)
{
	manifest_release(&shared->links);
	free(shared->is_dir);
	free(shared->missing);
	*shared = (struct shared_paths){0};
}

ssize_t shared_paths_above(const struct manifest *links, const char *path)
{
	for (const char *p = path; links->count > 0; p++) {
		p = strchrnul(p, '/');
		size_t len = (size_t)(p - path), i = manifest_lower_bound(links, path, len);
		if (i < links->count && links->entries[i].path_len == len &&
			memcmp(links->entries[i].path, path, len) == 0)
			return (ssize_t)i;
		if (*p == '\0')
			break;
	}
	return -1;
}

/* A seeded tree, links not followed; its depth is bounded by the manifest's rules. */
static int give(int dirfd, const char *name, const struct store_owner *owner, struct err *err)
{
	struct stat st;
	if (!owner)
		return 0;
	if (fchownat(dirfd, name, owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(
			err, ERR_IO, errno, "cannot give '%s' to user %u", name, owner->uid);
	if (!S_ISDIR(st.st_mode))
		return 0;
	AUTO_CLOSE int fd = open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0, err);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return fd < 0 ? -1 : err_errno(err, ERR_IO, errno, "cannot list '%s'", name);
	int rc = 0;
	errno = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(dir)); errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = give(fd, entry->d_name, owner, err);
	if (rc == 0 && errno)
		rc = err_errno(err, ERR_IO, errno, "cannot list '%s'", name);
	closedir(dir);
	TAKE_FD(fd); /* closed with dir */
	return rc;
}

static int make_dir(int dirfd, const char *name, const char *path, struct err *err)
{
	if (mkdirat(dirfd, name, 0755) < 0)
		return errno == EEXIST
			       ? 0
			       : err_errno(err, ERR_IO, errno, "cannot make 'shared/%s'", path);
	if (fchmodat(dirfd, name, 0755, 0) < 0)
		return err_errno(err, ERR_IO, errno, "cannot set the mode of 'shared/%s'", path);
	return 0;
}

static int make_missing(const char *path, bool is_dir, struct cursor *seed, struct cursor *to,
	struct pending *pending, const struct store_owner *owner, struct err *err)
{
	const char *name, *seed_name;
	int dirfd = cursor_make(to, path, pending, &name, err);
	if (dirfd < 0)
		return -1;
	struct err why = ERR_INIT;
	int seed_dirfd = cursor_open(seed, path, &seed_name, &why);
	if (seed_dirfd >= 0) {
		if (faccessat(seed_dirfd, seed_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
			give(seed_dirfd, seed_name, owner, err) < 0)
			return -1;
		if (renameat(seed_dirfd, seed_name, dirfd, name) == 0)
			return 0;
		if (errno != ENOENT)
			return err_errno(err, ERR_IO, errno, "cannot make 'shared/%s'", path);
	} else if (why.code != ERR_NOT_FOUND) {
		if (err)
			*err = why;
		return -1;
	}
	if (!is_dir)
		return 0;
	return make_dir(dirfd, name, path, err) < 0 ? -1 : give(dirfd, name, owner, err);
}

int shared_paths_make(const struct shared_paths *shared, const struct store *store, int seedfd,
	const struct store_owner *owner, struct err *err)
{
	AUTO_CLOSE int sharedfd = layout_open(store, "shared", err);
	if (sharedfd < 0)
		return -1;
	AUTO(pending) struct pending pending = {0};
	AUTO(cursor) struct cursor to = CURSOR_INIT(sharedfd);
	AUTO(cursor) struct cursor seed = CURSOR_INIT(seedfd);
	for (size_t i = 0; i < shared->links.count; i++)
		if (shared->missing[i] &&
			make_missing(shared->links.entries[i].path, shared->is_dir[i], &seed, &to,
				&pending, owner, err) < 0)
			return -1;
	return pending_sync(&pending, sharedfd, err);
}
