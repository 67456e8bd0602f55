#include "agent/store/store.h"

#include "agent/store/layout.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

static const char releases_prefix[] = "releases/";

void store_release(struct store *store)
{
	if (!store->path)
		return;
	close(store->dirfd);
	free(store->path);
	*store = (struct store){0};
}

static int check_name(const char *what, const char *name, struct err *err)
{
	if (text_is_name(name))
		return 0;
	AUTO_FREE char *shown = text_escaped(name);
	return err_set(err, ERR_INVALID, "'%s' is no name of an %s", shown, what);
}

/* "a-b" + "c" and "a" + "b-c" share a folder name: the first one there owns it. */
static int check_owner(const struct store *store, const char *app, const char *environment,
	bool claim, struct err *err)
{
	AUTO_FREE char *owner = xasprintf("%s\n%s\n", app, environment);
	AUTO(buf) struct buf content = {0};
	AUTO_CLOSE int metafd = layout_open(store, "meta", err);
	struct err why = ERR_INIT;
	if (metafd < 0)
		return -1;
	if (file_read(metafd, "owner", 4096, &content, &why) < 0) {
		if (why.code == ERR_NOT_FOUND)
			return claim ? file_write_atomic(
					       metafd, "owner", BYTES_STR(owner), 0600, err)
				     : 0;
		if (err)
			*err = why;
		return -1;
	}
	if (strcmp(buf_str(&content), owner) == 0)
		return 0;
	err_set(err, ERR_CONFIG, "'%s' belongs to another app and environment", store->path);
	return err_hint(err, "Rename the app or the environment: joined by '-' they must differ.");
}

static int open_at(const char *root, const char *app, const char *environment, struct store *ret,
	struct err *err)
{
	AUTO_FREE char *path = xasprintf("%s/%s-%s", root, app, environment);
	int fd = open_dir(path, err);
	if (fd < 0)
		return -1;
	*ret = (struct store){.path = TAKE(path), .dirfd = fd};
	return 0;
}

/* Modes do not depend on the umask; those of a folder that is there already are left alone. */
static int make_layout(int dirfd, struct err *err)
{
	static const struct {
		const char *name;
		mode_t mode;
	} folders[] = {
		{"releases", 0755},
		{"meta", 0700},
		{"shared", 0755},
		{"tmp", 0755},
		{"state", 0700},
	};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		if (mkdirat(dirfd, folders[i].name, folders[i].mode) == 0) {
			if (fchmodat(dirfd, folders[i].name, folders[i].mode, 0) == 0)
				continue;
		} else if (errno == EEXIST) {
			continue;
		}
		return err_errno(err, ERR_IO, errno, "cannot make '%s'", folders[i].name);
	}
	return 0;
}

int store_open(const char *root, const char *app, const char *environment, struct store *ret,
	struct err *err)
{
	if (check_name("app", app, err) < 0 || check_name("environment", environment, err) < 0)
		return -1;
	AUTO_FREE char *path = xasprintf("%s/%s-%s", root, app, environment);
	if (make_dirs(root, 0755, err) < 0)
		return -1;
	if (mkdir(path, 0755) == 0) {
		if (chmod(path, 0755) < 0)
			return err_errno(err, ERR_IO, errno, "cannot set the mode of '%s'", path);
	} else if (errno != EEXIST) {
		return err_errno(err, ERR_IO, errno, "cannot make '%s'", path);
	}
	AUTO(store) struct store store = {0};
	if (open_at(root, app, environment, &store, err) < 0)
		return -1;
	AUTO_CLOSE int rootfd = open_dir(root, err);
	if (rootfd < 0 || make_layout(store.dirfd, err) < 0 || dir_sync(store.dirfd, err) < 0 ||
		dir_sync(rootfd, err) < 0)
		return err_wrap(err, "'%s'", store.path);
	if (check_owner(&store, app, environment, true, err) < 0)
		return -1;
	*ret = store;
	store = (struct store){0};
	return 0;
}

int store_open_existing(const char *root, const char *app, const char *environment,
	struct store *ret, struct err *err)
{
	if (check_name("app", app, err) < 0 || check_name("environment", environment, err) < 0)
		return -1;
	AUTO(store) struct store store = {0};
	if (open_at(root, app, environment, &store, err) < 0 ||
		check_owner(&store, app, environment, false, err) < 0)
		return -1;
	*ret = store;
	store = (struct store){0};
	return 0;
}

int store_current(const struct store *store, struct digest *ret, struct err *err)
{
	char target[sizeof(releases_prefix) + DIGEST_HEX_SIZE];
	ssize_t n = readlinkat(store->dirfd, "current", target, sizeof(target) - 1);
	if (n < 0 && errno == ENOENT) {
		*ret = (struct digest){0};
		return 0;
	}
	if (n < 0 && errno != EINVAL)
		return err_errno(err, ERR_IO, errno, "cannot read '%s/current'", store->path);
	size_t prefix = sizeof(releases_prefix) - 1;
	if (n >= 0) {
		target[n] = '\0';
		if (strncmp(target, releases_prefix, prefix) == 0 &&
			digest_from_hex(target + prefix, ret))
			return 0;
	}
	err_set(err, ERR_CORRUPT, "'%s/current' is no link to a release", store->path);
	return err_hint(err, "Something else has put it there; remove it and deploy again.");
}

char *store_release_path(const struct store *store, const struct digest *release)
{
	char hex[DIGEST_HEX_SIZE];
	return xasprintf("%s/releases/%s", store->path, digest_hex(release, hex));
}

int store_switch(const struct store *store, const struct digest *target, struct err *err)
{
	char hex[DIGEST_HEX_SIZE], link[sizeof(releases_prefix) + DIGEST_HEX_SIZE];
	snprintf(link, sizeof(link), "%s%s", releases_prefix, digest_hex(target, hex));
	int there = layout_has_release(store, target, err);
	if (there < 0)
		return -1;
	if (!there)
		return err_set(err, ERR_NOT_FOUND, "the release %.12s is not on this host", hex);
	/* A leftover of a switch that was interrupted. */
	if (unlinkat(store->dirfd, "tmp/current", 0) < 0 && errno != ENOENT)
		return err_errno(err, ERR_IO, errno, "cannot remove '%s/tmp/current'", store->path);
	if (symlinkat(link, store->dirfd, "tmp/current") < 0)
		return err_errno(err, ERR_IO, errno, "cannot make '%s/tmp/current'", store->path);
	if (renameat(store->dirfd, "tmp/current", store->dirfd, "current") < 0) {
		err_errno(err, ERR_IO, errno, "cannot switch '%s/current'", store->path);
		return err_hint(err, "It has to be a symbolic link; is there a folder instead?");
	}
	return dir_sync(store->dirfd, err);
}
