#include "common/base/mem.h"
#include "common/config/units.h"

#include <setjmp.h>

#include <cmocka.h>

static void durations_have_a_unit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"500ms", 500}, {"0s", 0}, {"10s", 10000}, {"2m", 120000}, {"1h", 3600000},
		{"30d", 2592000000}};
	static const char *const bad[] = {"", "10", "10x", "s", "-1s", "1.5s", "1 s", "1s ", "1S",
		"18446744073709551616ms", "18446744073709551615d"};
	uint64_t ms = 7;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(units_parse_duration(bad[i], &ms));
	assert_int_equal(ms, 7);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(units_parse_duration(good[i].text, &ms));
		assert_int_equal(ms, good[i].ms);
		char out[UNITS_TEXT_SIZE];
		assert_string_equal(units_duration(ms, out), ms ? good[i].text : "0ms");
	}
}

static void sizes_are_powers_of_1024(void **state)
{
	(void)state;
	uint64_t bytes = 7;
	static const char *const bad[] = {"", "M", "10MB", "10m", "1.5G", "99999999999T"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(units_parse_size(bad[i], &bytes));
	assert_true(units_parse_size("1024", &bytes));
	assert_int_equal(bytes, 1024);
	assert_true(units_parse_size("64K", &bytes));
	assert_int_equal(bytes, 65536);
	assert_true(units_parse_size("10G", &bytes));
	assert_int_equal(bytes, UINT64_C(10737418240));
	assert_true(units_parse_size("2T", &bytes));
	assert_int_equal(bytes, UINT64_C(2199023255552));
	assert_true(units_parse_size("512M", &bytes));
	assert_int_equal(bytes, 512 << 20);
	char out[UNITS_TEXT_SIZE];
	assert_string_equal(units_size(bytes, out), "512M");
	assert_string_equal(units_size(1000, out), "1000");
}

static void times_are_rfc_3339_or_a_date(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {
		{"1970-01-01", 0},
		{"2027-01-31T00:00:00Z", 1801353600000},
		{"2027-01-31", 1801353600000},
		{"2027-01-31T01:30:00+01:30", 1801353600000},
		{"2027-01-30t23:00:00.25-01:00", 1801353600000},
		{"2028-02-29", 1835395200000},
	};
	static const char *const bad[] = {"", "2027", "2027-1-31", "2027-02-29", "2100-02-29",
		"2027-13-01", "2027-00-01", "2027-01-32", "2027-01-31T00:00:00",
		"2027-01-31T24:00:00Z", "2027-01-31T00:60:00Z", "2027-01-31T00:00:60Z",
		"2027-01-31T00:00:00.Z", "2027-01-31T00:00:00+1", "2027-01-31Z",
		"2027-01-31T00:00:00Z ", "1969-12-31", "1970-01-01T00:00:00+00:01", "tomorrow"};
	uint64_t ms = 7;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(units_parse_time(bad[i], &ms));
	assert_int_equal(ms, 7);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(units_parse_time(good[i].text, &ms));
		assert_int_equal(ms, good[i].ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_have_a_unit),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(times_are_rfc_3339_or_a_date),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
