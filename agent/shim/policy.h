/* Whether, and when, a service that ended is started again. Pure: the times are arguments.
 *
 * `no` never; `on-failure` when it failed (status other than 0, or a signal); `always` after a
 * good end too. Each start waits twice as long as the one before, at most 60 s. After max_retries
 * failures in a row it gives up; a run longer than ten times the last wait, or of 60 s, ends the
 * row. */
#pragma once

#include "common/os/spawn.h"
#include "fairlead/v1/command.pb-c.h"

enum policy_kind { POLICY_NO, POLICY_ON_FAILURE, POLICY_ALWAYS };
enum { POLICY_WAIT_MIN_MS = 50, POLICY_WAIT_MAX_MS = 60000, POLICY_GOOD_RUN_MS = 60000 };

struct policy {
	enum policy_kind kind;
	unsigned max_retries;
	uint64_t backoff_ms; /* the first wait */
	uint64_t wait_ms;    /* the last wait; 0: none since the last good run */
	unsigned failures;   /* in a row */
};

/* ERR_CONFIG: a policy of another name. No spec at all is `no`. */
int policy_init(struct policy *policy, const Fairlead__V1__RestartPolicy *spec, struct err *err);

enum policy_next {
	POLICY_RESTART, /* after policy->wait_ms */
	POLICY_REST,    /* it ended well, and that is that */
	POLICY_GIVE_UP, /* it failed, and is not tried again */
};
enum policy_next policy_ended(struct policy *policy, const struct spawn_end *end, uint64_t ran_ms);
