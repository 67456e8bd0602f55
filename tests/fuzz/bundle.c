/* Bundles: a content is done only when it is what the manifest says, and what was written comes
 * out again.
 *
 * Input: 0 | a whole file, for the trees below; 1 | what follows a good head. Both begin with a
 * byte that chooses whether there is a base, and whether the host's old copies are good, changed
 * or unwanted. 2 | two trees: the bundle between them makes the new one. 3 | a change of the
 * contents inside of their compressed frame: only the unchanged ones are accepted. */
#include "common/release/bundle.h"
#include "common/os/file.h"
#include "common/release/bundle_format.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>

enum { FILES = 6, REPEAT_MAX = 64 };

struct tree {
	struct buf contents[FILES];
	bool there[FILES];
	struct manifest manifest;
};

static const char *const paths[FILES] = {"a", "bin/b", "bin/c", "d/e/f", "g", "h"};
static const enum manifest_mode modes[FILES] = {
	MANIFEST_FILE, MANIFEST_EXEC, MANIFEST_FILE, MANIFEST_FILE, MANIFEST_LINK, MANIFEST_FILE};

enum copies { COPIES_GOOD, COPIES_CHANGED, COPIES_UNWANTED };

/* What the reader gives, and what is asked of it meanwhile. */
struct sink {
	struct tree *old, *new_;
	enum copies copies;
	const struct manifest_entry *open;
	struct buf content;
	unsigned done, skipped;
};

static int file_of(const struct manifest_entry *entry)
{
	for (int i = 0; i < FILES; i++)
		if (strcmp(paths[i], entry->path) == 0)
			return i;
	return -1;
}

static void tree_put(struct tree *tree, size_t file, struct bytes piece, size_t times)
{
	tree->there[file] = true;
	for (size_t i = 0; i < times; i++)
		buf_append(&tree->contents[file], piece.data, piece.len);
	if (modes[file] == MANIFEST_LINK && tree->contents[file].len == 0)
		buf_append_str(&tree->contents[file], "a"); /* a link has a target */
}

static void tree_finish(struct tree *tree)
{
	for (size_t i = 0; i < FILES; i++) {
		struct bytes content = buf_bytes(&tree->contents[i]);
		struct digest digest = digest_of(content.data, content.len);
		if (tree->there[i])
			MUST(manifest_add(&tree->manifest, paths[i], strlen(paths[i]), modes[i],
				     content.len, &digest, NULL) == 0);
	}
	MUST(manifest_finish(&tree->manifest, NULL) == 0);
}

static void tree_release(struct tree *tree)
{
	for (size_t i = 0; i < FILES; i++)
		buf_release(&tree->contents[i]);
	manifest_release(&tree->manifest);
}

static int fetch(void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err)
{
	struct tree *tree = user;
	int file = file_of(entry);
	if (file < 0 || !tree->there[file])
		return err_set(err, ERR_NOT_FOUND, "no such file");
	buf_append(ret, tree->contents[file].data, tree->contents[file].len);
	return 0;
}

static int on_begin(void *user, const struct manifest_entry *entry, struct err *err)
{
	struct sink *sink = user;
	(void)err;
	MUST(!sink->open);
	sink->open = entry;
	buf_clear(&sink->content);
	return 0;
}

static int on_write(void *user, const void *data, size_t len, struct err *err)
{
	struct sink *sink = user;
	(void)err;
	MUST(sink->open && sink->content.len + len <= sink->open->size);
	buf_append(&sink->content, data, len);
	return 0;
}

static int on_done(void *user, const struct manifest_entry *entry, struct err *err)
{
	struct sink *sink = user;
	(void)err;
	struct digest digest = digest_of(sink->content.data, sink->content.len);
	MUST(sink->open == entry && digest_equal(&digest, &entry->digest));
	int file = file_of(entry);
	MUST(file >= 0 &&
		fuzz_same(buf_bytes(&sink->content), buf_bytes(&sink->new_->contents[file])));
	sink->open = NULL;
	sink->done++;
	return 0;
}

static int on_old(void *user, const struct manifest_entry *old, struct buf *ret, struct err *err)
{
	struct sink *sink = user;
	if (sink->copies == COPIES_UNWANTED) {
		sink->skipped++;
		return BUNDLE_SKIP;
	}
	if (fetch(sink->old, old, ret, err) < 0)
		return -1;
	if (sink->copies == COPIES_CHANGED)
		buf_append(ret, "!", 1);
	return 0;
}

