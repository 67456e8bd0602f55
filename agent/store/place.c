/* How one entry of the target gets its place in the stage. */
#include "agent/store/content.h"
#include "agent/store/stage.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"

#include <errno.h>

static int fault(const struct manifest_entry *entry, const char *what, struct err *err)
{
	int errnum = errno;
	AUTO_FREE char *shown = text_escaped(entry->path);
	return err_errno(err, ERR_IO, errnum, "cannot %s '%s'", what, shown);
}

static bool is_shadowed(const struct stage *stage, const struct manifest_entry *entry)
{
	return shared_paths_above(&stage->shared.links, entry->path) >= 0;
}

bool stage_wants(const struct stage *stage, const struct manifest_entry *entry)
{
	ssize_t above = shared_paths_above(&stage->shared.links, entry->path);
	return above < 0 || stage->shared.missing[above];
}

int stage_spot(struct stage *stage, const struct manifest_entry *entry, const char **ret_name,
	struct err *err)
{
	struct cursor *cursor = is_shadowed(stage, entry) ? &stage->seed : &stage->tree;
	return cursor_make(cursor, entry->path, &stage->pending, ret_name, err);
}

int stage_create(struct stage *stage, const struct manifest_entry *entry, struct err *err)
{
	const char *name;
	int dirfd = stage_spot(stage, entry, &name, err);
	if (dirfd < 0)
		return -1;
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		(mode_t)entry->mode & 0777);
	return fd < 0 ? fault(entry, "create", err) : fd;
}

static void mark(struct stage *stage, const struct manifest_entry *entry, const struct stat *st)
{
	size_t i = stage_index(stage, entry);
	stage->stats[i] = stat_entry_of(st);
	stage->placed[i] = true;
}

/* The mode is set only where the umask took something of it. */
int stage_finish_file(
	struct stage *stage, const struct manifest_entry *entry, int fd_, struct err *err)
{
	AUTO_CLOSE int fd = fd_;
	struct stat st;
	mode_t mode = (mode_t)entry->mode & 07777;
	if (fstat(fd, &st) < 0 || ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0))
		return fault(entry, "set the mode of", err);
	mark(stage, entry, &st);
	pending_add(&stage->pending, is_shadowed(stage, entry) ? stage->seedfd : stage->treefd,
		entry->path);
	return 0;
}

