#include "coordinator/rollout/rollout.h"

#include "common/base/buf.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- the table ---- */

static const struct rollout_policy all_or_nothing = {.strategy = APP_STRATEGY_ALL};
static const struct rollout_policy each_alone = {
	.strategy = APP_STRATEGY_ALL,
	.on_failure = APP_ON_FAILURE_ROLLBACK_HOST,
};
static const struct rollout_policy one_may_fail = {
	.strategy = APP_STRATEGY_ALL,
	.max_failures = 1,
};
static const struct rollout_policy skip = {
	.strategy = APP_STRATEGY_ALL,
	.unreachable = APP_UNREACHABLE_SKIP,
};

/* Events as "<host><letter>", with 'i' for an interrupt and '>' for the start; what the engine
 * asks for in between is checked as "<letter><host>" words. */
static const struct {
	char letter;
	enum rollout_event event;
	enum err_code cause;
} letters[] = {
	{'p', ROLLOUT_ON_PREPARED, ERR_NONE},
	{'h', ROLLOUT_ON_HEALTHY, ERR_NONE},
	{'c', ROLLOUT_ON_COMMITTED, ERR_NONE},
	{'a', ROLLOUT_ON_ABORTED, ERR_PREFLIGHT},
	{'r', ROLLOUT_ON_ROLLED_BACK, ERR_FAILED},
	{'f', ROLLOUT_ON_FAILED_SAFE, ERR_FAILED},
	{'x', ROLLOUT_ON_REFUSED, ERR_PREFLIGHT},
	{'l', ROLLOUT_ON_REFUSED, ERR_LOCKED},
	{'d', ROLLOUT_ON_REFUSED, ERR_DENIED},
	{'u', ROLLOUT_ON_UNREACHABLE, ERR_UNREACHABLE},
	{'k', ROLLOUT_ON_ABORTED, ERR_CANCELLED},
};

/* "<host>=<letter>": adopted; "<host>!<letter>": corrected. */
static const struct {
	char letter;
	enum rollout_state state;
	enum err_code cause;
} adopted[] = {
	{'q', ROLLOUT_PREPARING, ERR_NONE},
	{'p', ROLLOUT_PREPARED, ERR_NONE},
	{'v', ROLLOUT_ACTIVATING, ERR_NONE},
	{'h', ROLLOUT_HEALTHY, ERR_NONE},
	{'c', ROLLOUT_COMMITTED, ERR_NONE},
	{'b', ROLLOUT_ROLLING_BACK, ERR_FAILED},
	{'a', ROLLOUT_ABORTED, ERR_DEADLINE},
	{'k', ROLLOUT_ABORTED, ERR_CANCELLED},
	{'r', ROLLOUT_ROLLED_BACK, ERR_FAILED},
	{'R', ROLLOUT_ROLLED_BACK, ERR_CANCELLED},
	{'f', ROLLOUT_FAILED_SAFE, ERR_FAILED},
	{'u', ROLLOUT_UNREACHED, ERR_UNREACHABLE},
	{'l', ROLLOUT_LOST, ERR_UNREACHABLE},
};

static void set(struct rollout *r, size_t host, char how, char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(adopted); i++) {
		if (adopted[i].letter != letter)
			continue;
		if (how == '=')
			rollout_adopt(r, host, adopted[i].state, adopted[i].cause);
		else
			rollout_correct(r, host, adopted[i].state);
	}
}

static void play(struct rollout *r, const char *script, struct buf *said)
{
	static const char verbs[] = {'P', 'A', 'C', 'B', 'F'};
	for (const char *s = script; *s; s++) {
		if (*s == ' ')
			continue;
		if (*s == '>') {
			rollout_start(r);
		} else if (*s == 'i') {
			rollout_interrupt(r);
		} else {
			size_t host = (size_t)(*s++ - '0');
			if (*s == '=' || *s == '!') {
				set(r, host, s[0], s[1]);
				s++;
				continue;
			}
			for (size_t i = 0; i < ARRAY_LEN(letters); i++)
				if (letters[i].letter == *s)
					rollout_event(r, host, letters[i].event, letters[i].cause);
		}
		struct rollout_action action;
		while (rollout_next(r, &action))
			buf_printf(said, "%c%zu ", verbs[action.verb], action.host);
	}
}

