#include "agent/shim/policy.h"

#include "common/base/mem.h"

static const char *const kinds[] = {
	[POLICY_NO] = "no",
	[POLICY_ON_FAILURE] = "on-failure",
	[POLICY_ALWAYS] = "always",
};

int policy_init(struct policy *policy, const Fairlead__V1__RestartPolicy *spec, struct err *err)
{
	*policy = (struct policy){.kind = POLICY_NO};
	if (!spec)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(spec->policy, kinds[i]) != 0)
			continue;
		policy->kind = (enum policy_kind)i;
		policy->max_retries = spec->max_retries;
		policy->backoff_ms = spec->backoff_ms;
		if (policy->backoff_ms < POLICY_WAIT_MIN_MS)
			policy->backoff_ms = POLICY_WAIT_MIN_MS;
		if (policy->backoff_ms > POLICY_WAIT_MAX_MS)
			policy->backoff_ms = POLICY_WAIT_MAX_MS;
		return 0;
	}
	err_set(err, ERR_CONFIG, "unknown restart policy '%s'", spec->policy);
	return err_hint(err, "Use one of no, on-failure and always.");
}

enum policy_next policy_ended(struct policy *policy, const struct spawn_end *end, uint64_t ran_ms)
{
	int failed = end->status != 0 || end->signal != 0;
	if (ran_ms >= POLICY_GOOD_RUN_MS || (policy->wait_ms && ran_ms > 10 * policy->wait_ms)) {
		policy->failures = 0;
		policy->wait_ms = 0;
	}
	if (!failed && policy->kind != POLICY_ALWAYS)
		return POLICY_REST;
	if (failed && (policy->kind == POLICY_NO || policy->failures >= policy->max_retries))
		return POLICY_GIVE_UP;
	if (failed)
		policy->failures++;
	policy->wait_ms = policy->wait_ms ? 2 * policy->wait_ms : policy->backoff_ms;
	if (policy->wait_ms > POLICY_WAIT_MAX_MS)
		policy->wait_ms = POLICY_WAIT_MAX_MS;
	return POLICY_RESTART;
}