int stage_finish_link(struct stage *stage, const struct manifest_entry *entry, const char *target,
	size_t len, struct err *err)
{
	if (manifest_link_check(entry->path, target, len, err) < 0)
		return -1;
	AUTO_FREE char *copy = xstrndup(target, len);
	const char *name;
	struct stat st;
	int dirfd = stage_spot(stage, entry, &name, err);
	if (dirfd < 0)
		return -1;
	if (symlinkat(copy, dirfd, name) < 0 || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fault(entry, "create", err);
	mark(stage, entry, &st);
	return 0;
}

static int copy_from(struct stage *stage, struct cursor *from, const struct manifest_entry *source,
	const struct manifest_entry *entry, struct err *err)
{
	const char *name;
	int source_dirfd = cursor_open(from, source->path, &name, err);
	if (source_dirfd < 0)
		return err->code == ERR_NOT_FOUND
			       ? content_corrupt(source, "is no longer there", err)
			       : -1;
	AUTO_CLOSE int fd = stage_create(stage, entry, err);
	if (fd < 0 || content_copy(source_dirfd, name, source, fd, err) < 0)
		return -1;
	return stage_finish_file(stage, entry, TAKE_FD(fd), err);
}

/* A link (in the sense of ln) of ours is in the stage: is it the file that was installed? Looked
 * at only now, so that nothing can be swapped in between. */
static int check_linked(struct stage *stage, const struct manifest_entry *source,
	const struct manifest_entry *entry, int dirfd, const char *name, struct err *err)
{
	size_t i = (size_t)(source - stage->base.manifest.entries);
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fault(entry, "look at", err);
	if (!stat_is_recorded(&st, source, &stage->base.index.list[i])) {
		int verdict = content_check(dirfd, name, source, &st, err);
		if (verdict == CONTENT_DIFFERS)
			return content_corrupt(source, "was changed since it was installed", err);
		if (verdict < 0)
			return -1;
	}
	mark(stage, entry, &st);
	return 0;
}

static int link_from_base(struct stage *stage, const struct manifest_entry *source,
	const struct manifest_entry *entry, struct err *err)
{
	const char *from, *to;
	int from_dirfd = cursor_open(&stage->base.cursor, source->path, &from, err);
	if (from_dirfd < 0)
		return err->code == ERR_NOT_FOUND
			       ? content_corrupt(source, "is no longer there", err)
			       : -1;
	int to_dirfd = stage_spot(stage, entry, &to, err);
	if (to_dirfd < 0)
		return -1;
	if (linkat(from_dirfd, from, to_dirfd, to, 0) == 0)
		return check_linked(stage, source, entry, to_dirfd, to, err);
	if (errno == ENOENT)
		return content_corrupt(source, "is no longer there", err);
	/* Too many links, or a file that somebody gave away (fs.protected_hardlinks). */
	if ((errno == EMLINK || errno == EPERM) && entry->mode != MANIFEST_LINK)
		return copy_from(stage, &stage->base.cursor, source, entry, err);
	return fault(entry, "link", err);
}

static int place_from_base(struct stage *stage, const struct manifest_entry *source,
	const struct manifest_entry *entry, struct err *err)
{
	if (shared_paths_above(&stage->base.index.links, source->path) >= 0)
		return content_corrupt(
			source, "is not part of the base release: its path is shared", err);
	/* What becomes shared is written in place one day: it must not be an inode of a release. */
	if (is_shadowed(stage, entry) && entry->mode == MANIFEST_LINK) {
		AUTO(buf) struct buf target = {0};
		const char *name;
		struct err why = ERR_INIT;
		int dirfd = cursor_open(&stage->base.cursor, source->path, &name, &why);
		if (dirfd < 0)
			return content_missing(source, &why, err);
		uint8_t *p = buf_reserve(&target, MANIFEST_PATH_MAX);
		ssize_t n = readlinkat(dirfd, name, (char *)p, MANIFEST_PATH_MAX);
		if (n < 0 && errno != ENOENT)
			return fault(source, "read", err);
		if (n < 0)
			return content_corrupt(source, "is no longer there", err);
		return stage_finish_link(stage, entry, (const char *)p, (size_t)n, err);
	}
	if (source->mode == entry->mode && !is_shadowed(stage, entry))
		return link_from_base(stage, source, entry, err);
	return copy_from(stage, &stage->base.cursor, source, entry, err);
}

/* The carrier came earlier in path order; it lies in the tree, or in the seed. */
static int place_from_target(struct stage *stage, const struct manifest_entry *source,
	const struct manifest_entry *entry, struct err *err)
{
	AUTO(cursor)
	struct cursor from =
		CURSOR_INIT(is_shadowed(stage, source) ? stage->seedfd : stage->treefd);
	return copy_from(stage, &from, source, entry, err);
}

static int place_entry(struct stage *stage, const struct manifest_entry *entry,
	const struct manifest_change *change, struct err *err)
{
	if (!change) {
		const struct manifest_entry *source =
			manifest_find(&stage->base.manifest, entry->path);
		return place_from_base(stage, source, entry, err);
	}
	switch (change->from) {
	case CHANGE_FROM_BASE:
		return place_from_base(stage, change->source, entry, err);
	case CHANGE_FROM_TARGET:
		return place_from_target(stage, change->source, entry, err);
	case CHANGE_CARRIED:
	case CHANGE_REMOVED:
		break;
	}
	return err_set(err, ERR_INTERNAL, "a carried content was not placed");
}

static int place_shared_links(struct stage *stage, struct err *err)
{
	const struct manifest *links = &stage->shared.links;
	for (size_t i = 0; i < links->count; i++) {
		const char *name;
		if (stage->link_there[i])
			continue;
		int dirfd = cursor_make(
			&stage->tree, links->entries[i].path, &stage->pending, &name, err);
		AUTO_FREE char *target = shared_link_target(links->entries[i].path);
		if (dirfd < 0)
			return -1;
		if (symlinkat(target, dirfd, name) < 0)
			return fault(&links->entries[i], "create", err);
	}
	return 0;
}

int stage_place(struct stage *stage, struct err *err)
{
	const struct changes *changes = bundle_changes(stage->bundle);
	const struct manifest_change *change = changes->list, *end = change + changes->count;
	for (size_t i = 0; i < stage->target->count; i++) {
		const struct manifest_entry *entry = &stage->target->entries[i];
		while (change < end && (!change->new_ || change->new_ < entry))
			change++;
		if (stage->placed[i] || !stage_wants(stage, entry))
			continue;
		bool changed = change < end && change->new_ == entry;
		if (place_entry(stage, entry, changed ? change : NULL, err) < 0)
			return -1;
	}
	return place_shared_links(stage, err);
}