static void runs_go_as_the_design_says(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const struct rollout_policy *policy;
		size_t hosts;
		const char *script, *said;
		enum rollout_outcome outcome;
	} cases[] = {
		{"all well", &all_or_nothing, 2, "> 0p 1p 1h 0h 0c 1c", "P0 P1 A0 A1 C0 C1 F0 ",
			ROLLOUT_DONE},
		{"one is not prepared: nobody activates", &all_or_nothing, 2, "> 0p 1x 0a",
			"P0 P1 B0 F0 ", ROLLOUT_UNCHANGED},
		{"locked", &all_or_nothing, 2, "> 1l 0a", "P0 P1 B0 F0 ", ROLLOUT_LOCKED},
		{"denied", &all_or_nothing, 1, "> 0d", "P0 F0 ", ROLLOUT_DENIED},
		{"unhealthy: all go back", &all_or_nothing, 2, "> 0p 1p 0h 1r 0r",
			"P0 P1 A0 A1 B0 F0 ", ROLLOUT_REVERTED},
		{"unhealthy: it goes back alone", &each_alone, 2, "> 0p 1p 0h 1r 0c",
			"P0 P1 A0 A1 C0 F0 ", ROLLOUT_MIXED},
		{"all unhealthy alone", &each_alone, 2, "> 0p 1p 0r 1r", "P0 P1 A0 A1 F0 ",
			ROLLOUT_REVERTED},
		{"one may fail", &one_may_fail, 2, "> 0p 1x 0h 0c", "P0 P1 A0 C0 F0 ",
			ROLLOUT_MIXED},
		{"two fail where one may", &one_may_fail, 3, "> 0p 1p 2p 0r 1r 2r",
			"P0 P1 P2 A0 A1 A2 B2 F0 ", ROLLOUT_REVERTED},
		{"the way back fails", &all_or_nothing, 2, "> 0p 1p 0h 1f 0r", "P0 P1 A0 A1 B0 F0 ",
			ROLLOUT_REVERT_FAILED},
		{"unreachable fails", &all_or_nothing, 2, "0u >", "F0 ", ROLLOUT_UNCHANGED},
		{"unreachable is skipped", &skip, 2, "0u > 1p 1h 1c", "P1 A1 C1 F0 ",
			ROLLOUT_DONE_SKIPPED},
		{"all unreachable", &skip, 2, "0u 1u >", "F0 ", ROLLOUT_UNCHANGED},
		{"skipped, and another is locked", &skip, 2, "0u > 1l", "P1 F0 ", ROLLOUT_LOCKED},
		{"lost while preparing", &all_or_nothing, 2, "> 0p 1u 0a", "P0 P1 B0 F0 ",
			ROLLOUT_UNCHANGED},
		{"lost while activating", &all_or_nothing, 2, "> 0p 1p 0h 1u 0r",
			"P0 P1 A0 A1 B0 F0 ", ROLLOUT_MIXED},
		{"lost while confirming", &all_or_nothing, 2, "> 0p 1p 0h 1h 0c 1u",
			"P0 P1 A0 A1 C0 C1 F0 ", ROLLOUT_MIXED},
		{"interrupt while preparing", &all_or_nothing, 2, "> 0p i 0a 1a", "P0 P1 B1 B0 F0 ",
			ROLLOUT_INTERRUPTED},
		{"interrupt while activating", &all_or_nothing, 2, "> 0p 1p 0h i 0r 1r",
			"P0 P1 A0 A1 B1 B0 F0 ", ROLLOUT_INTERRUPTED},
		{"interrupt too late", &all_or_nothing, 1, "> 0p 0h i 0c", "P0 A0 C0 F0 ",
			ROLLOUT_DONE},
		{"activation refused: abort it", &all_or_nothing, 1, "> 0p 0x 0a", "P0 A0 B0 F0 ",
			ROLLOUT_UNCHANGED},
		{"confirm comes too late", &all_or_nothing, 2, "> 0p 1p 0h 1h 0c 1x 1r",
			"P0 P1 A0 A1 C0 C1 B1 F0 ", ROLLOUT_MIXED},
		{"no confirm in time", &all_or_nothing, 2, "> 0p 1p 0h 0r 1r", "P0 P1 A0 A1 B1 F0 ",
			ROLLOUT_REVERTED},
		{"another terminal aborts it", &all_or_nothing, 2, "> 0p 1k 0k", "P0 P1 B0 F0 ",
			ROLLOUT_INTERRUPTED},
		{"adopted: some prepared, one never heard of it", &all_or_nothing, 3,
			"0=p 1=q > 2p 1p 0h 1h 2h 0c 1c 2c", "P2 A0 A1 A2 C0 C1 C2 F0 ",
			ROLLOUT_DONE},
		{"adopted: one was aborted meanwhile", &all_or_nothing, 2, "0=p 1=a > 0a", "B0 F0 ",
			ROLLOUT_UNCHANGED},
		{"adopted: all prepared", &all_or_nothing, 2, "0=p 1=p > 0h 1h 0c 1c",
			"A0 A1 C0 C1 F0 ", ROLLOUT_DONE},
		{"adopted: one activated, one not yet", &all_or_nothing, 2, "0=v 1=p > 0h 1h 0c 1c",
			"A0 A1 C0 C1 F0 ", ROLLOUT_DONE},
		{"adopted: all healthy", &all_or_nothing, 2, "0=h 1=h > 0c 1c", "C0 C1 F0 ",
			ROLLOUT_DONE},
		{"adopted: one committed", &all_or_nothing, 2, "0=c 1=h > 1c", "C1 F0 ",
			ROLLOUT_DONE},
		{"adopted: one committed, one still prepared", &all_or_nothing, 2,
			"0=c 1=p > 1h 1c", "A1 C1 F0 ", ROLLOUT_DONE},
		{"adopted: one committed, one too late", &all_or_nothing, 3, "0=c 1=r 2=h > 2c",
			"C2 F0 ", ROLLOUT_MIXED},
		{"adopted: one going back", &all_or_nothing, 2, "0=b 1=h > 0r 1r", "B0 B1 F0 ",
			ROLLOUT_REVERTED},
		{"adopted: one going back, one at work", &all_or_nothing, 2, "0=b 1=v > 0r 1r",
			"B0 B1 F0 ", ROLLOUT_REVERTED},
		{"adopted: all over, committed", &all_or_nothing, 2, "0=c 1=c >", "F0 ",
			ROLLOUT_DONE},
		{"adopted: all over, gone back", &all_or_nothing, 2, "0=r 1=r >", "F0 ",
			ROLLOUT_REVERTED},
		{"adopted: all over, the leases ended", &all_or_nothing, 2, "0=a 1=a >", "F0 ",
			ROLLOUT_UNCHANGED},
		{"adopted: one was told to go back", &one_may_fail, 2, "0=k 1=p > 1a", "B1 F0 ",
			ROLLOUT_INTERRUPTED},
		{"another coordinator has confirmed", &all_or_nothing, 2, "> 0p 1p 0c 1c",
			"P0 P1 A0 A1 F0 ", ROLLOUT_DONE},
		{"another coordinator has taken it back", &all_or_nothing, 2, "> 0p 1r 0a",
			"P0 P1 B0 F0 ", ROLLOUT_REVERTED},
		{"aborted, and another coordinator had confirmed", &all_or_nothing, 2,
			"> 0p i 0c 1a", "P0 P1 B1 B0 F0 ", ROLLOUT_MIXED},
		{"adopted: all over, aborted", &all_or_nothing, 2, "0=k 1=R >", "F0 ",
			ROLLOUT_INTERRUPTED},
		{"adopted: gone back because another failed", &all_or_nothing, 2, "0=R 1=r >",
			"F0 ", ROLLOUT_REVERTED},
		{"adopted: the way back failed", &all_or_nothing, 2, "0=f 1=h > 1r", "B1 F0 ",
			ROLLOUT_REVERT_FAILED},
		{"adopted: one not reached, and it may be live", &all_or_nothing, 2, "0=l 1=h > 1r",
			"B1 F0 ", ROLLOUT_MIXED},
		{"adopted: one not reached before any was live", &all_or_nothing, 2, "0=u 1=p > 1a",
			"B1 F0 ", ROLLOUT_UNCHANGED},
		{"adopted: one not reached is skipped", &skip, 2, "0=u 1=h > 1c", "C1 F0 ",
			ROLLOUT_DONE_SKIPPED},
		{"adopted: left out when the others went on", &one_may_fail, 2, "1=h > 1c",
			"C1 F0 ", ROLLOUT_MIXED},
		{"adopted, then aborted", &all_or_nothing, 2, "0=v 1=h > i 0r 1r", "A0 B0 B1 F0 ",
			ROLLOUT_INTERRUPTED},
		{"adopted to be aborted", &all_or_nothing, 3, "0=v 1=p 2=b i > 0r 1a 2r",
			"B2 B1 B0 F0 ", ROLLOUT_INTERRUPTED},
		{"read back: it committed after all", &all_or_nothing, 1, "> 0p 0h 0u 0!c",
			"P0 A0 C0 F0 ", ROLLOUT_DONE},
		{"read back: it went back after all", &all_or_nothing, 2, "> 0p 1p 0h 1h 0c 1c 1!r",
			"P0 P1 A0 A1 C0 C1 F0 ", ROLLOUT_MIXED},
		{"late news is ignored", &all_or_nothing, 1, "> 0p 0p 0h 0h 0c 0c 0r 0u",
			"P0 A0 C0 F0 ", ROLLOUT_DONE},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rollout *r = rollout_new(cases[i].policy, cases[i].hosts);
		AUTO(buf) struct buf said = {0};
		play(r, cases[i].script, &said);
		if (rollout_outcome(r) != cases[i].outcome)
			print_error("%s: %s\n", cases[i].name,
				rollout_outcome_name(rollout_outcome(r)));
		assert_string_equal(buf_str(&said), cases[i].said);
		assert_int_equal(rollout_outcome(r), cases[i].outcome);
		rollout_free(r);
	}
}

