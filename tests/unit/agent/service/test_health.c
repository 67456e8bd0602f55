#include "agent/service/health.h"

#include "common/base/mem.h"

#include <setjmp.h>

#include <cmocka.h>

enum { NEVER = -1 };

/* A service whose answers are good from good_from to good_until (ms), asked by the engine's own
 * rules, each answer taking answer_ms; when and how it is judged. */
struct life {
	const char *what;
	struct health_rule rule;
	int64_t good_from, good_until;
	uint64_t answer_ms;
	enum health_action verdict;
	uint64_t at_least, at_most; /* of the verdict's time */
};

static const struct life lives[] = {
	{"up at once", {40000, 10000, 5000, 0, 3}, 0, INT64_MAX, 1, HEALTH_HEALTHY, 0, 5},
	{"up in 100 ms is seen soon after", {40000, 10000, 5000, 0, 3}, 100, INT64_MAX, 1,
		HEALTH_HEALTHY, 100, 140},
	{"up in 10 s is seen within a quarter", {40000, 10000, 5000, 0, 3}, 10000, INT64_MAX, 1,
		HEALTH_HEALTHY, 10000, 12600},
	{"up late in start_period", {40000, 10000, 5000, 0, 3}, 39000, INT64_MAX, 1, HEALTH_HEALTHY,
		39000, 49100},
	{"never up: start_period and two intervals", {40000, 10000, 5000, 0, 3}, NEVER, 0, 1,
		HEALTH_GAVE_UP, 60000, 60100},
	{"never up, without start_period", {0, 10000, 5000, 0, 3}, NEVER, 0, 1, HEALTH_GAVE_UP,
		20000, 20100},
	{"never up, one try", {0, 10000, 5000, 0, 1}, NEVER, 0, 1, HEALTH_GAVE_UP, 0, 5},
	{"no retries is one try", {300, 100, 50, 0, 0}, NEVER, 0, 1, HEALTH_GAVE_UP, 300, 310},
	{"stays healthy for min_healthy", {0, 10000, 5000, 15000, 3}, 0, INT64_MAX, 1,
		HEALTH_HEALTHY, 15000, 15010},
	{"min_healthy shorter than the interval", {0, 10000, 5000, 700, 3}, 0, INT64_MAX, 1,
		HEALTH_HEALTHY, 700, 710},
	{"falls over within min_healthy", {40000, 1000, 500, 15000, 3}, 0, 5000, 1, HEALTH_GAVE_UP,
		7000, 8100},
	{"start_period ends with the first good answer", {60000, 1000, 500, 15000, 2}, 0, 3000, 1,
		HEALTH_GAVE_UP, 4000, 5100},
	{"no interval does not spin", {0, 0, 100, 0, 3}, NEVER, 0, 1, HEALTH_GAVE_UP, 100, 200},
	{"slow answers", {0, 1000, 500, 0, 3}, NEVER, 0, 400, HEALTH_GAVE_UP, 2400, 4000},
	{"answers never come", {0, 1000, 500, 0, 2}, NEVER, 0, UINT64_MAX, HEALTH_GAVE_UP, 5000,
		6100},
};

static void live(const struct life *life)
{
	struct health health;
	uint64_t now = 1000000, began = now;
	health_init(&health, &life->rule, now);
	struct health_step step = health_tick(&health, now);
	unsigned asked = 0;
	while (step.action == HEALTH_ASK || step.action == HEALTH_WAIT) {
		if (step.action == HEALTH_ASK && life->answer_ms < UINT64_MAX) {
			int64_t t = (int64_t)(now - began);
			int good = life->good_from != NEVER && t >= life->good_from &&
				   t < life->good_until;
			now += life->answer_ms;
			step = health_answered(
				&health, good ? HEALTH_ANSWER_GOOD : HEALTH_ANSWER_BAD, now);
		} else if (step.action == HEALTH_ASK) {
			step = health_tick(&health, now);
		} else {
			assert_true(step.until_ms > now);
			assert_true(step.until_ms != UINT64_MAX);
			now = step.until_ms;
			step = health_tick(&health, now);
		}
		if (++asked > 1000)
			fail_msg("%s: asks without end", life->what);
	}
	uint64_t took = now - began;
	if (step.action != life->verdict || took < life->at_least || took > life->at_most)
		fail_msg("%s: action %d after %llu ms", life->what, step.action,
			(unsigned long long)took);
}

static void verdicts_come_when_they_must(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lives); i++)
		live(&lives[i]);
}

