#include "agent/core/events.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#include <setjmp.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_rise_and_survive),
		cmocka_unit_test(the_oldest_are_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