static void exit_statuses_are_those_of_the_design(void **state)
{
	(void)state;
	static const int expected[] = {
		[ROLLOUT_RUNNING] = 1,
		[ROLLOUT_DONE] = 0,
		[ROLLOUT_DONE_SKIPPED] = 11,
		[ROLLOUT_LOCKED] = 3,
		[ROLLOUT_DENIED] = 8,
		[ROLLOUT_UNCHANGED] = 4,
		[ROLLOUT_REVERTED] = 5,
		[ROLLOUT_MIXED] = 6,
		[ROLLOUT_REVERT_FAILED] = 7,
		[ROLLOUT_INTERRUPTED] = 10,
	};
	assert_int_equal(ARRAY_LEN(expected), ROLLOUT_OUTCOME_COUNT);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_int_equal(rollout_outcome_exit_status((enum rollout_outcome)i), expected[i]);
}

/* ---- simulated fleets ---- */

enum truth { TRUTH_OLD, TRUTH_PREPARED, TRUTH_NEW, TRUTH_COMMITTED, TRUTH_BACK, TRUTH_BROKEN };

struct sim_host {
	enum truth truth;
	int pending; /* an enum rollout_verb, -1 for none */
	bool down;   /* the link is gone for good, and the engine knows */
};

enum { SIM_HOSTS_MAX = 9 };