/* ---- the file ---- */

static int memory_file(struct bytes content)
{
	static int fd = -1;
	if (fd < 0)
		fd = memfd_create("bundle", MFD_CLOEXEC);
	MUST(fd >= 0 && ftruncate(fd, 0) == 0);
	MUST(fd_pwrite_all(fd, content.data, content.len, 0, NULL) == 0);
	MUST(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void write_bundle(struct tree *old, struct tree *new_, struct buf *ret)
{
	struct bundle_source old_source = {fetch, old}, new_source = {fetch, new_};
	struct bundle_info info;
	int fd = memory_file((struct bytes){0});
	MUST(bundle_write(old ? &old->manifest : NULL, &new_->manifest, old ? &old_source : NULL,
		     &new_source, fd, &info, NULL) == 0);
	MUST(fd_pread_exact(fd, buf_reserve(ret, info.bytes), info.bytes, 0, NULL) == 0);
	ret->len = info.bytes;
	struct digest digest = digest_of(ret->data, ret->len);
	MUST(digest_equal(&digest, &info.digest));
}

/* True when all of it could be read. */
static bool read_bundle(struct bytes file, struct tree *old, struct tree *new_, enum copies copies)
{
	struct bundle *bundle = NULL;
	struct err err = ERR_INIT;
	struct sink sink = {.old = old, .new_ = new_, .copies = copies};
	struct bundle_sink ops = {on_begin, on_write, on_done, on_old, &sink};
	int rc = bundle_open(memory_file(file), old ? &old->manifest : NULL, &new_->manifest.digest,
		&bundle, &err);
	if (rc == 0) {
		MUST(digest_equal(&bundle_manifest(bundle)->digest, &new_->manifest.digest));
		rc = bundle_extract(bundle, &ops, &err);
		MUST(rc < 0 || !sink.open);
		MUST(rc < 0 || sink.done + sink.skipped == bundle_changes(bundle)->carried);
		bundle_free(bundle);
	}
	MUST(rc == 0 || err.code == ERR_CORRUPT || err.code == ERR_INVALID ||
		err.code == ERR_LIMIT);
	buf_release(&sink.content);
	return rc == 0;
}

/* ---- the inputs ---- */

/* The two trees that files of modes 0 and 1 are for. */
static struct tree fixed_old, fixed_new;

static void make_fixed(void)
{
	static const char *const old[FILES] = {
		"alpha ", "#!/bin/sh\n", "same", NULL, "a", "stays "};
	static const char *const new_[FILES] = {
		"alphabet ", "#!/bin/sh -e\n", "same", "fresh ", "bin/b", "stays "};
	if (fixed_new.manifest.count)
		return;
	for (size_t i = 0; i < FILES; i++) {
		if (old[i])
			tree_put(&fixed_old, i, BYTES_STR(old[i]), i == 0 ? REPEAT_MAX : 1);
		tree_put(&fixed_new, i, BYTES_STR(new_[i]), i == 0 ? REPEAT_MAX : 1);
	}
	tree_finish(&fixed_old);
	tree_finish(&fixed_new);
}

/* Header and manifest of a good bundle between the fixed trees. */
static size_t head_length(struct tree *old, struct bytes file)
{
	struct bundle *bundle = NULL;
	size_t low = 0, high = file.len;
	while (low < high) { /* the shortest start that opens */
		size_t middle = low + (high - low) / 2;
		int rc = bundle_open(memory_file(BYTES(file.data, middle)),
			old ? &old->manifest : NULL, &fixed_new.manifest.digest, &bundle, NULL);
		if (rc == 0)
			bundle_free(bundle);
		if (rc == 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* A good file for the fixed trees, and how long its head is; made once each. */
static struct bytes good_file(bool base, size_t *ret_head)
{
	static struct buf files[2];
	static size_t heads[2];
	struct tree *old = base ? &fixed_old : NULL;
	if (!files[base].len) {
		write_bundle(old, &fixed_new, &files[base]);
		heads[base] = head_length(old, buf_bytes(&files[base]));
	}
	*ret_head = heads[base];
	return buf_bytes(&files[base]);
}

static void foreign(struct bytes in, bool after_head)
{
	size_t head;
	uint8_t how = fuzz_u8(&in);
	bool base = how & 1;
	make_fixed();
	struct bytes good = good_file(base, &head);
	AUTO(buf) struct buf file = {0};
	if (after_head)
		buf_append(&file, good.data, head);
	buf_append(&file, in.data, in.len);
	read_bundle(
		buf_bytes(&file), base ? &fixed_old : NULL, &fixed_new, (enum copies)(how / 2 % 3));
}

static void tree_take(struct tree *tree, struct bytes *in)
{
	uint8_t there = fuzz_u8(in);
	for (size_t i = 0; i < FILES; i++) {
		if (!(there >> i & 1))
			continue;
		size_t times = 1 + fuzz_u8(in) % REPEAT_MAX;
		size_t len = fuzz_u8(in) % (modes[i] == MANIFEST_LINK ? 32 : 256);
		tree_put(tree, i, fuzz_take(in, len), times);
	}
	tree_finish(tree);
}

static void round_trip(struct bytes in)
{
	AUTO(tree) struct tree old = {0}, new_ = {0};
	AUTO(buf) struct buf file = {0};
	struct tree *base = fuzz_u8(&in) & 1 ? &old : NULL;
	tree_take(&old, &in);
	tree_take(&new_, &in);
	write_bundle(base, &new_, &file);
	MUST(read_bundle(buf_bytes(&file), base, &new_, COPIES_GOOD));
	MUST(read_bundle(buf_bytes(&file), base, &new_, COPIES_UNWANTED));
	buf_append(&file, "", 1);
	MUST(!read_bundle(buf_bytes(&file), base, &new_, COPIES_GOOD));
	file.len -= 2;
	MUST(!read_bundle(buf_bytes(&file), base, &new_, COPIES_GOOD));
}

static void changed(struct bytes in)
{
	size_t head;
	make_fixed();
	struct bytes good = good_file(false, &head);
	AUTO(buf) struct buf contents = {0}, sent = {0}, file = {0};
	for (size_t i = 0; i < FILES; i++)
		buf_append(&contents, fixed_new.contents[i].data, fixed_new.contents[i].len);
	bool other = fuzz_change(&in, buf_bytes(&contents), &sent);
	buf_append(&file, good.data, head);
	buf_append(&file, (uint8_t[]){BUNDLE_WHOLE, FILES, 0, 0, 0}, 5);
	size_t bound = ZSTD_compressBound(sent.len);
	size_t size = ZSTD_compress(buf_reserve(&file, bound), bound, sent.data, sent.len, 1);
	MUST(!ZSTD_isError(size));
	file.len += size;
	MUST(read_bundle(buf_bytes(&file), NULL, &fixed_new, COPIES_GOOD) == !other);
}

void fuzz_one(struct bytes in)
{
	uint8_t mode = fuzz_u8(&in) % 4;
	if (mode == 2)
		round_trip(in);
	else if (mode == 3)
		changed(in);
	else
		foreign(in, mode == 1);
}

void fuzz_seeds(void)
{
	make_fixed();
	for (uint8_t base = 0; base < 2; base++) {
		size_t head;
		struct bytes good = good_file(base, &head);
		AUTO_FREE char *whole = xasprintf("file-%u", base);
		AUTO_FREE char *contents = xasprintf("contents-%u", base);
		AUTO(buf) struct buf seed = {0};
		buf_append(&seed, (uint8_t[]){0, base}, 2);
		buf_append(&seed, good.data, good.len);
		fuzz_seed(whole, buf_bytes(&seed));
		buf_clear(&seed);
		buf_append(&seed, (uint8_t[]){1, base}, 2);
		buf_append(&seed, good.data + head, good.len - head);
		fuzz_seed(contents, buf_bytes(&seed));
	}
	static const uint8_t trees[] = {2, 1, 3, 9, 3, 'a', 'b', 'c', 0, 2, 'd', 'e', 11, 9, 4, 'a',
		'b', 'c', 'd', 0, 2, 'd', 'e', 60, 1, 'x'};
	fuzz_seed("trees", BYTES(trees, sizeof(trees)));
	static const uint8_t honest[] = {3, 0}, longer[] = {3, 3, 1, '!'};
	fuzz_seed("honest", BYTES(honest, sizeof(honest)));
	fuzz_seed("longer", BYTES(longer, sizeof(longer)));
}
