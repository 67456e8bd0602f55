#include "common/base/mem.h"
#include "common/os/file.h"
#include "coordinator/plan/tree_impl.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

struct folder_impl {
	struct tree_impl base; /* first: freed through it */
	int dirfd;
	char *dir; /* as given, for messages */
};

struct walker {
	const char *dir;
	struct manifest *manifest;
	struct buf path; /* of the entry at hand, below dir */
	int depth;
};

static const char *path_of(struct walker *w)
{
	return buf_str(&w->path);
}

static int io_error(struct walker *w, const char *what, struct err *err)
{
	return err_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "cannot %s '%s/%s'",
		what, w->dir, path_of(w));
}

/* The content of an opened regular file, piece by piece. */
static int hash_fd(int fd, struct digest *ret_digest, uint64_t *ret_size)
{
	enum { PIECE = 256 * 1024 };
	AUTO_FREE uint8_t *piece = xmalloc(PIECE);
	struct hasher hasher;
	uint64_t size = 0;
	hasher_init(&hasher);
	for (;;) {
		ssize_t n = read(fd, piece, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		hasher_update(&hasher, piece, (size_t)n);
		size += (uint64_t)n;
	}
	*ret_digest = hasher_final(&hasher);
	*ret_size = size;
	return 0;
}

static int add_file(
	struct walker *w, int dirfd, const char *name, const struct stat *st, struct err *err)
{
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct digest digest = {{0}};
	uint64_t size = 0;
	if (fd < 0 || hash_fd(fd, &digest, &size) < 0)
		return io_error(w, "read", err);
	/* git, too, asks the owner's bit only. */
	enum manifest_mode mode = st->st_mode & S_IXUSR ? MANIFEST_EXEC : MANIFEST_FILE;
	return manifest_add(w->manifest, path_of(w), w->path.len, mode, size, &digest, err);
}

/* The target of a link into buf; -1 with errno. */
static ssize_t read_link(int dirfd, const char *name, struct buf *ret)
{
	enum { TARGET_MAX = 4096 }; /* PATH_MAX of Linux, no target is longer */
	uint8_t *target = buf_reserve(ret, TARGET_MAX);
	ssize_t len = readlinkat(dirfd, name, (char *)target, TARGET_MAX);
	if (len >= 0)
		ret->len += (size_t)len;
	return len;
}

static int add_link(struct walker *w, int dirfd, const char *name, struct err *err)
{
	AUTO(buf) struct buf target = {0};
	if (read_link(dirfd, name, &target) < 0)
		return io_error(w, "read the link", err);
	if (manifest_link_check(path_of(w), (const char *)target.data, target.len, err) < 0)
		return -1;
	struct digest digest = digest_of(target.data, target.len);
	return manifest_add(
		w->manifest, path_of(w), w->path.len, MANIFEST_LINK, target.len, &digest, err);
}

static int walk(struct walker *w, int dirfd, struct err *err);

static int add_directory(struct walker *w, int dirfd, const char *name, struct err *err)
{
	if (w->depth >= MANIFEST_DEPTH_MAX)
		return err_set(err, ERR_CONFIG, "'%s/%s' is nested too deeply", w->dir, path_of(w));
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return io_error(w, "open the directory", err);
	buf_append(&w->path, "/", 1);
	w->depth++;
	int rc = walk(w, fd, err);
	w->depth--;
	return rc;
}

static int special_error(struct walker *w, mode_t mode, struct err *err)
{
	const char *what = S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
	err_set(err, ERR_CONFIG, "'%s/%s' is %s, which cannot be deployed", w->dir, path_of(w),
		what);
	return err_hint(err, "Remove it from the folder, or build the folder elsewhere.");
}

static int add(struct walker *w, int dirfd, const char *name, struct err *err)
{
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return io_error(w, "read", err);
	if (S_ISREG(st.st_mode))
		return add_file(w, dirfd, name, &st, err);
	if (S_ISLNK(st.st_mode))
		return add_link(w, dirfd, name, err);
	if (S_ISDIR(st.st_mode))
		return add_directory(w, dirfd, name, err);
	return special_error(w, st.st_mode, err);
}

static bool is_skipped(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0;
}

/* Takes dirfd. The order does not matter, the manifest is sorted when it is finished. */
static int walk(struct walker *w, int dirfd, struct err *err)
{
	size_t prefix = w->path.len;
	DIR *stream = fdopendir(dirfd);
	if (!stream) {
		close(dirfd);
		return io_error(w, "list", err);
	}
	int rc = 0;
	for (struct dirent *entry; rc == 0 && (errno = 0, entry = readdir(stream));) {
		if (is_skipped(entry->d_name))
			continue;
		w->path.len = prefix;
		buf_append_str(&w->path, entry->d_name);
		rc = add(w, dirfd, entry->d_name, err);
	}
	if (rc == 0 && errno != 0)
		rc = io_error(w, "list", err);
	w->path.len = prefix;
	closedir(stream);
	return rc;
}

/* A bundle_source's fetch. */
static int fetch(void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err)
{
	const struct folder_impl *impl = user;
	struct buf content = {0};
	if (entry->mode == MANIFEST_LINK) {
		if (read_link(impl->dirfd, entry->path, &content) < 0) {
			err_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
				"cannot read the link '%s/%s'", impl->dir, entry->path);
			goto failed;
		}
	} else if (file_read(impl->dirfd, entry->path, entry->size, &content, err) < 0) {
		goto failed;
	}
	struct digest digest = digest_of(content.data, content.len);
	if (content.len == entry->size && digest_equal(&digest, &entry->digest)) {
		buf_release(ret);
		*ret = content;
		return 0;
	}
	err_set(err, ERR_CORRUPT, "'%s/%s' changed while it was deployed", impl->dir, entry->path);
	err_hint(err, "Deploy again when nothing writes to the folder.");
failed:
	buf_release(&content);
	return -1;
}

static void impl_free(struct tree_impl *base)
{
	struct folder_impl *impl = (struct folder_impl *)base;
	if (impl->dirfd >= 0)
		close(impl->dirfd);
	free(impl->dir);
	free(impl);
}

/* A second description of the directory: reading through one must not move the other. */
static int walk_root(struct walker *w, int dirfd, struct err *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return io_error(w, "open", err);
	return walk(w, fd, err);
}

int tree_from_folder(const char *dir, struct tree *ret, struct err *err)
{
	AUTO_CLOSE int dirfd = open_dir(dir, err);
	if (dirfd < 0)
		return -1;
	struct tree tree = {0};
	struct walker walker = {.dir = dir, .manifest = &tree.manifest};
	int rc = walk_root(&walker, dirfd, err);
	buf_release(&walker.path);
	if (rc == 0)
		rc = manifest_finish(&tree.manifest, err);
	if (rc < 0) {
		tree_release(&tree);
		if (err && err->code == ERR_INVALID)
			err->code = ERR_CONFIG; /* the folder's own mistake, not a peer's */
		return rc;
	}
	struct folder_impl *impl = xcalloc(1, sizeof(*impl));
	*impl = (struct folder_impl){{impl_free}, TAKE_FD(dirfd), xstrdup(dir)};
	tree.impl = &impl->base;
	tree.source = (struct bundle_source){fetch, impl};
	char hex[DIGEST_HEX_SIZE];
	snprintf(tree.label, sizeof(tree.label), "dir-%.12s",
		digest_hex(&tree.manifest.digest, hex));
	*ret = tree;
	return 0;
}
