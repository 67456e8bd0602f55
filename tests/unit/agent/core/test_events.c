#include "agent/core/events.h"

#include "agent/core/event_mark.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static void add(struct events *events, size_t message_len)
{
	Fairlead__V1__Event event = FAIRLEAD__V1__EVENT__INIT;
	AUTO_FREE char *message = xcalloc(1, message_len + 1);
	memset(message, 'x', message_len);
	event.message = message;
	events_add(events, &event);
}

static void numbers_rise_and_survive(void **state)
{
	(void)state;
	char dir[] = "/tmp/fairlead-events-XXXXXX";
	assert_non_null(mkdtemp(dir));
	AUTO_CLOSE int dirfd = open_dir(dir, NULL);
	struct events *events = NULL;
	struct err err = ERR_INIT;
	uint64_t number = 0;
	assert_int_equal(events_open(dirfd, NULL, NULL, &events, &err), 0);
	assert_int_equal(events_after(events, 0, &number).len, 0);
	for (int i = 0; i < 3; i++)
		add(events, 10);
	assert_true(events_after(events, 1, &number).len > 0);
	assert_int_equal(number, 2);
	events_close(events);

	assert_int_equal(events_open(dirfd, NULL, NULL, &events, &err), 0);
	assert_int_equal(events_last(events), 3);
	add(events, 10);
	assert_int_equal(events_last(events), 4);
	assert_int_equal(events_after(events, 4, &number).len, 0);
	events_close(events);
	tree_remove(AT_FDCWD, dir, NULL);
}

static void the_oldest_are_forgotten(void **state)
{
	(void)state;
	char dir[] = "/tmp/fairlead-events-XXXXXX";
	assert_non_null(mkdtemp(dir));
	AUTO_CLOSE int dirfd = open_dir(dir, NULL);
	struct events *events = NULL;
	struct err err = ERR_INIT;
	uint64_t number = 0;
	assert_int_equal(events_open(dirfd, NULL, NULL, &events, &err), 0);
	for (int i = 0; i < 1000; i++)
		add(events, 2000);
	assert_true(events_after(events, 0, &number).len > 2000);
	assert_true(number > 850 && number < 1000);
	assert_int_equal(events_last(events), 1000);
	AUTO(buf) struct buf file = {0};
	assert_int_equal(file_read(dirfd, "events", 1 << 20, &file, &err), 0);
	assert_true(file.len <= 2 * EVENTS_KEPT_BYTES + 4096);
	events_close(events);
	tree_remove(AT_FDCWD, dir, NULL);
}

/* ---- numbers are never used twice ---- */

enum { WRITTEN = 5 };

struct place {
	char dir[sizeof("/tmp/fairlead-events-XXXXXX")];
	int dirfd;
};

/* A directory with the events of an agent that ended. */
static int set_up(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));
	struct events *events = NULL;
	memcpy(place->dir, "/tmp/fairlead-events-XXXXXX", sizeof(place->dir));
	assert_non_null(mkdtemp(place->dir));
	place->dirfd = open_dir(place->dir, NULL);
	assert_int_equal(events_open(place->dirfd, NULL, NULL, &events, NULL), 0);
	for (int i = 0; i < WRITTEN; i++)
		add(events, 10);
	events_close(events);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	close(place->dirfd);
	tree_remove(AT_FDCWD, place->dir, NULL);
	free(place);
	return 0;
}

/* The number that the next agent uses first, and how many old events it still has. */
static uint64_t next_number(const struct place *place, size_t *ret_kept)
{
	struct events *events = NULL;
	assert_int_equal(events_open(place->dirfd, NULL, NULL, &events, NULL), 0);
	*ret_kept = 0;
	for (uint64_t at = 0; events_after(events, at, &at).len > 0;)
		++*ret_kept;
	add(events, 10);
	uint64_t number = events_last(events);
	events_close(events);
	return number;
}

static void after_a_loss_numbers_go_on_above_the_mark(void **state)
{
	const struct place *place = *state;
	size_t kept = 0;
	assert_int_equal(unlinkat(place->dirfd, "events", 0), 0);
	assert_int_equal(next_number(place, &kept), EVENT_MARK_BLOCK + 1);
	assert_int_equal(kept, 0);
	/* And the loss is mended: nothing is skipped again. */
	assert_int_equal(next_number(place, &kept), EVENT_MARK_BLOCK + 2);
	assert_int_equal(kept, 1);
}

