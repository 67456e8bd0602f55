#include "coordinator/rollout/deployment_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t id[DEPLOYMENT_ID_SIZE] = "0123456789abcde";

static unsigned attempt_of(const uint8_t *base, const uint8_t *said, size_t len)
{
	uint8_t copy[DEPLOYMENT_ID_SIZE + 1] = {0};
	memcpy(copy, said, len);
	const ProtobufCBinaryData data = {.len = len, .data = copy};
	return deployment_id_attempt(base, &data);
}

static void every_attempt_is_recognised(void **state)
{
	(void)state;
	uint8_t seen[DEPLOYMENT_ATTEMPTS_MAX][DEPLOYMENT_ID_SIZE];
	for (unsigned i = 0; i < DEPLOYMENT_ATTEMPTS_MAX; i++) {
		deployment_id_of_attempt(id, i, seen[i]);
		assert_int_equal(attempt_of(id, seen[i], DEPLOYMENT_ID_SIZE), i);
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(seen[i], seen[j], DEPLOYMENT_ID_SIZE);
	}
	assert_memory_equal(seen[0], id, DEPLOYMENT_ID_SIZE);
	/* Not the other way round: the second attempt does not know the first. */
	assert_int_equal(attempt_of(seen[1], id, DEPLOYMENT_ID_SIZE), DEPLOYMENT_ATTEMPTS_MAX);
}

static void another_deployment_is_not(void **state)
{
	(void)state;
	uint8_t other[DEPLOYMENT_ID_SIZE];
	memcpy(other, id, sizeof(other));
	other[DEPLOYMENT_ID_SIZE - 1] ^= 1;
	assert_int_equal(attempt_of(id, other, sizeof(other)), DEPLOYMENT_ATTEMPTS_MAX);
	assert_int_equal(attempt_of(id, id, DEPLOYMENT_ID_SIZE - 1), DEPLOYMENT_ATTEMPTS_MAX);
	assert_int_equal(attempt_of(id, id, 0), DEPLOYMENT_ATTEMPTS_MAX);
}

static void it_is_written_in_hex(void **state)
{
	(void)state;
	char hex[DEPLOYMENT_ID_HEX_SIZE];
	assert_string_equal(deployment_id_hex(id, hex), "30313233343536373839616263646500");
}

static void what_is_written_must_be_able_to_be_one(void **state)
{
	(void)state;
	static const char *const good[] = {NULL, "0", "abcdef", "30313233343536373839616263646500"};
	static const char *const bad[] = {
		"", "zz", "ABCDEF", "0x12", "30313233343536373839616263646500a", "12 ", "-1"};
	struct err err = ERR_INIT;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(deployment_id_check(good[i], &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(deployment_id_check(bad[i], &err), -1);
		assert_int_equal(err.code, ERR_USAGE);
		assert_non_null(strstr(err.hint, "32 hex digits"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_attempt_is_recognised),
		cmocka_unit_test(another_deployment_is_not),
		cmocka_unit_test(it_is_written_in_hex),
		cmocka_unit_test(what_is_written_must_be_able_to_be_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
