#include "agent/service/health.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void health_init(struct health *health, const struct health_rule *rule, uint64_t now_ms)
{
	*health = (struct health){
		.rule = *rule,
		.began_ms = now_ms,
		.ask_at_ms = now_ms,
		.count_from_ms = now_ms + rule->start_period_ms,
		.settled_ms = now_ms + HEALTH_SETTLE_MS,
		.phase = HEALTH_STARTING,
	};
	/* Without a pause a dead service would be asked without a pause. */
	if (health->rule.interval_ms < HEALTH_INTERVAL_MIN_MS)
		health->rule.interval_ms = HEALTH_INTERVAL_MIN_MS;
}

static void good(struct health *health, uint64_t now_ms)
{
	const struct health_rule *rule = &health->rule;
	if (health->phase != HEALTH_GOOD)
		health->good_since_ms = now_ms;
	health->phase = HEALTH_GOOD;
	health->bad = 0;
	health->count_from_ms = 0;
	uint64_t enough = health->good_since_ms + rule->min_healthy_ms;
	if (now_ms >= enough)
		health->phase = HEALTH_PASSED;
	health->ask_at_ms = min_u64(now_ms + rule->interval_ms, enough);
}

/* The pause after an answer that is not good yet. */
static uint64_t pause_ms(const struct health *health, uint64_t now_ms)
{
	uint64_t pause = (now_ms - health->began_ms) / 4;
	if (pause < HEALTH_QUICK_MS)
		pause = HEALTH_QUICK_MS;
	return min_u64(pause, health->rule.interval_ms);
}

static void unproven(struct health *health, uint64_t now_ms)
{
	if (now_ms >= health->settled_ms)
		good(health, now_ms);
	else
		health->ask_at_ms = min_u64(now_ms + pause_ms(health, now_ms), health->settled_ms);
}

static void bad(struct health *health, uint64_t now_ms)
{
	const struct health_rule *rule = &health->rule;
	int starting = health->phase == HEALTH_STARTING;
	if (now_ms >= health->count_from_ms) {
		health->bad++;
		health->count_from_ms = starting ? now_ms + rule->interval_ms : 0;
	}
	if (health->bad >= (rule->retries ? rule->retries : 1)) {
		health->phase = HEALTH_FAILED;
		return;
	}
	if (!starting) {
		health->phase = HEALTH_SHAKY;
		health->ask_at_ms = now_ms + rule->interval_ms;
		return;
	}
	health->ask_at_ms = now_ms + pause_ms(health, now_ms);
	/* The moment from which it counts is not slept through: that would be a retry more. */
	if (now_ms < health->count_from_ms)
		health->ask_at_ms = min_u64(health->ask_at_ms, health->count_from_ms);
}

static struct health_step next(struct health *health, uint64_t now_ms)
{
	if (health->phase == HEALTH_PASSED)
		return (struct health_step){.action = HEALTH_HEALTHY};
	if (health->phase == HEALTH_FAILED)
		return (struct health_step){.action = HEALTH_GAVE_UP};
	if (health->asking)
		return (struct health_step){HEALTH_WAIT,
			health->rule.timeout_ms
				? health->asked_ms + health->rule.timeout_ms + HEALTH_GRACE_MS
				: UINT64_MAX};
	if (now_ms < health->ask_at_ms)
		return (struct health_step){HEALTH_WAIT, health->ask_at_ms};
	health->asking = 1;
	health->asked_ms = now_ms;
	return (struct health_step){.action = HEALTH_ASK};
}

struct health_step health_tick(struct health *health, uint64_t now_ms)
{
	if (health->asking && health->rule.timeout_ms &&
		now_ms >= health->asked_ms + health->rule.timeout_ms + HEALTH_GRACE_MS)
		return health_answered(health, HEALTH_ANSWER_BAD, now_ms);
	return next(health, now_ms);
}

struct health_step health_answered(
	struct health *health, enum health_answer answer, uint64_t now_ms)
{
	if (health->phase == HEALTH_FAILED ||
		(answer != HEALTH_ANSWER_HOPELESS &&
			(!health->asking || health->phase == HEALTH_PASSED)))
		return next(health, now_ms);
	health->asking = 0;
	switch (answer) {
	case HEALTH_ANSWER_GOOD:
		good(health, now_ms);
		break;
	case HEALTH_ANSWER_UNPROVEN:
		unproven(health, now_ms);
		break;
	case HEALTH_ANSWER_BAD:
		bad(health, now_ms);
		break;
	case HEALTH_ANSWER_HOPELESS:
		health->phase = HEALTH_FAILED;
		break;
	}
	return next(health, now_ms);
}

void health_restarted(struct health *health, uint64_t now_ms)
{
	health->settled_ms = now_ms + HEALTH_SETTLE_MS;
	if (health->phase != HEALTH_GOOD && health->phase != HEALTH_PASSED)
		return;
	/* An answer under way may still be the old one's. */
	health->asking = 0;
	health->phase = HEALTH_SHAKY;
	health->ask_at_ms = now_ms;
}