struct sim {
	uint64_t seed;
	unsigned trouble; /* percent of steps that go wrong */
	struct rollout *engine;
	struct sim_host hosts[SIM_HOSTS_MAX];
	size_t count;
	bool ever_activated;
	unsigned finishes;
};

/* splitmix64 (Steele, Lea, Flood 2014): any seed can be replayed. */
static uint64_t sim_random(struct sim *sim)
{
	uint64_t z = sim->seed += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static bool sim_chance(struct sim *sim, unsigned percent)
{
	return sim_random(sim) % 100 < percent;
}

static void sim_act(struct sim *sim, const struct rollout_action *action)
{
	if (action->verb == ROLLOUT_FINISH) {
		sim->finishes++;
		return;
	}
	struct sim_host *host = &sim->hosts[action->host];
	assert_false(host->down);
	if (action->verb != ROLLOUT_ABORT)
		assert_int_equal(host->pending, -1);
	for (size_t i = 0; i < sim->count; i++) {
		enum truth truth = sim->hosts[i].truth;
		if (action->verb == ROLLOUT_ACTIVATE && !sim->hosts[i].down)
			assert_int_not_equal(sim->hosts[i].pending, ROLLOUT_PREPARE);
		if (action->verb == ROLLOUT_CONFIRM)
			assert_false(truth == TRUTH_PREPARED && !sim->hosts[i].down);
	}
	sim->ever_activated |= action->verb == ROLLOUT_ACTIVATE;
	host->pending = (int)action->verb;
}

static void sim_drain(struct sim *sim)
{
	struct rollout_action action;
	while (rollout_next(sim->engine, &action))
		sim_act(sim, &action);
}

static void sim_tell(struct sim *sim, size_t host, enum rollout_event event, enum err_code cause)
{
	rollout_event(sim->engine, host, event, cause);
	sim_drain(sim);
}

static enum rollout_event sim_go_back(struct sim *sim, struct sim_host *host)
{
	if (host->truth <= TRUTH_PREPARED) {
		host->truth = TRUTH_OLD;
		return ROLLOUT_ON_ABORTED;
	}
	if (host->truth == TRUTH_COMMITTED)
		return ROLLOUT_ON_COMMITTED;
	if (host->truth == TRUTH_NEW)
		host->truth = sim_chance(sim, 10) ? TRUTH_BROKEN : TRUTH_BACK;
	return host->truth == TRUTH_BROKEN ? ROLLOUT_ON_FAILED_SAFE : ROLLOUT_ON_ROLLED_BACK;
}

/* The host does what it was asked, or fails to. */
static enum rollout_event sim_answer(struct sim *sim, struct sim_host *host, enum rollout_verb verb)
{
	bool fails = sim_chance(sim, sim->trouble);
	switch (verb) {
	case ROLLOUT_PREPARE:
		if (fails)
			return ROLLOUT_ON_REFUSED;
		host->truth = TRUTH_PREPARED;
		return ROLLOUT_ON_PREPARED;
	case ROLLOUT_ACTIVATE:
		if (fails && sim_chance(sim, 30))
			return ROLLOUT_ON_REFUSED;
		host->truth = TRUTH_NEW;
		return fails ? sim_go_back(sim, host) : ROLLOUT_ON_HEALTHY;
	case ROLLOUT_CONFIRM:
		if (fails)
			return sim_chance(sim, 50) ? ROLLOUT_ON_REFUSED : sim_go_back(sim, host);
		host->truth = TRUTH_COMMITTED;
		return ROLLOUT_ON_COMMITTED;
	case ROLLOUT_ABORT:
		return sim_go_back(sim, host);
	case ROLLOUT_FINISH:
		break;
	}
	fail();
	return ROLLOUT_ON_REFUSED;
}

static void sim_step(struct sim *sim)
{
	size_t i = sim_random(sim) % sim->count;
	struct sim_host *host = &sim->hosts[i];
	if (host->down)
		return;
	if (sim_chance(sim, sim->trouble / 4)) {
		host->down = true;
		host->pending = -1;
		sim_tell(sim, i, ROLLOUT_ON_UNREACHABLE, ERR_UNREACHABLE);
	} else if (host->pending >= 0) {
		enum rollout_verb verb = (enum rollout_verb)host->pending;
		host->pending = -1;
		sim_tell(sim, i, sim_answer(sim, host, verb), ERR_FAILED);
	} else if (host->truth == TRUTH_NEW && sim_chance(sim, sim->trouble / 4)) {
		sim_tell(sim, i, sim_go_back(sim, host), ERR_FAILED); /* no confirm in time */
	}
}

static size_t sim_count(const struct sim *sim, enum truth truth, bool reachable)
{
	size_t n = 0;
	for (size_t i = 0; i < sim->count; i++)
		n += sim->hosts[i].truth == truth && sim->hosts[i].down == !reachable;
	return n;
}

static size_t sim_state_count(const struct sim *sim, enum rollout_state state)
{
	size_t n = 0;
	for (size_t i = 0; i < sim->count; i++)
		n += rollout_host_state(sim->engine, i) == state;
	return n;
}

static void sim_check(const struct sim *sim)
{
	size_t committed = sim_state_count(sim, ROLLOUT_COMMITTED);
	size_t back =
		sim_state_count(sim, ROLLOUT_ROLLED_BACK) + sim_state_count(sim, ROLLOUT_ABORTED);
	size_t unreached = sim_state_count(sim, ROLLOUT_UNREACHED);
	size_t lost = sim_state_count(sim, ROLLOUT_LOST);
	size_t broken = sim_state_count(sim, ROLLOUT_FAILED_SAFE);
	assert_int_equal(sim->finishes, 1);
	assert_int_equal(committed + back + unreached + lost + broken, sim->count);
	/* What the engine believes of a host it can reach is true. */
	assert_int_equal(sim_count(sim, TRUTH_NEW, true), 0);
	assert_int_equal(sim_count(sim, TRUTH_PREPARED, true), 0);
	assert_true(committed >= sim_count(sim, TRUTH_COMMITTED, true));
	assert_true(broken >= sim_count(sim, TRUTH_BROKEN, true));
	switch (rollout_outcome(sim->engine)) {
	case ROLLOUT_DONE:
		assert_int_equal(committed, sim->count);
		break;
	case ROLLOUT_DONE_SKIPPED:
		assert_true(committed > 0 && unreached > 0);
		assert_int_equal(committed + unreached, sim->count);
		break;
	case ROLLOUT_LOCKED:
	case ROLLOUT_DENIED:
	case ROLLOUT_UNCHANGED:
		assert_int_equal(sim_state_count(sim, ROLLOUT_ROLLED_BACK), 0);
		assert_int_equal(committed + lost + broken, 0);
		break;
	case ROLLOUT_REVERTED:
		assert_true(sim->ever_activated);
		assert_int_equal(committed + lost + broken, 0);
		break;
	case ROLLOUT_INTERRUPTED:
		assert_int_equal(committed + lost + broken, 0);
		break;
	case ROLLOUT_MIXED:
		assert_true(lost > 0 || (committed > 0 && back > 0));
		assert_int_equal(broken, 0);
		break;
	case ROLLOUT_REVERT_FAILED:
		assert_true(broken > 0);
		break;
	case ROLLOUT_RUNNING:
	case ROLLOUT_OUTCOME_COUNT:
		fail();
	}
}

static enum rollout_outcome sim_run(uint64_t seed)
{
	struct sim sim = {.seed = seed};
	struct rollout_policy policy = {
		.strategy = APP_STRATEGY_ALL,
		.max_failures = (unsigned)(sim_random(&sim) % 3),
		.unreachable = sim_chance(&sim, 50) ? APP_UNREACHABLE_SKIP : APP_UNREACHABLE_FAIL,
		.on_failure = sim_chance(&sim, 50) ? APP_ON_FAILURE_ROLLBACK_HOST
						   : APP_ON_FAILURE_ROLLBACK_ALL,
	};
	sim.count = 1 + sim_random(&sim) % SIM_HOSTS_MAX;
	sim.trouble = (unsigned)(sim_random(&sim) % 3) * 15;
	sim.engine = rollout_new(&policy, sim.count);
	for (size_t i = 0; i < sim.count; i++)
		sim.hosts[i].pending = -1;
	for (size_t i = 0; i < sim.count; i++) {
		sim.hosts[i].down = sim_chance(&sim, sim.trouble / 4);
		if (sim.hosts[i].down)
			sim_tell(&sim, i, ROLLOUT_ON_UNREACHABLE, ERR_UNREACHABLE);
	}
	rollout_start(sim.engine);
	sim_drain(&sim);
	uint64_t interrupt_at = sim_random(&sim) % 200;
	for (uint64_t step = 0; sim.finishes == 0; step++) {
		assert_true(step < 100000);
		if (step == interrupt_at)
			rollout_interrupt(sim.engine);
		sim_drain(&sim);
		if (sim.finishes == 0)
			sim_step(&sim);
	}
	sim_check(&sim);
	enum rollout_outcome outcome = rollout_outcome(sim.engine);
	rollout_free(sim.engine);
	return outcome;
}

static void every_run_ends_in_an_outcome_that_is_true(void **state)
{
	(void)state;
	enum { SEEDS = 10000 };
	unsigned seen[ROLLOUT_OUTCOME_COUNT] = {0};
	for (uint64_t seed = 0; seed < SEEDS; seed++)
		seen[sim_run(seed)]++;
	/* The simulation is worth nothing if it does not reach the corners. */
	static const enum rollout_outcome reached[] = {ROLLOUT_DONE, ROLLOUT_DONE_SKIPPED,
		ROLLOUT_UNCHANGED, ROLLOUT_REVERTED, ROLLOUT_MIXED, ROLLOUT_REVERT_FAILED,
		ROLLOUT_INTERRUPTED};
	for (size_t i = 0; i < ARRAY_LEN(reached); i++)
		assert_true(seen[reached[i]] > SEEDS / 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_go_as_the_design_says),
		cmocka_unit_test(exit_statuses_are_those_of_the_design),
		cmocka_unit_test(every_run_ends_in_an_outcome_that_is_true),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
