#include "common/release/changes.h"

#include "common/base/mem.h"

static int collect(const struct manifest_entry *old, const struct manifest_entry *new_, void *user)
{
	struct changes *changes = user;
	/* Powers of two: grown when the count reaches one. */
	if ((changes->count & (changes->count - 1)) == 0) {
		size_t cap = changes->count ? changes->count * 2 : 1;
		struct manifest_change *list = realloc(changes->list, cap * sizeof(*changes->list));
		if (!list)
			return -1;
		changes->list = list;
	}
	changes->list[changes->count++] = (struct manifest_change){
		.old = old,
		.new_ = new_,
		.from = new_ ? CHANGE_CARRIED : CHANGE_REMOVED,
	};
	return 0;
}

static bool is_file(const struct manifest_entry *entry)
{
	return entry && entry->mode != MANIFEST_LINK;
}

/* By content, then in path order (the list's own order). */
static int compare_wanted(const void *a, const void *b)
{
	const struct manifest_change *x = *(struct manifest_change *const *)a,
				     *y = *(struct manifest_change *const *)b;
	int order = memcmp(x->new_->digest.bytes, y->new_->digest.bytes, DIGEST_SIZE);
	return order ? order : (x > y) - (x < y);
}

struct wanted {
	struct manifest_change **list; /* new files, by content */
	size_t count;
};

static size_t wanted_first(const struct wanted *wanted, const struct digest *digest)
{
	size_t low = 0, high = wanted->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memcmp(wanted->list[middle]->new_->digest.bytes, digest->bytes, DIGEST_SIZE) <
			0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The few new contents are sorted and the many old files looked up in them, not the other way
 * round: the cost follows the change. The first base file in path order serves its whole group. */
static void find_in_base(const struct wanted *wanted, const struct manifest *base)
{
	for (size_t i = 0; i < base->count; i++) {
		const struct manifest_entry *entry = &base->entries[i];
		if (!is_file(entry))
			continue;
		size_t first = wanted_first(wanted, &entry->digest);
		for (size_t w = first; w < wanted->count; w++) {
			struct manifest_change *change = wanted->list[w];
			if (change->source || !digest_equal(&change->new_->digest, &entry->digest))
				break;
			change->from = CHANGE_FROM_BASE;
			change->source = entry;
		}
	}
	for (size_t w = 0; w < wanted->count; w++) {
		struct manifest_change *change = wanted->list[w];
		if (is_file(change->old) &&
			digest_equal(&change->old->digest, &change->new_->digest))
			change->source = change->old;
	}
}

static void find_in_target(const struct wanted *wanted)
{
	for (size_t i = 1; i < wanted->count; i++) {
		struct manifest_change *before = wanted->list[i - 1], *change = wanted->list[i];
		if (change->from != CHANGE_CARRIED ||
			!digest_equal(&change->new_->digest, &before->new_->digest))
			continue;
		change->from = CHANGE_FROM_TARGET;
		change->source = before->source ? before->source : before->new_;
	}
}

/* `list` has room for all of them. */
static void find_sources(
	const struct manifest *base, struct changes *ret, struct manifest_change **list)
{
	struct wanted wanted = {.list = list};
	for (size_t i = 0; i < ret->count; i++)
		if (is_file(ret->list[i].new_))
			list[wanted.count++] = &ret->list[i];
	if (wanted.count)
		qsort(list, wanted.count, sizeof(struct manifest_change *), compare_wanted);
	if (base && wanted.count)
		find_in_base(&wanted, base);
	find_in_target(&wanted);
	for (size_t i = 0; i < ret->count; i++) {
		if (ret->list[i].from != CHANGE_CARRIED)
			continue;
		ret->carried++;
		ret->carried_bytes += ret->list[i].new_->size;
	}
}

int changes_find(const struct manifest *base, const struct manifest *target, struct changes *ret,
	struct err *err)
{
	struct manifest_change **list = NULL;
	*ret = (struct changes){0};
	if (manifest_diff(base, target, collect, ret) == 0)
		list = calloc(ret->count ? ret->count : 1, sizeof(struct manifest_change *));
	if (!list) {
		err_set(err, ERR_LIMIT, "no memory for more than %zu changed files", ret->count);
		changes_release(ret);
		return -1;
	}
	find_sources(base, ret, list);
	free(list);
	return 0;
}

void changes_release(struct changes *changes)
{
	free(changes->list);
	*changes = (struct changes){0};
}
