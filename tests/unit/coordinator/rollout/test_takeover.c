#include "coordinator/rollout/takeover.h"

#include "common/base/mem.h"
#include "common/base/pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

static uint8_t own[DEPLOYMENT_ID_SIZE] = "own deployment!";
static uint8_t foreign[DEPLOYMENT_ID_SIZE] = "another one!!!!";

/* What a host says: a deployment of ours or of others, in a state, running or the last. */
struct word {
	enum { OURS, THEIRS, SECOND_ATTEMPT } whose;
	Fairlead__V1__State state;
	enum { RUNNING, LAST } place;
	const char *error; /* its code; NULL: none */
};

static void hear(const struct word *word, struct takeover_host *ret)
{
	uint8_t id[DEPLOYMENT_ID_SIZE];
	deployment_id_of_attempt(own, word->whose == SECOND_ATTEMPT ? 1 : 0, id);
	if (word->whose == THEIRS)
		memcpy(id, foreign, sizeof(id));
	Fairlead__V1__ErrorDetail error = FAIRLEAD__V1__ERROR_DETAIL__INIT;
	Fairlead__V1__DeploymentStatus status = FAIRLEAD__V1__DEPLOYMENT_STATUS__INIT;
	Fairlead__V1__AppStatus app = FAIRLEAD__V1__APP_STATUS__INIT;
	status.deployment_id = pb_borrow(id, sizeof(id));
	status.state = word->state;
	status.actor = pb_str("ada");
	error.code = pb_str(word->error ? word->error : "");
	error.message = pb_str("why");
	status.error = word->error ? &error : NULL;
	*(word->place == RUNNING ? &app.running : &app.last) = &status;
	*ret = (struct takeover_host){0};
	takeover_judge(own, "web1", &app, ret);
	ret->status = NULL; /* it does not outlive this */
}