static void pauses_grow_with_the_time_up_to_the_interval(void **state)
{
	(void)state;
	const struct health_rule rule = {60000, 300, 100, 0, 3};
	struct health health;
	uint64_t began = 5, now = began;
	health_init(&health, &rule, now);
	assert_int_equal(health_tick(&health, now).action, HEALTH_ASK);
	unsigned asked = 0;
	for (; now - began < 5000; asked++) {
		struct health_step step = health_answered(&health, HEALTH_ANSWER_BAD, now);
		assert_int_equal(step.action, HEALTH_WAIT);
		uint64_t pause = (now - began) / 4;
		pause = pause < 10 ? 10 : pause > 300 ? 300 : pause;
		assert_int_equal(step.until_ms - now, pause);
		now = step.until_ms;
		assert_int_equal(health_tick(&health, now).action, HEALTH_ASK);
	}
	assert_in_range(asked, 25, 40);
}

static void answers_nobody_asked_for_change_nothing(void **state)
{
	(void)state;
	const struct health_rule rule = {0, 1000, 500, 0, 1};
	struct health health;
	health_init(&health, &rule, 0);
	struct health_step step = health_answered(&health, HEALTH_ANSWER_BAD, 0);
	assert_int_equal(step.action, HEALTH_ASK);
	assert_int_equal(health.bad, 0);
	step = health_answered(&health, HEALTH_ANSWER_GOOD, 1);
	assert_int_equal(step.action, HEALTH_HEALTHY);
	step = health_answered(&health, HEALTH_ANSWER_BAD, 2);
	assert_int_equal(step.action, HEALTH_HEALTHY);
}

static void hopeless_is_the_end_at_any_time(void **state)
{
	(void)state;
	const struct health_rule rule = {60000, 1000, 500, 5000, 10};
	struct health health;
	health_init(&health, &rule, 0);
	health_tick(&health, 0);
	health_answered(&health, HEALTH_ANSWER_GOOD, 0);
	struct health_step step = health_answered(&health, HEALTH_ANSWER_HOPELESS, 10);
	assert_int_equal(step.action, HEALTH_GAVE_UP);
}

static void a_restart_makes_it_prove_itself_again(void **state)
{
	(void)state;
	const struct health_rule rule = {0, 1000, 500, 3000, 3};
	struct health health;
	uint64_t now = 0;
	health_init(&health, &rule, now);
	assert_int_equal(health_tick(&health, now).action, HEALTH_ASK);
	health_answered(&health, HEALTH_ANSWER_GOOD, now);
	now = 2900;
	health_restarted(&health, now);
	struct health_step step = health_tick(&health, now);
	while (step.action == HEALTH_ASK || step.action == HEALTH_WAIT) {
		if (step.action == HEALTH_WAIT)
			now = step.until_ms;
		step = step.action == HEALTH_ASK ? health_answered(&health, HEALTH_ANSWER_GOOD, now)
						 : health_tick(&health, now);
	}
	assert_int_equal(step.action, HEALTH_HEALTHY);
	assert_int_equal(now, 5900);
}

static void unproven_answers_count_when_it_has_settled(void **state)
{
	(void)state;
	static const struct {
		uint64_t restarted, first_good, passed, min_healthy;
	} cases[] = {
		{0, UINT64_MAX, 1000, 0}, {300, UINT64_MAX, 1300, 0}, {0, UINT64_MAX, 1500, 500},
		{0, 100, 600, 500}, /* those after it are proven again */
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* A single bad answer would be the end. */
		const struct health_rule rule = {0, 10000, 500, cases[i].min_healthy, 1};
		struct health health;
		uint64_t now = 0, restart = cases[i].restarted;
		health_init(&health, &rule, now);
		struct health_step step = health_tick(&health, now);
		unsigned asked = 0;
		while (step.action == HEALTH_ASK || step.action == HEALTH_WAIT) {
			if (step.action == HEALTH_WAIT) {
				assert_true(step.until_ms > now);
				now = step.until_ms;
				step = health_tick(&health, now);
				continue;
			}
			if (restart && now >= restart) {
				health_restarted(&health, restart);
				restart = 0;
			}
			step = health_answered(&health,
				now >= cases[i].first_good ? HEALTH_ANSWER_GOOD
							   : HEALTH_ANSWER_UNPROVEN,
				now);
			asked++;
		}
		assert_int_equal(step.action, HEALTH_HEALTHY);
		/* Within a quarter of the time so far. */
		assert_in_range(now, cases[i].passed, cases[i].passed * 5 / 4);
		assert_in_range(asked, 3, 30);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_come_when_they_must),
		cmocka_unit_test(pauses_grow_with_the_time_up_to_the_interval),
		cmocka_unit_test(answers_nobody_asked_for_change_nothing),
		cmocka_unit_test(hopeless_is_the_end_at_any_time),
		cmocka_unit_test(a_restart_makes_it_prove_itself_again),
		cmocka_unit_test(unproven_answers_count_when_it_has_settled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
