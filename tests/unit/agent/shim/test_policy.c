#include "agent/shim/policy.h"

#include "common/base/mem.h"
#include "common/base/pb.h"

#include <setjmp.h>

#include <cmocka.h>

static void init(struct policy *policy, const char *name, unsigned retries, uint64_t backoff_ms)
{
	Fairlead__V1__RestartPolicy spec = FAIRLEAD__V1__RESTART_POLICY__INIT;
	spec.policy = pb_str(name);
	spec.max_retries = retries;
	spec.backoff_ms = backoff_ms;
	assert_int_equal(policy_init(policy, &spec, NULL), 0);
}

static void each_policy_restarts_what_it_says(void **state)
{
	(void)state;
	static const struct spawn_end good = {0, 0}, failed = {3, 0}, killed = {0, 9};
	static const struct {
		const char *policy;
		const struct spawn_end *end;
		enum policy_next next;
	} cases[] = {
		{"no", &good, POLICY_REST},
		{"no", &failed, POLICY_GIVE_UP},
		{"no", &killed, POLICY_GIVE_UP},
		{"on-failure", &good, POLICY_REST},
		{"on-failure", &failed, POLICY_RESTART},
		{"on-failure", &killed, POLICY_RESTART},
		{"always", &good, POLICY_RESTART},
		{"always", &failed, POLICY_RESTART},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct policy policy;
		init(&policy, cases[i].policy, 1, 100);
		assert_int_equal(policy_ended(&policy, cases[i].end, 5), cases[i].next);
	}
}

static void waits_double_and_end(void **state)
{
	(void)state;
	static const struct spawn_end failed = {1, 0};
	static const uint64_t waits[] = {20000, 40000, 60000, 60000};
	struct policy policy;
	init(&policy, "on-failure", ARRAY_LEN(waits), 20000);
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		assert_int_equal(policy_ended(&policy, &failed, 10), POLICY_RESTART);
		assert_int_equal(policy.wait_ms, waits[i]);
	}
	assert_int_equal(policy_ended(&policy, &failed, 10), POLICY_GIVE_UP);
}

static void a_good_run_ends_the_row(void **state)
{
	(void)state;
	static const struct spawn_end failed = {1, 0};
	static const struct {
		uint64_t ran_ms;
		enum policy_next next;
	} cases[] = {
		{2000, POLICY_GIVE_UP}, /* ten times the last wait, and not more */
		{2001, POLICY_RESTART},
		{60000, POLICY_RESTART},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct policy policy;
		init(&policy, "on-failure", 2, 100);
		policy_ended(&policy, &failed, 10);
		policy_ended(&policy, &failed, 10);
		assert_int_equal(policy.wait_ms, 200);
		assert_int_equal(policy_ended(&policy, &failed, cases[i].ran_ms), cases[i].next);
		if (cases[i].next == POLICY_RESTART)
			assert_int_equal(policy.wait_ms, 100);
	}
}

static void always_never_tires_of_good_ends(void **state)
{
	(void)state;
	static const struct spawn_end good = {0, 0};
	struct policy policy;
	init(&policy, "always", 1, 0);
	for (int i = 0; i < 30; i++) {
		assert_int_equal(policy_ended(&policy, &good, 0), POLICY_RESTART);
		assert_true(policy.wait_ms >= POLICY_WAIT_MIN_MS);
		assert_true(policy.wait_ms <= POLICY_WAIT_MAX_MS);
	}
}

static void other_names_are_refused(void **state)
{
	(void)state;
	Fairlead__V1__RestartPolicy spec = FAIRLEAD__V1__RESTART_POLICY__INIT;
	spec.policy = pb_str("unless-stopped");
	struct policy policy;
	struct err err = ERR_INIT;
	assert_int_equal(policy_init(&policy, &spec, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_int_equal(policy_init(&policy, NULL, NULL), 0);
	assert_int_equal(policy.kind, POLICY_NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_policy_restarts_what_it_says),
		cmocka_unit_test(waits_double_and_end),
		cmocka_unit_test(a_good_run_ends_the_row),
		cmocka_unit_test(always_never_tires_of_good_ends),
		cmocka_unit_test(other_names_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
