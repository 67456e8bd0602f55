#include "common/base/mem.h"
#include "common/link/session.h"
#include "common/link/wire.h"

#include <setjmp.h>

#include <cmocka.h>

enum { RECORDS = 5 };

/* Sealed records of one direction: the header, three frames, the last. */
struct recorded {
	struct session from, to;
	struct buf records[RECORDS];
};

static int open_recorded(void **state)
{
	struct recorded *recorded = xcalloc(1, sizeof(*recorded));
	assert_true(sodium_init() >= 0);
	struct session_keys keys = {{1}, {2}}, mirrored = {{2}, {1}};
	session_init(&recorded->from, &keys);
	session_init(&recorded->to, &mirrored);
	AUTO(buf) struct buf both = {0};
	session_seal(&recorded->from, BYTES_STR("frame 0"), SESSION_TAG_MESSAGE, &both);
	size_t header = RECORD_PREFIX + crypto_secretstream_xchacha20poly1305_HEADERBYTES;
	buf_append(&recorded->records[0], both.data, header);
	buf_append(&recorded->records[1], both.data + header, both.len - header);
	session_seal(
		&recorded->from, BYTES_STR("frame 1"), SESSION_TAG_MESSAGE, &recorded->records[2]);
	session_seal(&recorded->from, BYTES_STR(""), SESSION_TAG_MESSAGE, &recorded->records[3]);
	session_seal(&recorded->from, BYTES_STR("last"), SESSION_TAG_FINAL, &recorded->records[4]);
	*state = recorded;
	return 0;
}

static int close_recorded(void **state)
{
	struct recorded *recorded = *state;
	for (size_t i = 0; i < RECORDS; i++)
		buf_release(&recorded->records[i]);
	session_release(&recorded->from);
	session_release(&recorded->to);
	free(recorded);
	return 0;
}

static int take(struct recorded *recorded, size_t i, struct buf *plain)
{
	struct err err = ERR_INIT;
	struct bytes body;
	assert_int_equal(record_next(buf_bytes(&recorded->records[i]), LINK_FRAME_MAX, &body, &err),
		RECORD_WHOLE);
	int rc = session_open(&recorded->to, body, plain, &err);
	if (rc < 0)
		assert_int_equal(err.code, ERR_INVALID);
	return rc;
}

static void frames_arrive_in_order_and_end(void **state)
{
	struct recorded *recorded = *state;
	AUTO(buf) struct buf plain = {0};
	assert_int_equal(take(recorded, 0, &plain), SESSION_OPENED_HEADER);
	assert_int_equal(take(recorded, 1, &plain), SESSION_OPENED_FRAME);
	assert_string_equal(buf_str(&plain), "frame 0");
	assert_int_equal(take(recorded, 2, &plain), SESSION_OPENED_FRAME);
	assert_string_equal(buf_str(&plain), "frame 1");
	assert_int_equal(take(recorded, 3, &plain), SESSION_OPENED_FRAME);
	assert_int_equal(plain.len, 0);
	assert_int_equal(take(recorded, 4, &plain), SESSION_OPENED_FINAL);
	assert_string_equal(buf_str(&plain), "last");
	assert_true(take(recorded, 4, &plain) < 0);
}

static void a_missing_or_repeated_frame_is_noticed(void **state)
{
	struct recorded *recorded = *state;
	AUTO(buf) struct buf plain = {0};
	assert_int_equal(take(recorded, 0, &plain), SESSION_OPENED_HEADER);
	assert_true(take(recorded, 2, &plain) < 0);
	assert_int_equal(take(recorded, 1, &plain), SESSION_OPENED_FRAME);
	assert_true(take(recorded, 1, &plain) < 0);
	assert_true(take(recorded, 4, &plain) < 0);
}

static void no_bit_can_be_changed(void **state)
{
	struct recorded *recorded = *state;
	AUTO(buf) struct buf plain = {0};
	assert_int_equal(take(recorded, 0, &plain), SESSION_OPENED_HEADER);
	struct buf *record = &recorded->records[1];
	for (size_t bit = RECORD_PREFIX * 8; bit < record->len * 8; bit++) {
		record->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(take(recorded, 1, &plain) < 0);
		record->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* The length prefix is authenticated too: the same body, cut or not, under another one. */
	struct err err = ERR_INIT;
	struct bytes cut = BYTES(record->data + RECORD_PREFIX, record->len - RECORD_PREFIX - 1);
	assert_true(session_open(&recorded->to, cut, &plain, &err) < 0);
	assert_int_equal(take(recorded, 1, &plain), SESSION_OPENED_FRAME);
}

static void each_direction_has_its_key(void **state)
{
	struct recorded *recorded = *state;
	AUTO(buf) struct buf plain = {0}, back = {0};
	struct err err = ERR_INIT;
	struct bytes body;
	session_seal(&recorded->to, BYTES_STR("back"), SESSION_TAG_MESSAGE, &back);
	for (size_t at = 0; at < back.len; at += RECORD_PREFIX + body.len) {
		assert_int_equal(record_next(BYTES(back.data + at, back.len - at), LINK_FRAME_MAX,
					 &body, &err),
			RECORD_WHOLE);
		/* Reflected to its sender. */
		int rc = session_open(&recorded->to, body, &plain, &err);
		assert_int_equal(rc, at == 0 ? SESSION_OPENED_HEADER : -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_recorded, close_recorded)
		CASE(frames_arrive_in_order_and_end),
		CASE(a_missing_or_repeated_frame_is_noticed),
		CASE(no_bit_can_be_changed),
		CASE(each_direction_has_its_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
