#include "agent/core/journal.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/stat.h>

#include <cmocka.h>

struct fixture {
	char dir[64];
	int dirfd;
	uint64_t seen[16]; /* sequences, in order */
	size_t count;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/fairlead-journal-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->dirfd = open_dir(f->dir, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	close(f->dirfd);
	tree_remove(AT_FDCWD, f->dir, NULL);
	free(f);
	return 0;
}

static int collect(
	void *user, uint64_t number, const Fairlead__V1__JournalRecord *record, struct err *err)
{
	(void)err;
	struct fixture *f = user;
	assert_int_equal(number, f->count + 1);
	f->seen[f->count++] = record->sequence;
	return 0;
}

static struct journal *reopen(struct fixture *f)
{
	struct journal *journal = NULL;
	struct err err = ERR_INIT;
	f->count = 0;
	if (journal_open(f->dirfd, "journal", collect, f, &journal, &err) < 0)
		fail_msg("%s", err.message);
	return journal;
}

static void append(struct journal *journal, uint64_t sequence)
{
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	struct err err = ERR_INIT;
	record.sequence = sequence;
	record.state = FAIRLEAD__V1__STATE__STATE_PREPARED;
	assert_int_equal(journal_append(journal, &record, &err), 0);
}

static off_t write_three(struct fixture *f)
{
	struct stat st;
	struct journal *journal = reopen(f);
	for (uint64_t i = 1; i <= 3; i++)
		append(journal, i * 10);
	journal_close(journal);
	assert_int_equal(fstatat(f->dirfd, "journal", &st, 0), 0);
	return st.st_size;
}

static void records_come_back_in_order(void **state)
{
	struct fixture *f = *state;
	write_three(f);
	struct journal *journal = reopen(f);
	struct digest before = journal_head(journal);
	assert_int_equal(f->count, 3);
	assert_int_equal(f->seen[2], 30);
	append(journal, 40);
	struct digest after = journal_head(journal);
	assert_false(digest_equal(&before, &after));
	journal_close(journal);
	journal = reopen(f);
	assert_int_equal(f->count, 4);
	journal_close(journal);
}

/* Whatever part of the last record a crash left, the first two stay and the journal goes on. */
static void torn_end_is_cut_at_every_byte(void **state)
{
	struct fixture *f = *state;
	off_t size = write_three(f);
	off_t record = size / 3;
	for (off_t cut = size - 1; cut >= 2 * record; cut--) {
		AUTO_CLOSE int fd = openat(f->dirfd, "journal", O_RDWR);
		assert_int_equal(ftruncate(fd, cut), 0);
		struct journal *journal = reopen(f);
		assert_int_equal(f->count, 2);
		append(journal, 30);
		journal_close(journal);
	}
}

static void damage_before_the_end_stops(void **state)
{
	struct fixture *f = *state;
	off_t size = write_three(f);
	for (off_t at = 0; at < 2 * (size / 3); at++) {
		AUTO_CLOSE int fd = openat(f->dirfd, "journal", O_RDWR);
		struct journal *journal = NULL;
		struct err err = ERR_INIT;
		struct stat st;
		uint8_t byte;
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x20;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		f->count = 0;
		int rc = journal_open(f->dirfd, "journal", collect, f, &journal, &err);
		assert_int_equal(rc, -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, size); /* nothing was cut */
		byte ^= 0x20;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
}

/* ---- more than one file ---- */

static int turn(struct journal *journal, unsigned keep)
{
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	Fairlead__V1__JournalSegment segment = FAIRLEAD__V1__JOURNAL_SEGMENT__INIT;
	struct err err = ERR_INIT;
	segment.number = journal_segment(journal) + 1;
	segment.last_sequence = 1000 + segment.number;
	record.segment = &segment;
	return journal_turn(journal, &record, keep, &err);
}

static uint64_t replayed_first, replayed_count;

static int note_first(
	void *user, uint64_t number, const Fairlead__V1__JournalRecord *record, struct err *err)
{
	(void)user;
	(void)err;
	if (replayed_count++ == 0)
		replayed_first = record->segment ? record->segment->last_sequence : 0;
	assert_true(number > 0);
	return 0;
}

static int open_any(struct fixture *f, struct journal **ret, struct err *err)
{
	replayed_first = replayed_count = 0;
	return journal_open(f->dirfd, "journal", note_first, f, ret, err);
}

static struct journal *open_whole(struct fixture *f)
{
	struct journal *journal = NULL;
	struct err err = ERR_INIT;
	if (open_any(f, &journal, &err) < 0)
		fail_msg("%s", err.message);
	return journal;
}

static size_t count_files(struct fixture *f)
{
	char **files = NULL;
	size_t count = 0;
	assert_int_equal(journal_files(f->dirfd, "journal", &files, &count, NULL), 0);
	assert_string_equal(files[count - 1], "journal");
	journal_files_free(files, count);
	return count;
}

/* Three files, each of two records: numbers go on, only the newest is replayed. */
static void write_pages(struct fixture *f)
{
	struct journal *journal = open_whole(f);
	append(journal, 1);
	append(journal, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(turn(journal, 9), JOURNAL_TURNED);
		append(journal, 3);
	}
	assert_int_equal(journal_chain(journal).number, 6);
	journal_close(journal);
	assert_int_equal(count_files(f), 3);
}

static void pages_are_turned_and_the_oldest_go(void **state)
{
	struct fixture *f = *state;
	write_pages(f);
	struct journal *journal = open_whole(f);
	assert_int_equal(replayed_count, 2);
	assert_int_equal(replayed_first, 1003);
	assert_int_equal(journal_segment(journal), 3);
	for (int i = 0; i < 5; i++)
		assert_int_equal(turn(journal, 2), JOURNAL_TURNED);
	journal_close(journal);
	assert_int_equal(count_files(f), 3);
	journal = open_whole(f);
	assert_int_equal(journal_chain(journal).number, 11);
	assert_int_equal(journal_segment(journal), 8);
	journal_close(journal);
}

/* A turn that was interrupted is undone: the new file may be there, and the old one's number. */
static void half_a_turn_is_undone(void **state)
{
	struct fixture *f = *state;
	write_pages(f);
	for (int linked = 0; linked < 2; linked++) {
		assert_int_equal(
			file_write_atomic(f->dirfd, "journal.new", BYTES_STR("half"), 0600, NULL),
			0);
		if (linked)
			assert_int_equal(
				linkat(f->dirfd, "journal", f->dirfd, "journal.000003", 0), 0);
		struct journal *journal = open_whole(f);
		assert_int_equal(journal_segment(journal), 3);
		assert_int_equal(count_files(f), 3);
		assert_int_equal(faccessat(f->dirfd, "journal.new", F_OK, 0), -1);
		assert_int_equal(turn(journal, 9), JOURNAL_TURNED);
		journal_close(journal);
		journal = open_whole(f);
		journal_close(journal);
		/* As it was, for the next round. */
		assert_int_equal(unlinkat(f->dirfd, "journal", 0), 0);
		assert_int_equal(renameat(f->dirfd, "journal.000003", f->dirfd, "journal"), 0);
	}
}

static void flip(struct fixture *f, const char *file, off_t at)
{
	uint8_t byte;
	AUTO_CLOSE int fd = openat(f->dirfd, file, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void assert_damaged(struct fixture *f, const char *file, const char *what)
{
	struct journal *journal = NULL;
	struct err err = ERR_INIT;
	assert_int_equal(open_any(f, &journal, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_non_null(strstr(err.message, "ALARM"));
	if (!strstr(err.message, file) || !strstr(err.message, what))
		fail_msg("%s", err.message);
}

static void damage_in_an_old_file_stops_and_is_named(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	write_pages(f);
	assert_int_equal(fstatat(f->dirfd, "journal.000002", &st, 0), 0);
	for (off_t at = 0; at < st.st_size; at++) {
		flip(f, "journal.000002", at);
		assert_damaged(f, "'journal.000002'", "record");
		flip(f, "journal.000002", at);
	}
	/* The end of an old file is never a torn one. */
	AUTO_CLOSE int fd = openat(f->dirfd, "journal.000002", O_RDWR);
	assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
	assert_damaged(f, "'journal.000002'", "record 4");
	struct stat after;
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(after.st_size, st.st_size - 1);
}

static void a_lost_file_stops_and_is_named(void **state)
{
	struct fixture *f = *state;
	write_pages(f);
	assert_int_equal(renameat(f->dirfd, "journal.000002", f->dirfd, "away"), 0);
	assert_damaged(f, "'journal'", "record 3");
	assert_int_equal(renameat(f->dirfd, "away", f->dirfd, "journal.000002"), 0);
	struct journal *journal = NULL;
	struct err err = ERR_INIT;
	assert_int_equal(renameat(f->dirfd, "journal", f->dirfd, "away"), 0);
	assert_int_equal(open_any(f, &journal, &err), -1);
	assert_non_null(strstr(err.message, "ALARM"));
	/* Empty is no better. */
	AUTO_CLOSE int fd = openat(f->dirfd, "journal", O_RDWR | O_CREAT, 0600);
	assert_damaged(f, "'journal'", "record 5");
	/* The newest file begins whole: it was synced before it got its name. */
	assert_int_equal(write(fd, "x", 1), 1);
	assert_damaged(f, "'journal'", "record 5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_come_back_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(torn_end_is_cut_at_every_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_before_the_end_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(
			pages_are_turned_and_the_oldest_go, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_turn_is_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			damage_in_an_old_file_stops_and_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_file_stops_and_is_named, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
