/* The dead-man's switch: what becomes of a deployment that is found undecided, when its time is
 * over, when the host was rebooted, and when there is only `fairlead-agent recover`. */
#pragma once

#include "agent/core/core.h"
#include "agent/core/machine.h"

struct deployment;

enum deadman_verdict {
	DEADMAN_GO_ON, /* take it up as the machine says */
	DEADMAN_RAISE, /* raise *ret_event with *ret_cause at once */
	DEADMAN_LEAVE, /* its time is not over, and nobody is here to wait: touch nothing */
};
/* Of a deployment as `latest` of the journal says, its deadline read; on_new: `current` points to
 * what it deploys. */
enum deadman_verdict deadman_judge(const struct deployment *deployment,
	const Fairlead__V1__JournalRecord *latest, bool on_new, enum machine_event *ret_event,
	struct err *ret_cause);

/* Run the loop until nothing that was taken up is under way any more. */
int deadman_run(struct core *core, struct err *err);