static void a_file_that_cannot_be_read_is_a_loss(void **state)
{
	const struct place *place = *state;
	size_t kept = 0;
	assert_int_equal(unlinkat(place->dirfd, "events", 0), 0);
	assert_int_equal(mkdirat(place->dirfd, "events", 0700), 0);
	assert_int_equal(next_number(place, &kept), EVENT_MARK_BLOCK + 1);
	/* It is used up again before anything was written. */
	assert_true(next_number(place, &kept) > EVENT_MARK_BLOCK + 1);
}

static void a_torn_end_is_cut_and_its_number_not_used(void **state)
{
	const struct place *place = *state;
	size_t kept = 0;
	AUTO_CLOSE int fd = open_beneath(place->dirfd, "events", O_RDWR, 0, NULL);
	off_t size = lseek(fd, 0, SEEK_END);
	assert_int_equal(ftruncate(fd, size - 1), 0);
	assert_int_equal(next_number(place, &kept), EVENT_MARK_BLOCK + 1);
	assert_int_equal(kept, WRITTEN - 1);
	assert_int_equal(next_number(place, &kept), EVENT_MARK_BLOCK + 2);
	assert_int_equal(kept, WRITTEN);
}

/* The file was not synced: after a power loss it may be an older one. */
static void after_another_boot_the_file_is_not_believed(void **state)
{
	const struct place *place = *state;
	size_t kept = 0;
	AUTO(buf) struct buf mark = {0};
	assert_int_equal(file_read(place->dirfd, "events.mark", 64, &mark, NULL), 0);
	mark.data[9] ^= 1;
	struct digest check = digest_of(mark.data, mark.len - 8);
	memcpy(mark.data + mark.len - 8, check.bytes, 8);
	assert_int_equal(
		file_write_atomic(place->dirfd, "events.mark", buf_bytes(&mark), 0600, NULL), 0);
	assert_int_equal(next_number(place, &kept), EVENT_MARK_BLOCK + 1);
	assert_int_equal(kept, WRITTEN);
}

static void a_damaged_mark_is_replaced_by_the_clock(void **state)
{
	const struct place *place = *state;
	size_t kept = 0;
	uint64_t now = clock_unix_ms();
	assert_int_equal(
		file_write_atomic(place->dirfd, "events.mark", BYTES_STR("x"), 0600, NULL), 0);
	assert_true(next_number(place, &kept) > now);
	assert_int_equal(kept, WRITTEN);
}

static void what_could_not_be_written_keeps_its_number(void **state)
{
	const struct place *place = *state;
	struct events *events = NULL;
	struct rlimit before, limit;
	size_t kept = 0;
	assert_int_equal(events_open(place->dirfd, NULL, NULL, &events, NULL), 0);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 200; /* room for the mark */
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	for (int i = 0; i < 3; i++)
		add(events, 200);
	assert_int_equal(events_last(events), WRITTEN + 3);
	events_close(events);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_true(next_number(place, &kept) > WRITTEN + 3);
}

static void a_disk_that_works_again_has_all_events(void **state)
{
	const struct place *place = *state;
	struct events *events = NULL;
	struct rlimit before, limit;
	size_t kept = 0;
	assert_int_equal(events_open(place->dirfd, NULL, NULL, &events, NULL), 0);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 200;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	add(events, 200);
	setrlimit(RLIMIT_FSIZE, &before);
	add(events, 10);
	events_close(events);
	assert_int_equal(next_number(place, &kept), WRITTEN + 3);
	assert_int_equal(kept, WRITTEN + 2);
}

static void more_numbers_are_reserved_in_time(void **state)
{
	const struct place *place = *state;
	struct events *events = NULL;
	size_t kept = 0;
	assert_int_equal(events_open(place->dirfd, NULL, NULL, &events, NULL), 0);
	while (events_last(events) < 2 * EVENT_MARK_BLOCK + 10)
		add(events, 1);
	events_close(events);
	assert_int_equal(unlinkat(place->dirfd, "events", 0), 0);
	assert_true(next_number(place, &kept) > 2 * EVENT_MARK_BLOCK + 10);
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_rise_and_survive),
		cmocka_unit_test(the_oldest_are_forgotten),
		WITH_PLACE(after_a_loss_numbers_go_on_above_the_mark),
		WITH_PLACE(a_file_that_cannot_be_read_is_a_loss),
		WITH_PLACE(a_torn_end_is_cut_and_its_number_not_used),
		WITH_PLACE(after_another_boot_the_file_is_not_believed),
		WITH_PLACE(a_damaged_mark_is_replaced_by_the_clock),
		WITH_PLACE(what_could_not_be_written_keeps_its_number),
		WITH_PLACE(a_disk_that_works_again_has_all_events),
		WITH_PLACE(more_numbers_are_reserved_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
