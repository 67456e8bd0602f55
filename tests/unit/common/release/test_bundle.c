#include "common/base/mem.h"
#include "common/release/bundle.h"
#include "common/release/bundle_format.h"

#include <setjmp.h>
#include <sys/mman.h>

#include <cmocka.h>

/* A tree in memory: contents by path. */
struct file {
	char *path;
	enum manifest_mode mode;
	struct buf content;
};

struct memtree {
	struct file files[8192];
	size_t count;
	struct manifest manifest;
	enum err_code refuse; /* what fetch fails with */
};

static struct memtree *memtree_new(void)
{
	return xcalloc(1, sizeof(struct memtree));
}

static void memtree_free(struct memtree **tree)
{
	for (size_t i = 0; i < (*tree)->count; i++) {
		free((*tree)->files[i].path);
		buf_release(&(*tree)->files[i].content);
	}
	manifest_release(&(*tree)->manifest);
	free(*tree);
}
#define AUTO_TREE __attribute__((cleanup(memtree_free)))

static void put_file(struct memtree *tree, const char *path, enum manifest_mode mode,
	const void *data, size_t len)
{
	struct file *file = &tree->files[tree->count++];
	*file = (struct file){.path = xstrdup(path), .mode = mode};
	buf_append(&file->content, data, len);
}

static void put_text(struct memtree *tree, const char *path, const char *text)
{
	put_file(tree, path, MANIFEST_FILE, text, strlen(text));
}

static void finish(struct memtree *tree)
{
	struct err err = ERR_INIT;
	for (size_t i = 0; i < tree->count; i++) {
		struct file *f = &tree->files[i];
		struct digest digest = digest_of(f->content.data, f->content.len);
		assert_int_equal(manifest_add(&tree->manifest, f->path, strlen(f->path), f->mode,
					 f->content.len, &digest, &err),
			0);
	}
	assert_int_equal(manifest_finish(&tree->manifest, &err), 0);
}

static struct file *find(struct memtree *tree, const char *path)
{
	for (size_t i = 0; i < tree->count; i++)
		if (strcmp(tree->files[i].path, path) == 0)
			return &tree->files[i];
	return NULL;
}

static int fetch(void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err)
{
	struct memtree *tree = user;
	if (tree->refuse)
		return err_set(err, tree->refuse, "refused");
	struct file *file = find(tree, entry->path);
	if (!file)
		return err_set(err, ERR_NOT_FOUND, "no such file");
	buf_append(ret, file->content.data, file->content.len);
	return 0;
}

/* What the reader gave, checked against the target tree. */
struct got {
	struct memtree *old, *new_;
	struct buf content;
	char order[512]; /* paths in the order they came */
	size_t count;
	const char *skip; /* path of an old copy that is not wanted */
};

static void got_release(struct got *got)
{
	buf_release(&got->content);
}

static int on_begin(void *user, const struct manifest_entry *entry, struct err *err)
{
	(void)err;
	struct got *got = user;
	buf_clear(&got->content);
	size_t len = strlen(got->order);
	snprintf(got->order + len, sizeof(got->order) - len, "%s ", entry->path);
	return 0;
}

static int on_write(void *user, const void *data, size_t len, struct err *err)
{
	(void)err;
	buf_append(&((struct got *)user)->content, data, len);
	return 0;
}

static int on_done(void *user, const struct manifest_entry *entry, struct err *err)
{
	(void)err;
	struct got *got = user;
	struct file *file = find(got->new_, entry->path);
	assert_int_equal(got->content.len, file->content.len);
	if (file->content.len)
		assert_memory_equal(got->content.data, file->content.data, file->content.len);
	got->count++;
	return 0;
}

static int on_old(void *user, const struct manifest_entry *old, struct buf *ret, struct err *err)
{
	struct got *got = user;
	if (got->skip && strcmp(got->skip, old->path) == 0)
		return BUNDLE_SKIP;
	return fetch(got->old, old, ret, err);
}

static int extract(struct bundle *bundle, struct got *got, struct err *err)
{
	struct bundle_sink sink = {on_begin, on_write, on_done, on_old, got};
	return bundle_extract(bundle, &sink, err);
}

