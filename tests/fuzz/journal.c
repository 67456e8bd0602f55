/* The journal: what it replays is what was written, in order; damage is told from a torn end.
 *
 * Input: 0 | a file as it is. 1 | records, then whole ones of them taken out or repeated, then a
 * change of the bytes of the file they make. */
#include "agent/core/journal.h"
#include "common/base/pb.h"
#include "common/os/file.h"
#include "tests/fuzz/fuzz.h"

enum { RECORDS_MAX = 6, FILE_MAX = 1024 * 1024 };

static const char name[] = "journal";

/* The records replayed, packed. */
struct replayed {
	struct buf records[RECORDS_MAX];
	size_t count;
	size_t file_len; /* when it had been opened */
};

static void replayed_release(struct replayed *replayed)
{
	for (size_t i = 0; i < RECORDS_MAX; i++)
		buf_release(&replayed->records[i]);
}

static int on_record(
	void *user, uint64_t number, const Fairlead__V1__JournalRecord *record, struct err *err)
{
	struct replayed *replayed = user;
	(void)err;
	MUST(number == ++replayed->count);
	if (number <= RECORDS_MAX)
		PB_PACK(record, &replayed->records[number - 1]);
	return 0;
}

static int open_journal(struct replayed *replayed, struct journal **ret, struct err *err)
{
	return journal_open(fuzz_scratch(), name, on_record, replayed, ret, err);
}

static void check_same(const struct replayed *a, const struct replayed *b, size_t count)
{
	for (size_t i = 0; i < count && i < RECORDS_MAX; i++)
		MUST(fuzz_same(buf_bytes(&a->records[i]), buf_bytes(&b->records[i])));
}

/* Opened once: it opens again, the same, and takes one more record that is there afterwards. */
static void check_opened(struct journal *journal, const struct replayed *first)
{
	AUTO(replayed) struct replayed second = {0}, third = {0};
	struct digest head = journal_head(journal), again;
	journal_close(journal);
	MUST(open_journal(&second, &journal, NULL) == 0);
	again = journal_head(journal);
	MUST(digest_equal(&head, &again) && second.count == first->count);
	check_same(first, &second, first->count);
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	record.step = pb_str("ONE_MORE");
	MUST(journal_append(journal, &record, NULL) == 0);
	head = journal_head(journal);
	journal_close(journal);
	MUST(open_journal(&third, &journal, NULL) == 0);
	again = journal_head(journal);
	MUST(digest_equal(&head, &again) && third.count == first->count + 1);
	check_same(first, &third, first->count);
	journal_close(journal);
}

/* Refused: then the file is as it was. True when it opens; its records are then in `ret`. */
static bool open_file(struct bytes content, struct replayed *ret)
{
	struct journal *journal = NULL;
	struct err err = ERR_INIT;
	fuzz_scratch_write(name, content);
	int rc = open_journal(ret, &journal, &err);
	AUTO(buf) struct buf now = {0};
	MUST(file_read(fuzz_scratch(), name, FILE_MAX, &now, NULL) == 0);
	if (rc == 0) {
		MUST(now.len <= content.len);
		MUST(fuzz_same(buf_bytes(&now), BYTES(content.data, now.len)));
		ret->file_len = now.len;
		check_opened(journal, ret);
		return true;
	}
	MUST(err.code == ERR_CORRUPT || err.code == ERR_INVALID || err.code == ERR_LIMIT);
	MUST(fuzz_same(buf_bytes(&now), content));
	return false;
}

/* Writes the records the input describes; where each ends goes to `ends`. */
static size_t write_records(struct bytes *in, struct replayed *written, struct buf *file,
	size_t ends[static RECORDS_MAX])
{
	struct journal *journal = NULL;
	AUTO(replayed) struct replayed none = {0};
	fuzz_scratch_write(name, (struct bytes){0});
	MUST(open_journal(&none, &journal, NULL) == 0 && none.count == 0);
	size_t count = 1 + fuzz_u8(in) % RECORDS_MAX;
	for (size_t i = 0; i < count; i++) {
		Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
		record.state = (Fairlead__V1__State)(fuzz_u8(in) % 16);
		record.sequence = fuzz_u16(in);
		struct bytes id = fuzz_take(in, fuzz_u8(in) % 32);
		record.deployment_id = pb_borrow(id.data, id.len);
		MUST(journal_append(journal, &record, NULL) == 0);
		PB_PACK(&record, &written->records[i]);
		buf_clear(file);
		MUST(file_read(fuzz_scratch(), name, FILE_MAX, file, NULL) == 0);
		ends[i] = file->len;
	}
	journal_close(journal);
	return count;
}