static void every_state_has_its_place(void **state)
{
	(void)state;
	static const struct {
		struct word word;
		enum rollout_state expected;
		enum err_code cause;
		unsigned attempt;
	} cases[] = {
		{{OURS, S(ACCEPTED), RUNNING, NULL}, ROLLOUT_PREPARING, ERR_NONE, 0},
		{{OURS, S(STAGED), RUNNING, NULL}, ROLLOUT_PREPARING, ERR_NONE, 0},
		{{OURS, S(PREPARED), RUNNING, NULL}, ROLLOUT_PREPARED, ERR_NONE, 0},
		{{OURS, S(SWITCHED), RUNNING, NULL}, ROLLOUT_ACTIVATING, ERR_NONE, 0},
		{{OURS, S(RESTARTED), RUNNING, NULL}, ROLLOUT_ACTIVATING, ERR_NONE, 0},
		{{OURS, S(HEALTHY), RUNNING, NULL}, ROLLOUT_HEALTHY, ERR_NONE, 0},
		{{OURS, S(ROLLING_BACK), RUNNING, "deadline"}, ROLLOUT_ROLLING_BACK, ERR_DEADLINE,
			0},
		{{OURS, S(COMMITTED), LAST, NULL}, ROLLOUT_COMMITTED, ERR_NONE, 0},
		{{OURS, S(ROLLED_BACK), LAST, "failed"}, ROLLOUT_ROLLED_BACK, ERR_FAILED, 0},
		{{OURS, S(FAILED_SAFE), LAST, "failed"}, ROLLOUT_FAILED_SAFE, ERR_FAILED, 0},
		{{OURS, S(ABORTED), LAST, "deadline"}, ROLLOUT_ABORTED, ERR_DEADLINE, 0},
		{{OURS, S(ABORTED), LAST, "cancelled"}, ROLLOUT_ABORTED, ERR_CANCELLED, 0},
		/* The upload broke off with its coordinator: it can be sent again. */
		{{OURS, S(ABORTED), LAST, "unreachable"}, ROLLOUT_WAITING, ERR_NONE, 1},
		{{SECOND_ATTEMPT, S(ABORTED), LAST, "unreachable"}, ROLLOUT_WAITING, ERR_NONE, 2},
		{{SECOND_ATTEMPT, S(HEALTHY), RUNNING, NULL}, ROLLOUT_HEALTHY, ERR_NONE, 1},
		{{THEIRS, S(PREPARED), RUNNING, NULL}, ROLLOUT_ABORTED, ERR_LOCKED, 0},
		{{THEIRS, S(COMMITTED), LAST, NULL}, ROLLOUT_WAITING, ERR_NONE, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct takeover_host host;
		hear(&cases[i].word, &host);
		if (host.state != cases[i].expected)
			print_error("case %zu: %s\n", i, rollout_state_name(host.state));
		assert_int_equal(host.state, cases[i].expected);
		assert_int_equal(host.err.code, cases[i].cause);
		assert_int_equal(host.attempt, cases[i].attempt);
		assert_int_equal(host.part, TAKEOVER_PART);
	}
}

static void an_app_that_is_new_waits(void **state)
{
	(void)state;
	struct takeover_host host = {0};
	takeover_judge(own, "web1", NULL, &host);
	assert_int_equal(host.state, ROLLOUT_WAITING);
}

/* Hosts by the first letter of their states; '-' is not part of it. */
static void set(struct takeover *takeover, struct takeover_host *hosts, const char *states)
{
	static const enum rollout_state by_letter[] = {
		['w'] = ROLLOUT_WAITING,
		['q'] = ROLLOUT_PREPARING,
		['p'] = ROLLOUT_PREPARED,
		['v'] = ROLLOUT_ACTIVATING,
		['h'] = ROLLOUT_HEALTHY,
		['c'] = ROLLOUT_COMMITTED,
		['a'] = ROLLOUT_ABORTED,
		['r'] = ROLLOUT_ROLLED_BACK,
	};
	*takeover = (struct takeover){.hosts = hosts, .count = strlen(states)};
	for (size_t i = 0; i < takeover->count; i++)
		hosts[i] = (struct takeover_host){
			.part = states[i] == '-' ? TAKEOVER_APART : TAKEOVER_PART,
			.state = states[i] == '-' ? ROLLOUT_WAITING
						  : by_letter[(unsigned char)states[i]],
		};
}

static void what_the_fleet_needs(void **state)
{
	(void)state;
	static const struct {
		const char *states;
		bool live, running, needs_plan;
	} cases[] = {
		{"ppp", false, true, false},
		{"ppw", false, true, true},
		{"ppq", false, true, true},
		{"pp-", false, true, false},
		{"www", false, false, true},
		{"vpp", true, true, false},
		{"vpw", true, true, false},
		{"hhh", true, true, false},
		{"cch", true, true, false},
		{"ccc", true, false, false},
		{"aar", true, false, false},
		{"aaa", false, false, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct takeover takeover;
		struct takeover_host hosts[3];
		set(&takeover, hosts, cases[i].states);
		if (takeover_is_live(&takeover) != cases[i].live)
			print_error("%s\n", cases[i].states);
		assert_int_equal(takeover_is_live(&takeover), cases[i].live);
		assert_int_equal(takeover_is_running(&takeover), cases[i].running);
		assert_int_equal(takeover_needs_plan(&takeover), cases[i].needs_plan);
	}
}

static void who_cannot_prepare_has_aborted(void **state)
{
	(void)state;
	struct takeover takeover;
	struct takeover_host hosts[3];
	struct err why = ERR_INIT;
	err_set(&why, ERR_PREFLIGHT, "no tree");
	set(&takeover, hosts, "pw-");
	takeover_cannot_prepare(&takeover, &why);
	assert_int_equal(hosts[0].state, ROLLOUT_PREPARED);
	assert_int_equal(hosts[1].state, ROLLOUT_ABORTED);
	assert_int_equal(hosts[1].err.code, ERR_PREFLIGHT);
	assert_int_equal(hosts[2].state, ROLLOUT_WAITING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_has_its_place),
		cmocka_unit_test(an_app_that_is_new_waits),
		cmocka_unit_test(what_the_fleet_needs),
		cmocka_unit_test(who_cannot_prepare_has_aborted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
