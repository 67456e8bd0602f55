#include "common/release/manifest.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/release/arena.h"

#include <stdbool.h>

static int entry_fault(const char *path, enum err_code code, const char *fault, struct err *err)
{
	AUTO_FREE char *shown = text_escaped(path);
	return err_set(err, code, "'%s' %s", shown, fault);
}

static bool mode_is_known(enum manifest_mode mode)
{
	return mode == MANIFEST_FILE || mode == MANIFEST_EXEC || mode == MANIFEST_LINK;
}

/* For one more entry. */
static int make_room(struct manifest *m)
{
	if (m->count < m->arena->entries_cap)
		return 0;
	size_t cap = m->count ? m->count * 2 : 64;
	struct manifest_entry *entries = realloc(m->entries, cap * sizeof(*entries));
	if (!entries)
		return -1;
	m->entries = entries;
	m->arena->entries_cap = cap;
	return 0;
}

int manifest_add(struct manifest *m, const char *path, size_t path_len, enum manifest_mode mode,
	uint64_t size, const struct digest *digest, struct err *err)
{
	if (manifest_path_check(path, path_len, err) < 0)
		return -1;
	if (m->count >= MANIFEST_ENTRIES_MAX)
		return err_set(err, ERR_LIMIT, "more than %d files", (int)MANIFEST_ENTRIES_MAX);
	if (!m->arena)
		m->arena = arena_new();
	const char *copy = arena_path(m->arena, path, path_len);
	if (!copy || make_room(m) < 0)
		return err_set(err, ERR_LIMIT, "no memory for more than %zu files", m->count);
	if (!mode_is_known(mode))
		return entry_fault(copy, ERR_INVALID, "is no file, executable or link", err);
	if (mode == MANIFEST_LINK && (size == 0 || size > MANIFEST_PATH_MAX))
		return entry_fault(copy, ERR_INVALID, "is a link with no usable target", err);
	if (size > INT64_MAX || m->bytes > INT64_MAX - size)
		return entry_fault(copy, ERR_LIMIT, "is too large", err);
	m->bytes += size;
	m->entries[m->count++] = (struct manifest_entry){
		.path = copy,
		.path_len = (uint32_t)path_len,
		.mode = mode,
		.size = size,
		.digest = *digest,
	};
	return 0;
}

static int compare_paths(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t common = a_len < b_len ? a_len : b_len;
	int order = memcmp(a, b, common);
	return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_entries(const void *a, const void *b)
{
	const struct manifest_entry *x = a, *y = b;
	return compare_paths(x->path, x->path_len, y->path, y->path_len);
}

static size_t common_prefix(const struct manifest_entry *a, const struct manifest_entry *b)
{
	size_t max = a->path_len < b->path_len ? a->path_len : b->path_len, n = 0;
	while (n < max && a->path[n] == b->path[n])
		n++;
	return n;
}

static bool has_entry(const struct manifest *m, const char *path, size_t len)
{
	size_t i = manifest_lower_bound(m, path, len);
	return i < m->count && m->entries[i].path_len == len &&
	       memcmp(m->entries[i].path, path, len) == 0;
}

/* In sorted order everything below a directory is contiguous, so each directory is looked up
 * once: where it first appears. */
static int check_directories(const struct manifest *m, size_t i, struct err *err)
{
	const struct manifest_entry *entry = &m->entries[i];
	size_t seen = i > 0 ? common_prefix(entry, &m->entries[i - 1]) : 0;
	for (size_t n = seen; n < entry->path_len; n++) {
		if (entry->path[n] != '/' || !has_entry(m, entry->path, n))
			continue;
		AUTO_FREE char *directory = xstrndup(entry->path, n);
		return entry_fault(directory, ERR_INVALID,
			"is a file or link, and also a directory of another path", err);
	}
	return 0;
}

int manifest_check(const struct manifest *m, struct err *err)
{
	for (size_t i = 1; i < m->count; i++) {
		int order = compare_entries(&m->entries[i - 1], &m->entries[i]);
		if (order == 0)
			return entry_fault(m->entries[i].path, ERR_INVALID, "is there twice", err);
		if (order > 0)
			return entry_fault(m->entries[i].path, ERR_INVALID, "is out of order", err);
	}
	for (size_t i = 0; i < m->count; i++)
		if (check_directories(m, i, err) < 0)
			return -1;
	return 0;
}

int manifest_finish(struct manifest *m, struct err *err)
{
	if (m->count)
		qsort(m->entries, m->count, sizeof(*m->entries), compare_entries);
	if (manifest_check(m, err) < 0)
		return -1;
	AUTO(buf) struct buf wire = {0};
	manifest_encode(m, &wire);
	if (wire.len > MANIFEST_WIRE_MAX)
		return err_set(err, ERR_LIMIT, "the list of files is larger than %d bytes",
			(int)MANIFEST_WIRE_MAX);
	m->digest = digest_of(wire.data, wire.len);
	return 0;
}

void manifest_release(struct manifest *m)
{
	free(m->entries);
	arena_free(m->arena);
	*m = (struct manifest){0};
}

size_t manifest_lower_bound(const struct manifest *m, const char *path, size_t len)
{
	size_t low = 0, high = m->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct manifest_entry *entry = &m->entries[middle];
		if (compare_paths(entry->path, entry->path_len, path, len) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct manifest_entry *manifest_find(const struct manifest *m, const char *path)
{
	size_t len = strlen(path);
	size_t i = manifest_lower_bound(m, path, len);
	if (i == m->count || compare_paths(m->entries[i].path, m->entries[i].path_len, path, len))
		return NULL;
	return &m->entries[i];
}

bool manifest_has_below(const struct manifest *m, const char *directory)
{
	AUTO_FREE char *prefix = xasprintf("%s/", directory);
	size_t len = strlen(prefix);
	size_t i = manifest_lower_bound(m, prefix, len);
	return i < m->count && m->entries[i].path_len > len &&
	       memcmp(m->entries[i].path, prefix, len) == 0;
}

bool manifest_same(const struct manifest_entry *a, const struct manifest_entry *b)
{
	return a->mode == b->mode && a->size == b->size && digest_equal(&a->digest, &b->digest);
}

int manifest_diff(
	const struct manifest *old, const struct manifest *new_, manifest_diff_fn *fn, void *user)
{
	size_t i = 0, j = 0;
	size_t old_count = old ? old->count : 0, new_count = new_ ? new_->count : 0;
	while (i < old_count || j < new_count) {
		const struct manifest_entry *a = i < old_count ? &old->entries[i] : NULL;
		const struct manifest_entry *b = j < new_count ? &new_->entries[j] : NULL;
		int order = !a ? 1 : !b ? -1 : compare_entries(a, b);
		i += order <= 0;
		j += order >= 0;
		if (order == 0 && manifest_same(a, b))
			continue;
		int rc = fn(order <= 0 ? a : NULL, order >= 0 ? b : NULL, user);
		if (rc)
			return rc;
	}
	return 0;
}