/* Takes one whole record out, or repeats it. */
static void rearrange(struct bytes *in, size_t count, const size_t ends[static RECORDS_MAX],
	const struct buf *file, struct buf *ret)
{
	enum { KEEP, TAKE_OUT, REPEAT, KINDS } kind = fuzz_u8(in) % KINDS;
	size_t k = kind == KEEP ? count : fuzz_u8(in) % count;
	for (size_t i = 0; i < count; i++) {
		size_t begin = i ? ends[i - 1] : 0, times = i != k ? 1 : kind == REPEAT ? 2 : 0;
		while (times--)
			buf_append(ret, file->data + begin, ends[i] - begin);
	}
}

static void damage(struct bytes in)
{
	AUTO(replayed) struct replayed written = {0}, found = {0};
	AUTO(buf) struct buf file = {0}, spliced = {0}, damaged = {0};
	size_t ends[RECORDS_MAX] = {0};
	size_t count = write_records(&in, &written, &file, ends);
	rearrange(&in, count, ends, &file, &spliced);
	bool changed = fuzz_change(&in, buf_bytes(&spliced), &damaged);
	size_t same = 0; /* bytes from the front */
	while (same < file.len && same < damaged.len && file.data[same] == damaged.data[same])
		same++;
	size_t whole = 0; /* records that are as they were */
	while (whole < count && ends[whole] <= same)
		whole++;
	bool opens = open_file(buf_bytes(&damaged), &found);
	if (opens) {
		MUST(found.count == whole);
		MUST(found.file_len == (whole ? ends[whole - 1] : 0));
		check_same(&found, &written, whole);
	}
	/* Cut anywhere, it is torn. A whole record in a wrong place is damage, and so is a bit
	 * flipped before the last one. */
	bool cut = same == damaged.len;
	MUST(!cut || opens);
	MUST(changed || cut || !opens);
	bool before_last = false;
	if (damaged.len == file.len && whole + 1 < count) {
		size_t last = ends[count - 2]; /* it stands where it stood: nothing was torn off */
		before_last = memcmp(file.data + last, damaged.data + last, file.len - last) == 0;
	}
	MUST(!before_last || !opens);
}

void fuzz_one(struct bytes in)
{
	AUTO(replayed) struct replayed found = {0};
	if (fuzz_u8(&in) % 2 == 0)
		open_file(in, &found);
	else
		damage(in);
}

void fuzz_seeds(void)
{
	static const uint8_t script[] = {2, 1, 7, 0, 3, 'a', 'b', 'c', 2, 8, 0, 0, 3, 9, 0, 1, 'z'};
	static const struct {
		const char *name;
		uint8_t change[5];
	} changes[] = {{"honest", {0}}, {"flipped", {0, 1, 20, 0, 4}}, {"torn", {0, 2, 9, 0}},
		{"extended", {0, 3, 1, 'x'}}, {"without", {1, 1}}, {"repeated", {2, 2}}};
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		AUTO(buf) struct buf seed = {0};
		buf_append(&seed, "\1", 1);
		buf_append(&seed, script, sizeof(script));
		buf_append(&seed, changes[i].change, sizeof(changes[i].change));
		fuzz_seed(changes[i].name, buf_bytes(&seed));
	}
	AUTO(replayed) struct replayed written = {0};
	AUTO(buf) struct buf file = {0}, seed = {0};
	size_t ends[RECORDS_MAX];
	struct bytes in = BYTES(script, sizeof(script));
	write_records(&in, &written, &file, ends);
	buf_append(&seed, "\0", 1);
	buf_append(&seed, file.data, file.len);
	fuzz_seed("file", buf_bytes(&seed));
}
