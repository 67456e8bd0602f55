#include "common/base/mem.h"
#include "common/release/manifest.h"

#include <setjmp.h>

#include <cmocka.h>

static int add(struct manifest *m, const char *path, enum manifest_mode mode, const char *content,
	struct err *err)
{
	struct digest digest = digest_of(content, strlen(content));
	return manifest_add(m, path, strlen(path), mode, strlen(content), &digest, err);
}

static void sample(struct manifest *m)
{
	struct err err;
	static const struct {
		const char *path;
		enum manifest_mode mode;
		const char *content;
	} files[] = {
		{"src/main.py", MANIFEST_FILE, "print()"},
		{"run", MANIFEST_EXEC, "#!/bin/sh"},
		{"empty", MANIFEST_FILE, ""},
		{"latest", MANIFEST_LINK, "src/main.py"},
		{"src-old", MANIFEST_FILE, "x"},
		{"src/\xff odd\n", MANIFEST_FILE, "y"},
	};
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		assert_int_equal(add(m, files[i].path, files[i].mode, files[i].content, &err), 0);
	assert_int_equal(manifest_finish(m, &err), 0);
}

static void round_trip_and_order(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	AUTO(manifest) struct manifest m = {0};
	AUTO(manifest) struct manifest back = {0};
	AUTO(buf) struct buf wire = {0};
	AUTO(buf) struct buf again = {0};
	sample(&m);
	static const char *const order[] = {
		"empty", "latest", "run", "src-old", "src/main.py", "src/\xff odd\n"};
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		assert_string_equal(m.entries[i].path, order[i]);
	assert_int_equal(m.bytes, 7 + 9 + 11 + 1 + 1);
	manifest_encode(&m, &wire);
	assert_int_equal(manifest_decode(buf_bytes(&wire), &back, &err), 0);
	assert_true(digest_equal(&m.digest, &back.digest));
	assert_int_equal(back.count, m.count);
	assert_int_equal(back.bytes, m.bytes);
	manifest_encode(&back, &again);
	assert_int_equal(wire.len, again.len);
	assert_memory_equal(wire.data, again.data, wire.len);
	assert_int_equal(manifest_find(&back, "run")->mode, MANIFEST_EXEC);
	assert_null(manifest_find(&back, "src"));
	assert_true(manifest_has_below(&back, "src"));
	assert_false(manifest_has_below(&back, "sr"));
	assert_false(manifest_has_below(&back, "run"));
}

static void an_empty_release_has_a_manifest(void **state)
{
	(void)state;
	struct err err;
	AUTO(manifest) struct manifest m = {0};
	AUTO(manifest) struct manifest back = {0};
	AUTO(buf) struct buf wire = {0};
	assert_int_equal(manifest_finish(&m, &err), 0);
	manifest_encode(&m, &wire);
	assert_int_equal(wire.len, 12);
	assert_int_equal(manifest_decode(buf_bytes(&wire), &back, &err), 0);
	assert_null(manifest_find(&back, "x"));
}

/* The digest names a release for ever: a change of format must be noticed. */
static void digest_is_pinned(void **state)
{
	(void)state;
	AUTO(manifest) struct manifest m = {0};
	char hex[DIGEST_HEX_SIZE];
	sample(&m);
	assert_string_equal(digest_hex(&m.digest, hex),
		"1e4a1c527a9248f8e880a56e87172fd9906e0060fc44d672bfc05c3b2c65137d");
}

