#include "common/base/mem.h"
#include "common/link/status.h"
#include "common/link/wire.h"

#include <setjmp.h>

#include <cmocka.h>

static void frames_come_back_as_they_went(void **state)
{
	(void)state;
	static uint8_t payload[FRAME_PAYLOAD_MAX];
	struct frame frames[] = {
		{.type = FRAME_ADMIT},
		{.type = FRAME_OPEN, .stream = 1, .payload = BYTES(payload, 20)},
		{.type = FRAME_DATA, .stream = 0xffffffff, .payload = BYTES(payload, 0)},
		{.type = FRAME_DATA,
			.flags = FRAME_MORE,
			.stream = 3,
			.payload = BYTES(payload, FRAME_PAYLOAD_MAX)},
		{.type = FRAME_CREDIT, .stream = 3, .payload = BYTES(payload, 4)},
		{.type = FRAME_END, .stream = 3, .payload = BYTES(payload, 0)},
		{.type = FRAME_CANCEL, .stream = 3},
		{.type = FRAME_PING, .payload = BYTES(payload, 8)},
		{.type = FRAME_PONG, .payload = BYTES(payload, 8)},
		{.type = FRAME_GOAWAY, .payload = BYTES(payload, 4)},
	};
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		struct err err = ERR_INIT;
		struct frame got;
		AUTO(buf) struct buf bytes = {0};
		frame_encode(&frames[i], &bytes);
		assert_int_equal(frame_decode(buf_bytes(&bytes), &got, &err), 0);
		assert_int_equal(got.type, frames[i].type);
		assert_int_equal(got.flags, frames[i].flags);
		assert_int_equal(got.stream, frames[i].stream);
		assert_int_equal(got.payload.len, frames[i].payload.len);
	}
}

static void frames_outside_of_the_table_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *why, *hex;
	} cases[] = {
		{"empty", ""},
		{"short header", "0700000000"},
		{"type 0", "000000000000"},
		{"type 10", "0a0000000000"},
		{"flag on ADMIT", "010100000000"},
		{"unknown flag on DATA", "030201000000"},
		{"DATA on the link", "030000000000"},
		{"PING on a stream", "0700010000000102030405060708"},
		{"PING of 7 bytes", "07000000000001020304050607"},
		{"PING of 9 bytes", "070000000000010203040506070809"},
		{"CREDIT of 3 bytes", "040001000000010203"},
		{"OPEN without a method", "0200010000000000000000000000"},
		{"CANCEL with a payload", "06000100000000"},
		{"GOAWAY without a status", "090000000000"},
		{"ADMIT with a payload", "01000000000000"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;
		struct frame frame;
		uint8_t bytes[64];
		size_t len = 0;
		sodium_hex2bin(
			bytes, sizeof(bytes), cases[i].hex, strlen(cases[i].hex), NULL, &len, NULL);
		if (frame_decode(BYTES(bytes, len), &frame, &err) == 0)
			fail_msg("accepted: %s", cases[i].why);
		assert_int_equal(err.code, ERR_INVALID);
	}
}

static void records_are_whole_partial_or_refused(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	struct bytes body;
	AUTO(buf) struct buf out = {0};
	record_append(&out, BYTES_STR("hello"));
	for (size_t len = 0; len < out.len; len++)
		assert_int_equal(record_next(BYTES(out.data, len), 5, &body, &err), RECORD_PARTIAL);
	assert_int_equal(record_next(buf_bytes(&out), 5, &body, &err), RECORD_WHOLE);
	assert_memory_equal(body.data, "hello", 5);
	/* The length alone is enough to refuse. */
	assert_true(record_next(BYTES(out.data, 4), 4, &body, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	static const uint8_t zero[4];
	assert_true(record_next(BYTES(zero, 4), 4, &body, &err) < 0);
}

/* At the cap, one above it, and where an addition would wrap around. */
static void record_lengths_end_at_the_cap(void **state)
{
	(void)state;
	static const struct {
		uint32_t length;
		int rc;
	} cases[] = {
		{1, RECORD_PARTIAL},
		{LINK_FRAME_MAX, RECORD_PARTIAL},
		{LINK_FRAME_MAX + 1, -1},
		{INT32_MAX, -1},
		{UINT32_MAX - 15, -1},
		{UINT32_MAX - 3, -1}, /* with its prefix: 0 */
		{UINT32_MAX, -1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t prefix[4];
		struct bytes body;
		struct err err = ERR_INIT;
		put_u32(prefix, cases[i].length);
		int rc = record_next(BYTES(prefix, 4), LINK_FRAME_MAX, &body, &err);
		assert_int_equal(rc, cases[i].rc);
	}
}

static void a_status_carries_the_whole_error(void **state)
{
	(void)state;
	for (int code = ERR_NONE; code < ERR_CODE_COUNT; code++) {
		struct err in = ERR_INIT, out = ERR_INIT, err = ERR_INIT;
		AUTO(buf) struct buf bytes = {0};
		err_set(&in, (enum err_code)code, "what");
		err_hint(&in, "Do this.");
		status_encode(&in, &bytes);
		assert_int_equal(status_decode(buf_bytes(&bytes), &out, &err), 0);
		assert_int_equal(out.code, code);
		assert_string_equal(out.message, code ? "what" : "");
		assert_string_equal(out.hint, code ? "Do this." : "");
	}
}

static void a_status_of_another_version_keeps_its_meaning(void **state)
{
	(void)state;
	static const struct {
		uint32_t status;
		const char *name;
		enum err_code code;
	} cases[] = {
		{5, "brand_new_code", ERR_NOT_FOUND},
		{7, "ok", ERR_DENIED},
		{8, "limit", ERR_LIMIT},
		{8, "no_space", ERR_NOSPACE},
		{77, "", ERR_FAILED},
		{11, "", ERR_INTERNAL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;
		Fairlead__V1__ErrorDetail detail = FAIRLEAD__V1__ERROR_DETAIL__INIT;
		AUTO_FREE char *name = xstrdup(cases[i].name);
		detail.code = name;
		status_from_detail(cases[i].status, &detail, &err);
		assert_int_equal(err.code, cases[i].code);
		assert_true(err.message[0]);
	}
	struct err err = ERR_INIT, ret = ERR_INIT;
	assert_true(status_decode(BYTES_STR("\5\0\0"), &ret, &err) < 0);
	assert_true(status_decode(BYTES("\5\0\0\0\xff", 5), &ret, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
}

static void a_method_is_printable(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	char method[METHOD_MAX + 1];
	uint64_t deadline = 0;
	AUTO(buf) struct buf bytes = {0};
	open_encode("/a.B/C", 1234, &bytes);
	assert_int_equal(open_decode(buf_bytes(&bytes), method, &deadline, &err), 0);
	assert_string_equal(method, "/a.B/C");
	assert_int_equal(deadline, 1234);
	static const uint8_t bad[] = {0, ' ', '\n', 0x7f, 0x80, 0xff};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		bytes.data[10] = bad[i];
		assert_true(open_decode(buf_bytes(&bytes), method, &deadline, &err) < 0);
		assert_int_equal(err.code, ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_back_as_they_went),
		cmocka_unit_test(frames_outside_of_the_table_are_refused),
		cmocka_unit_test(records_are_whole_partial_or_refused),
		cmocka_unit_test(record_lengths_end_at_the_cap),
		cmocka_unit_test(a_status_carries_the_whole_error),
		cmocka_unit_test(a_status_of_another_version_keeps_its_meaning),
		cmocka_unit_test(a_method_is_printable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
