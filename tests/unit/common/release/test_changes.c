#include "common/base/mem.h"
#include "common/release/changes.h"

#include <setjmp.h>

#include <cmocka.h>

static void add(struct manifest *m, const char *path, enum manifest_mode mode, const char *content)
{
	struct digest digest = digest_of(content, strlen(content));
	assert_int_equal(
		manifest_add(m, path, strlen(path), mode, strlen(content), &digest, NULL), 0);
}

static void each_content_has_its_nearest_source(void **state)
{
	(void)state;
	AUTO(manifest) struct manifest base = {0};
	AUTO(manifest) struct manifest target = {0};
	add(&base, "a-copy", MANIFEST_FILE, "same content");
	add(&base, "gone", MANIFEST_FILE, "gone");
	add(&base, "link", MANIFEST_LINK, "as a link");
	add(&base, "run", MANIFEST_FILE, "same content");
	add(&base, "text", MANIFEST_FILE, "old");
	assert_int_equal(manifest_finish(&base, NULL), 0);
	add(&target, "a-copy", MANIFEST_FILE, "same content");
	add(&target, "file", MANIFEST_FILE, "as a link");      /* not read through a link */
	add(&target, "link-2", MANIFEST_LINK, "same content"); /* always carried */
	add(&target, "moved", MANIFEST_EXEC, "same content");
	add(&target, "run", MANIFEST_EXEC, "same content");
	add(&target, "text", MANIFEST_FILE, "new");
	add(&target, "text-2", MANIFEST_FILE, "new");
	add(&target, "text-3", MANIFEST_EXEC, "new");
	assert_int_equal(manifest_finish(&target, NULL), 0);
	static const struct {
		const char *path;
		enum change_from from;
		const char *source;
	} expected[] = {
		{"file", CHANGE_CARRIED, NULL},
		{"gone", CHANGE_REMOVED, NULL},
		{"link", CHANGE_REMOVED, NULL},
		{"link-2", CHANGE_CARRIED, NULL},
		{"moved", CHANGE_FROM_BASE, "a-copy"},
		{"run", CHANGE_FROM_BASE, "run"}, /* itself, not the first with this content */
		{"text", CHANGE_CARRIED, NULL},
		{"text-2", CHANGE_FROM_TARGET, "text"},
		{"text-3", CHANGE_FROM_TARGET, "text"},
	};
	AUTO(changes) struct changes changes = {0};
	assert_int_equal(changes_find(&base, &target, &changes, NULL), 0);
	assert_int_equal(changes.count, ARRAY_LEN(expected));
	for (size_t i = 0; i < changes.count; i++) {
		const struct manifest_change *change = &changes.list[i];
		const struct manifest_entry *entry = change->new_ ? change->new_ : change->old;
		assert_string_equal(entry->path, expected[i].path);
		assert_int_equal(change->from, expected[i].from);
		if (expected[i].source)
			assert_string_equal(change->source->path, expected[i].source);
		else
			assert_null(change->source);
	}
	assert_int_equal(changes.carried, 3);
	assert_int_equal(changes.carried_bytes, 9 + 12 + 3);
	changes_release(&changes);
	assert_int_equal(changes_find(&target, &target, &changes, NULL), 0);
	assert_int_equal(changes.count, 0);
	assert_int_equal(changes_find(NULL, &base, &changes, NULL), 0);
	assert_int_equal(changes.carried, 4); /* "same content" once */
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_content_has_its_nearest_source),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
