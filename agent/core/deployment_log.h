/* The deployment log of an app+environment: one line for people, one JSON record for machines.
 *
 *     2025-01-08T14:30:15+00:00 [DEPLOY] APP_ONLY: abc1234 → def5678 (45s)
 *
 * in <store>/deployment.log, the record in <store>/deployment.log.json (one object a line).
 * Appended with one write each, so a reader never sees half a line. May block on disk. */
#pragma once

#include "common/base/err.h"
#include "fairlead/v1/agent.pb-c.h"

enum deployment_log_kind {
	DEPLOYMENT_LOG_DEPLOY,   /* [DEPLOY] committed */
	DEPLOYMENT_LOG_FAILED,   /* [DEPLOY-FAILED] did not commit, whatever the reason */
	DEPLOYMENT_LOG_ROLLBACK, /* [ROLLBACK] the old release is back: by command, or by itself */
};

struct deployment_log_entry {
	enum deployment_log_kind kind;
	const Fairlead__V1__DeploymentStatus *status;
	uint32_t files_changed;
};

/* dirfd: the store. */
int deployment_log_write(int dirfd, const struct deployment_log_entry *entry, struct err *err);
/* The line alone, without a newline (caller frees). */
char *deployment_log_line(const struct deployment_log_entry *entry);