static void clashes_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		enum manifest_mode mode;
	} cases[] = {
		{"same", "same", MANIFEST_FILE},
		{"d", "d/x", MANIFEST_FILE},
		{"d", "d/x/y/z", MANIFEST_FILE},
		{"d/e", "d/e/f", MANIFEST_EXEC},
		{"link", "link/evil", MANIFEST_LINK},
		{"a/link", "a/link/b/evil", MANIFEST_LINK},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;
		AUTO(manifest) struct manifest m = {0};
		/* Sorts between them, so neighbours alone do not show the clash. */
		assert_int_equal(add(&m, "d-between", MANIFEST_FILE, "", &err), 0);
		assert_int_equal(add(&m, "link!", MANIFEST_FILE, "", &err), 0);
		assert_int_equal(add(&m, cases[i].b, MANIFEST_FILE, "x", &err), 0);
		assert_int_equal(add(&m, cases[i].a, cases[i].mode, "x", &err), 0);
		assert_int_equal(manifest_finish(&m, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_non_null(strstr(err.message, cases[i].a));
	}
}

static void bad_modes_and_sizes_are_refused(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct digest digest = {0};
	AUTO(manifest) struct manifest m = {0};
	static const unsigned modes[] = {0100600, 0104755, 0040000, 0160000, 0010644, 0};
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		assert_int_equal(
			manifest_add(&m, "x", 1, (enum manifest_mode)modes[i], 0, &digest, &err),
			-1);
	assert_int_equal(manifest_add(&m, "l", 1, MANIFEST_LINK, 0, &digest, &err), -1);
	assert_int_equal(manifest_add(&m, "l", 1, MANIFEST_LINK, 4096, &digest, &err), -1);
	assert_int_equal(manifest_add(&m, "x", 1, MANIFEST_FILE, UINT64_MAX, &digest, &err), -1);
	assert_int_equal(manifest_add(&m, "x", 1, MANIFEST_FILE, INT64_MAX, &digest, &err), 0);
	assert_int_equal(manifest_add(&m, "y", 1, MANIFEST_FILE, 1, &digest, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
}

/* Every byte flipped in every bit, every truncation, one byte more: refused, or another digest
 * and then a manifest that encodes to exactly those bytes. */
static void damage_is_never_taken_for_the_same(void **state)
{
	(void)state;
	AUTO(manifest) struct manifest m = {0};
	AUTO(buf) struct buf wire = {0};
	sample(&m);
	manifest_encode(&m, &wire);
	for (size_t i = 0; i < wire.len * 8; i++) {
		struct err err = ERR_INIT;
		AUTO(manifest) struct manifest back = {0};
		AUTO(buf) struct buf again = {0};
		wire.data[i / 8] ^= (uint8_t)(1u << i % 8);
		if (manifest_decode(buf_bytes(&wire), &back, &err) == 0) {
			assert_false(digest_equal(&m.digest, &back.digest));
			manifest_encode(&back, &again);
			assert_int_equal(again.len, wire.len);
			assert_memory_equal(again.data, wire.data, wire.len);
		} else {
			assert_true(err.code == ERR_INVALID || err.code == ERR_LIMIT);
		}
		wire.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t len = 0; len < wire.len; len++) {
		struct err err = ERR_INIT;
		AUTO(manifest) struct manifest back = {0};
		AUTO_FREE uint8_t *exact =
			xmemdup(wire.data, len); /* so that ASan sees over-reads */
		assert_int_equal(manifest_decode(BYTES(exact, len), &back, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
	}
	struct err err;
	AUTO(manifest) struct manifest back = {0};
	buf_append(&wire, "", 1);
	assert_int_equal(manifest_decode(buf_bytes(&wire), &back, &err), -1);
}

static void only_ascending_order_decodes(void **state)
{
	(void)state;
	struct err err;
	AUTO(manifest) struct manifest m = {0};
	AUTO(manifest) struct manifest back = {0};
	AUTO(buf) struct buf wire = {0};
	assert_int_equal(add(&m, "a", MANIFEST_FILE, "1", &err), 0);
	assert_int_equal(add(&m, "b", MANIFEST_FILE, "2", &err), 0);
	assert_int_equal(manifest_finish(&m, &err), 0);
	struct manifest_entry first = m.entries[0];
	m.entries[0] = m.entries[1];
	m.entries[1] = first;
	manifest_encode(&m, &wire);
	assert_int_equal(manifest_decode(buf_bytes(&wire), &back, &err), -1);
	assert_non_null(strstr(err.message, "order"));
	m.entries[0] = first;
	buf_clear(&wire);
	manifest_encode(&m, &wire);
	assert_int_equal(manifest_decode(buf_bytes(&wire), &back, &err), -1);
	assert_non_null(strstr(err.message, "twice"));
}

struct seen {
	char text[256];
};

static int note(const struct manifest_entry *old, const struct manifest_entry *new_, void *user)
{
	struct seen *seen = user;
	size_t len = strlen(seen->text);
	snprintf(seen->text + len, sizeof(seen->text) - len, "%c%s ",
		!old    ? '+'
		: !new_ ? '-'
			: '*',
		old ? old->path : new_->path);
	return strcmp(old ? old->path : new_->path, "stop") == 0 ? 7 : 0;
}

static void diff_shows_each_difference_once(void **state)
{
	(void)state;
	struct err err;
	AUTO(manifest) struct manifest a = {0};
	AUTO(manifest) struct manifest b = {0};
	add(&a, "gone", MANIFEST_FILE, "1", &err);
	add(&a, "mode", MANIFEST_FILE, "1", &err);
	add(&a, "same", MANIFEST_FILE, "1", &err);
	add(&a, "text", MANIFEST_FILE, "1", &err);
	add(&b, "mode", MANIFEST_EXEC, "1", &err);
	add(&b, "new", MANIFEST_FILE, "1", &err);
	add(&b, "same", MANIFEST_FILE, "1", &err);
	add(&b, "text", MANIFEST_FILE, "2", &err);
	add(&b, "z", MANIFEST_FILE, "2", &err);
	assert_int_equal(manifest_finish(&a, &err), 0);
	assert_int_equal(manifest_finish(&b, &err), 0);
	struct seen seen = {""};
	assert_int_equal(manifest_diff(&a, &b, note, &seen), 0);
	assert_string_equal(seen.text, "-gone *mode +new *text +z ");
	seen = (struct seen){""};
	assert_int_equal(manifest_diff(NULL, &a, note, &seen), 0);
	assert_string_equal(seen.text, "+gone +mode +same +text ");
	AUTO(manifest) struct manifest c = {0};
	add(&c, "stop", MANIFEST_FILE, "", &err);
	assert_int_equal(manifest_finish(&c, &err), 0);
	seen = (struct seen){""};
	assert_int_equal(manifest_diff(&b, &c, note, &seen), 7);
	assert_string_equal(seen.text, "-mode -new -same +stop ");
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip_and_order),
		cmocka_unit_test(an_empty_release_has_a_manifest),
		cmocka_unit_test(digest_is_pinned),
		cmocka_unit_test(clashes_are_refused),
		cmocka_unit_test(bad_modes_and_sizes_are_refused),
		cmocka_unit_test(damage_is_never_taken_for_the_same),
		cmocka_unit_test(only_ascending_order_decodes),
		cmocka_unit_test(diff_shows_each_difference_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
