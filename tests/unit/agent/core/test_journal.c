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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_come_back_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(torn_end_is_cut_at_every_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_before_the_end_stops, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
