#include "agent/store/layout.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

int layout_open(const struct store *store, const char *name, struct err *err)
{
	return open_beneath(store->dirfd, name, O_RDONLY | O_DIRECTORY, 0, err);
}

int layout_open_release(const struct store *store, const struct digest *release, struct err *err)
{
	char hex[DIGEST_HEX_SIZE], path[sizeof("releases/") + DIGEST_HEX_SIZE];
	snprintf(path, sizeof(path), "releases/%s", digest_hex(release, hex));
	return layout_open(store, path, err);
}

int layout_has_release(const struct store *store, const struct digest *release, struct err *err)
{
	struct err why = ERR_INIT;
	AUTO_CLOSE int fd = layout_open_release(store, release, &why);
	if (fd >= 0)
		return 1;
	if (why.code == ERR_NOT_FOUND)
		return 0;
	if (err)
		*err = why;
	return -1;
}

char *meta_name(const struct digest *release, const char *suffix, char out[static META_NAME_SIZE])
{
	char hex[DIGEST_HEX_SIZE];
	snprintf(out, META_NAME_SIZE, "%s%s", digest_hex(release, hex), suffix);
	return out;
}

int meta_remove(const struct store *store, const struct digest *release, struct err *err)
{
	static const char *const suffixes[] = {"", ".manifest", ".stat"};
	char name[META_NAME_SIZE];
	AUTO_CLOSE int metafd = layout_open(store, "meta", err);
	if (metafd < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
		if (unlinkat(metafd, meta_name(release, suffixes[i], name), 0) < 0 &&
			errno != ENOENT)
			return err_errno(err, ERR_IO, errno, "cannot remove 'meta/%s'", name);
	return 0;
}

int layout_each(int dirfd_, layout_each_fn *fn, void *user, struct err *err)
{
	int fd = openat(dirfd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int errnum = errno;
		if (fd >= 0)
			close(fd);
		return err_errno(err, ERR_IO, errnum, "cannot list a directory");
	}
	int rc = 0;
	errno = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(dir)); errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = fn(user, dirfd(dir), entry->d_name, err);
	if (rc == 0 && errno)
		rc = err_errno(err, ERR_IO, errno, "cannot list a directory");
	closedir(dir);
	return rc;
}

bool digest_in(const struct digest *digest, const struct digest *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (digest_equal(digest, &list[i]))
			return true;
	return false;
}
