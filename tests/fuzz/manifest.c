/* Manifests: there is one spelling of each, and it keeps the rules.
 *
 * Input: 0 | the wire form: what decodes encodes to the same bytes. 1 | entries to add: what can
 * be finished decodes again, to the same digest. */
#include "common/release/manifest.h"
#include "tests/fuzz/fuzz.h"

static bool is_below(const struct manifest_entry *entry, const struct manifest_entry *file)
{
	return entry->path_len > file->path_len && entry->path[file->path_len] == '/' &&
	       memcmp(entry->path, file->path, file->path_len) == 0;
}

/* The invariants of manifest.h, the plain way. */
static void check_entries(const struct manifest *m)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_entry *entry = &m->entries[i];
		MUST(strlen(entry->path) == entry->path_len);
		MUST(manifest_path_check(entry->path, entry->path_len, NULL) == 0);
		MUST(entry->path[0] != '/' && !strstr(entry->path, "//"));
		MUST(manifest_find(m, entry->path) == entry);
		MUST(i == 0 || strcmp(m->entries[i - 1].path, entry->path) < 0);
		bool below = false;
		for (size_t j = i + 1; j < m->count && j < i + 64; j++)
			below |= is_below(&m->entries[j], entry);
		MUST(!below);
		bytes += entry->size;
	}
	MUST(bytes == m->bytes);
}

static void check_same(const struct manifest *m, struct bytes wire)
{
	AUTO(buf) struct buf again = {0};
	manifest_encode(m, &again);
	MUST(fuzz_same(buf_bytes(&again), wire));
	struct digest digest = digest_of(wire.data, wire.len);
	MUST(digest_equal(&digest, &m->digest));
	check_entries(m);
}

static void decode(struct bytes in)
{
	AUTO(manifest) struct manifest m = {0};
	struct err err = ERR_INIT;
	if (manifest_decode(in, &m, &err) == 0)
		check_same(&m, in);
	else
		MUST(err.code == ERR_INVALID || err.code == ERR_LIMIT);
}

static void build(struct bytes in)
{
	static const enum manifest_mode modes[] = {MANIFEST_FILE, MANIFEST_EXEC, MANIFEST_LINK};
	AUTO(manifest) struct manifest m = {0}, decoded = {0};
	while (in.len > 0) {
		enum manifest_mode mode = modes[fuzz_u8(&in) % ARRAY_LEN(modes)];
		uint16_t size = fuzz_u16(&in);
		struct bytes path = fuzz_take(&in, fuzz_u8(&in));
		struct digest digest = digest_of(path.data, path.len);
		if (manifest_add(&m, (const char *)path.data, path.len, mode, size, &digest, NULL) <
			0)
			return;
	}
	if (manifest_finish(&m, NULL) < 0)
		return;
	AUTO(buf) struct buf wire = {0};
	manifest_encode(&m, &wire);
	MUST(manifest_decode(buf_bytes(&wire), &decoded, NULL) == 0);
	MUST(digest_equal(&decoded.digest, &m.digest));
	check_same(&decoded, buf_bytes(&wire));
}

void fuzz_one(struct bytes in)
{
	if (fuzz_u8(&in) % 2 == 0)
		decode(in);
	else
		build(in);
}

void fuzz_seeds(void)
{
	static const char *const paths[] = {"README", "bin/run", "bin/run.d/a", "lib/a.so", "l"};
	AUTO(manifest) struct manifest m = {0};
	AUTO(buf) struct buf wire = {0}, built = {0};
	buf_append(&wire, "\0", 1);
	buf_append(&built, "\1", 1);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct digest digest = digest_of(paths[i], strlen(paths[i]));
		MUST(manifest_add(
			     &m, paths[i], strlen(paths[i]), MANIFEST_FILE, i, &digest, NULL) == 0);
		buf_append(&built, (uint8_t[]){(uint8_t)i, 1, 0, (uint8_t)strlen(paths[i])}, 4);
		buf_append_str(&built, paths[i]);
	}
	MUST(manifest_finish(&m, NULL) == 0);
	manifest_encode(&m, &wire);
	fuzz_seed("decode", buf_bytes(&wire));
	fuzz_seed("build", buf_bytes(&built));
	manifest_release(&m);
	MUST(manifest_finish(&m, NULL) == 0);
	buf_clear(&wire);
	buf_append(&wire, "\0", 1);
	manifest_encode(&m, &wire);
	fuzz_seed("empty", buf_bytes(&wire));
}