static int make(struct memtree *old, struct memtree *new_, int with_old, struct bundle_info *info,
	struct err *err)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	assert_true(fd >= 0);
	struct bundle_source old_source = {fetch, old}, new_source = {fetch, new_};
	if (bundle_write(old ? &old->manifest : NULL, &new_->manifest,
		    with_old ? &old_source : NULL, &new_source, fd, info, err) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Opened and extracted whole; the number of contents that came. */
static size_t round_trip(struct memtree *old, struct memtree *new_, int fd, char order[512])
{
	struct err err = ERR_INIT;
	struct bundle *bundle = NULL;
	if (bundle_open(fd, old ? &old->manifest : NULL, &new_->manifest.digest, &bundle, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(digest_equal(&bundle_manifest(bundle)->digest, &new_->manifest.digest));
	AUTO(got) struct got got = {.old = old, .new_ = new_};
	if (extract(bundle, &got, &err) < 0)
		fail_msg("%s", err.message);
	memcpy(order, got.order, sizeof(got.order));
	bundle_free(bundle);
	return got.count;
}

static void random_bytes(struct buf *out, size_t len, uint8_t seed)
{
	static const unsigned char zero[randombytes_SEEDBYTES];
	unsigned char key[randombytes_SEEDBYTES];
	memcpy(key, zero, sizeof(key));
	key[0] = seed;
	randombytes_buf_deterministic(buf_reserve(out, len), len, key);
	out->len += len;
}

/* base: a few files and an incompressible one; next: one of each kind of change. */
static void pair(struct memtree *base, struct memtree *next)
{
	AUTO(buf) struct buf big = {0};
	random_bytes(&big, 300 * 1000, 1);
	put_file(base, "big.bin", MANIFEST_FILE, big.data, big.len);
	put_text(base, "gone", "this goes");
	put_text(base, "moved-from", "this content moves");
	put_text(base, "run", "#!/bin/sh\n");
	put_text(base, "same", "same");
	put_text(base, "empty", "");
	put_file(base, "link", MANIFEST_LINK, "same", 4);
	finish(base);
	big.data[150000] ^= 1;
	put_file(next, "big.bin", MANIFEST_FILE, big.data, big.len);
	put_text(next, "moved-to", "this content moves");
	put_file(next, "run", MANIFEST_EXEC, "#!/bin/sh\n", 10);
	put_text(next, "same", "same");
	put_text(next, "empty", "");
	put_file(next, "link", MANIFEST_LINK, "run", 3);
	put_text(next, "new-1", "twice there, once sent");
	put_text(next, "new-2", "twice there, once sent");
	put_text(next, "new-empty", "");
	put_text(next, "odd\n\"\\\xff", "odd");
	finish(next);
}

static void round_trips_in_path_order(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info info, again;
	char order[512];
	AUTO_TREE struct memtree *base = memtree_new();
	AUTO_TREE struct memtree *next = memtree_new();
	pair(base, next);
	AUTO_CLOSE int first = make(NULL, base, 0, &info, &err);
	assert_int_equal(info.files_changed, 7);
	assert_int_equal(lseek(first, 0, SEEK_END), info.bytes);
	assert_int_equal(round_trip(NULL, base, first, order), 7);
	assert_string_equal(order, "big.bin empty gone link moved-from run same ");
	AUTO_CLOSE int second = make(base, next, 1, &info, &err);
	assert_int_equal(info.files_changed, 10); /* not: same, empty */
	assert_int_equal(round_trip(base, next, second, order), 4);
	assert_string_equal(order, "big.bin link new-1 odd\n\"\\\xff ");
	assert_true(info.bytes < 1000);
	/* The digest is of all bytes, and the same input gives the same bytes. */
	uint8_t bytes[1000];
	assert_int_equal(pread(second, bytes, sizeof(bytes), 0), info.bytes);
	struct digest digest = digest_of(bytes, info.bytes);
	assert_true(digest_equal(&digest, &info.digest));
	AUTO_CLOSE int third = make(base, next, 1, &again, &err);
	assert_true(third >= 0 && digest_equal(&again.digest, &info.digest));
}

static void a_difference_is_smaller_than_the_whole(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info patch, whole, fallback;
	char order[512];
	AUTO_TREE struct memtree *base = memtree_new();
	AUTO_TREE struct memtree *next = memtree_new();
	pair(base, next);
	AUTO_CLOSE int a = make(base, next, 1, &patch, &err);
	AUTO_CLOSE int b = make(base, next, 0, &whole, &err);
	assert_true(patch.bytes * 100 < whole.bytes);
	assert_int_equal(round_trip(base, next, b, order), 4);
	base->refuse = ERR_NOT_FOUND; /* the coordinator no longer has the old one */
	AUTO_CLOSE int c = make(base, next, 1, &fallback, &err);
	base->refuse = ERR_NONE;
	assert_true(fallback.bytes > 300 * 1000);
	assert_int_equal(round_trip(base, next, c, order), 4);
	base->refuse = ERR_IO;
	assert_int_equal(make(base, next, 1, &fallback, &err), -1);
	assert_int_equal(err.code, ERR_IO);
	(void)a;
}

/* 5,000 files, one line of one of them: content on the wire stays below 1 KB. */
static void one_line_of_a_large_tree_is_tiny(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info info;
	char order[512];
	AUTO_TREE struct memtree *base = memtree_new();
	AUTO_TREE struct memtree *next = memtree_new();
	for (int i = 0; i < 5000; i++) {
		char path[64], text[4000];
		snprintf(path, sizeof(path), "package%02d/module%03d/file%04d.py", i % 37, i % 211,
			i);
		int n = snprintf(text, sizeof(text), "# module %d\n", i);
		for (int line = 0; line < 40; line++)
			n += snprintf(text + n, sizeof(text) - (size_t)n,
				"value_%d = compute(%d)\n", line, i * line % 977);
		put_text(base, path, text);
		if (i == 2500)
			snprintf(text + n, sizeof(text) - (size_t)n, "one_line = 'more'\n");
		put_text(next, path, text);
	}
	finish(base);
	finish(next);
	AUTO_CLOSE int fd = make(base, next, 1, &info, &err);
	print_message("one line of 5,000 files: %llu bytes\n", (unsigned long long)info.bytes);
	assert_true(info.bytes < 1000);
	assert_int_equal(info.files_changed, 1);
	assert_int_equal(round_trip(base, next, fd, order), 1);
	AUTO_CLOSE int first = make(NULL, next, 0, &info, &err);
	print_message("all of them: %llu bytes for %llu\n", (unsigned long long)info.bytes,
		(unsigned long long)info.content_bytes);
	assert_int_equal(round_trip(NULL, next, first, order), 5000);
}

static void megabytes_as_a_difference(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info info;
	char order[512];
	AUTO_TREE struct memtree *base = memtree_new();
	AUTO_TREE struct memtree *next = memtree_new();
	AUTO(buf) struct buf big = {0};
	random_bytes(&big, 20 * 1000 * 1000, 2);
	put_file(base, "big", MANIFEST_FILE, big.data, big.len);
	finish(base);
	big.data[0] ^= 1; /* at both ends: the window must reach over the whole prefix */
	big.data[big.len - 1] ^= 1;
	buf_append_str(&big, "and a little more");
	put_file(next, "big", MANIFEST_FILE, big.data, big.len);
	finish(next);
	AUTO_CLOSE int fd = make(base, next, 1, &info, &err);
	print_message("three edits in 20 MB: %llu bytes\n", (unsigned long long)info.bytes);
	assert_true(info.bytes < 10 * 1000);
	assert_int_equal(round_trip(base, next, fd, order), 1);
}

static void contents_not_wanted_are_passed_over(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info info;
	AUTO_TREE struct memtree *base = memtree_new();
	AUTO_TREE struct memtree *next = memtree_new();
	pair(base, next);
	AUTO_CLOSE int fd = make(base, next, 1, &info, &err);
	struct bundle *bundle = NULL;
	assert_int_equal(
		bundle_open(fd, &base->manifest, &next->manifest.digest, &bundle, &err), 0);
	AUTO(got) struct got got = {.old = base, .new_ = next, .skip = "big.bin"};
	assert_int_equal(extract(bundle, &got, &err), 0);
	assert_string_equal(got.order, "link new-1 odd\n\"\\\xff ");
	bundle_free(bundle);
}

static void wrong_base_and_wrong_target_are_refused(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info info;
	struct bundle *bundle = NULL;
	AUTO_TREE struct memtree *base = memtree_new();
	AUTO_TREE struct memtree *next = memtree_new();
	pair(base, next);
	AUTO_CLOSE int fd = make(base, next, 1, &info, &err);
	const struct digest *target = &next->manifest.digest;
	assert_int_equal(bundle_open(fd, NULL, target, &bundle, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(bundle_open(fd, &next->manifest, target, &bundle, &err), -1);
	assert_int_equal(
		bundle_open(fd, &base->manifest, &base->manifest.digest, &bundle, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	/* A host whose copy was changed. */
	assert_int_equal(bundle_open(fd, &base->manifest, target, &bundle, &err), 0);
	find(base, "big.bin")->content.data[7] ^= 1;
	AUTO(got) struct got got = {.old = base, .new_ = next};
	assert_int_equal(extract(bundle, &got, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_non_null(strstr(err.message, "big.bin"));
	bundle_free(bundle);
}

static void a_source_that_changes_is_noticed(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info info;
	AUTO_TREE struct memtree *base = memtree_new();
	AUTO_TREE struct memtree *next = memtree_new();
	pair(base, next);
	find(next, "new-1")->content.data[0] ^= 1;
	assert_int_equal(make(base, next, 1, &info, &err), -1);
	assert_int_equal(err.code, ERR_PREFLIGHT);
	assert_non_null(strstr(err.message, "new-1"));
}

static int read_all(struct memtree *base, struct memtree *next, const uint8_t *data, size_t len)
{
	struct err err = ERR_INIT;
	AUTO_CLOSE int fd = memfd_create("damaged", MFD_CLOEXEC);
	assert_int_equal(write(fd, data, len), len);
	struct bundle *bundle = NULL;
	AUTO(got) struct got got = {.old = base, .new_ = next};
	int rc = bundle_open(fd, &base->manifest, &next->manifest.digest, &bundle, &err);
	if (rc == 0)
		rc = extract(bundle, &got, &err);
	bundle_free(bundle);
	assert_int_equal(err.code, rc ? ERR_CORRUPT : ERR_NONE);
	return rc;
}

/* A flipped bit may be one that zstd does not use; then the content is still the right one
 * (on_done compares). Truncated or longer is always refused. */
static void damage_never_gets_through(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info info;
	AUTO_TREE struct memtree *base = memtree_new();
	AUTO_TREE struct memtree *next = memtree_new();
	put_text(base, "a", "one line\n");
	put_text(base, "b", "b");
	put_text(next, "a", "one line\nand another\n");
	put_text(next, "c", "c");
	put_file(next, "d", MANIFEST_LINK, "c", 1);
	finish(base);
	finish(next);
	AUTO_CLOSE int fd = make(base, next, 1, &info, &err);
	AUTO_FREE uint8_t *bytes = xmalloc(info.bytes + 1);
	assert_int_equal(pread(fd, bytes, info.bytes, 0), info.bytes);
	bytes[info.bytes] = 0;
	assert_int_equal(read_all(base, next, bytes, info.bytes), 0);
	for (size_t len = 0; len < info.bytes; len++)
		assert_int_equal(read_all(base, next, bytes, len), -1);
	assert_int_equal(read_all(base, next, bytes, info.bytes + 1), -1);
	for (size_t i = 0; i < info.bytes * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		read_all(base, next, bytes, info.bytes);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
}

/* Counts and sizes that would wrap around: of the manifest, of a group, of a difference. */
static void sizes_near_the_top_are_refused(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info info;
	AUTO_TREE struct memtree *base = memtree_new();
	AUTO_TREE struct memtree *next = memtree_new();
	put_text(base, "a", "one line\n");
	put_text(next, "a", "one line\nand another\n");
	finish(base);
	finish(next);
	AUTO_CLOSE int fd = make(base, next, 1, &info, &err);
	AUTO_FREE uint8_t *bytes = xmalloc(info.bytes);
	assert_int_equal(pread(fd, bytes, info.bytes, 0), info.bytes);
	size_t group = BUNDLE_HEADER_SIZE;
	group += ZSTD_findFrameCompressedSize(bytes + group, info.bytes - group);
	assert_int_equal(bytes[group], BUNDLE_PATCH);
	assert_int_equal(read_all(base, next, bytes, info.bytes), 0);
	static const uint64_t sizes[] = {
		UINT64_MAX - 15, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63, 0, 1};
	uint8_t kept[8];
	memcpy(kept, bytes + group + 1, sizeof(kept));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		put_u64(bytes + group + 1, sizes[i]);
		assert_int_equal(read_all(base, next, bytes, info.bytes), -1);
	}
	memcpy(bytes + group + 1, kept, sizeof(kept));
	bytes[group] = BUNDLE_WHOLE; /* the size is a count now, of 32 bits */
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		put_u32(bytes + group + 1, (uint32_t)sizes[i]);
		assert_int_equal(read_all(base, next, bytes, info.bytes), -1);
	}
	bytes[group] = BUNDLE_PATCH;
	memcpy(bytes + group + 1, kept, sizeof(kept));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		put_u32(bytes + BUNDLE_HEADER_SIZE - 4, (uint32_t)sizes[i]);
		assert_int_equal(read_all(base, next, bytes, info.bytes), -1);
	}
}

/* 1 GiB of zeros behind a manifest that promises 10 bytes. */
static void a_bomb_is_defused(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bundle_info info;
	AUTO_TREE struct memtree *next = memtree_new();
	put_text(next, "a", "0123456789");
	finish(next);
	AUTO_CLOSE int fd = make(NULL, next, 0, &info, &err);
	AUTO(buf) struct buf bomb = {0};
	size_t head = BUNDLE_HEADER_SIZE;
	uint8_t bytes[4096];
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), info.bytes);
	head += ZSTD_findFrameCompressedSize(bytes + head, info.bytes - head);
	buf_append(&bomb, bytes, head + 5);
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	static const uint8_t zeros[1024 * 1024];
	ZSTD_inBuffer in = {"0123456789", 10, 0};
	for (int i = 0; i <= 1024; i++) {
		ZSTD_outBuffer out = {buf_reserve(&bomb, 1 << 20), 1 << 20, 0};
		assert_false(ZSTD_isError(ZSTD_compressStream2(
			cctx, &out, &in, i == 1024 ? ZSTD_e_end : ZSTD_e_continue)));
		bomb.len += out.pos;
		in = (ZSTD_inBuffer){zeros, sizeof(zeros), 0};
	}
	ZSTD_freeCCtx(cctx);
	AUTO_CLOSE int bad = memfd_create("bomb", MFD_CLOEXEC);
	assert_int_equal(write(bad, bomb.data, bomb.len), bomb.len);
	struct bundle *bundle = NULL;
	assert_int_equal(bundle_open(bad, NULL, &next->manifest.digest, &bundle, &err), 0);
	AUTO(got) struct got got = {.new_ = next};
	assert_int_equal(extract(bundle, &got, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_non_null(strstr(err.message, "larger"));
	assert_true(got.content.len <= 10);
	bundle_free(bundle);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips_in_path_order),
		cmocka_unit_test(a_difference_is_smaller_than_the_whole),
		cmocka_unit_test(one_line_of_a_large_tree_is_tiny),
		cmocka_unit_test(megabytes_as_a_difference),
		cmocka_unit_test(contents_not_wanted_are_passed_over),
		cmocka_unit_test(wrong_base_and_wrong_target_are_refused),
		cmocka_unit_test(a_source_that_changes_is_noticed),
		cmocka_unit_test(damage_never_gets_through),
		cmocka_unit_test(sizes_near_the_top_are_refused),
		cmocka_unit_test(a_bomb_is_defused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
