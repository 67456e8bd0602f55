/* The deployment log of an app+environment: one line for people, one JSON record for machines.
 *
 *     2025-01-08T14:30:15+00:00 [DEPLOY] APP_ONLY: abc1234 → def5678 (45s)
 *
 * in <store>/deployment.log, the record in <store>/deployment.log.json (one object a line).
 * Appended with one write each, so a reader never sees half a line. A file that has grown to
 * DEPLOYMENT_LOG_MAX_BYTES is renamed to <file>.1, in the place of the one before it. May block on
 * disk. */
#pragma once

#include "common/base/err.h"
#include "fairlead/v1/agent.pb-c.h"

enum { DEPLOYMENT_LOG_MAX_BYTES = 256 * 1024 };

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

enum deployment_log_how {
	DEPLOYMENT_LOG_APPEND,
	DEPLOYMENT_LOG_COMPLETE, /* after a crash: only what the ends of the files do not have yet
				  */
};

/* dirfd: the store. */
int deployment_log_write(int dirfd, const struct deployment_log_entry *entry,
	enum deployment_log_how how, struct err *err);
/* What was written is durable when it returns 0. */
int deployment_log_sync(int dirfd, struct err *err);
/* Begin anew what is too large. Only when the deployment is concluded: what a crash left out is
 * looked for at the end of the current files. */
int deployment_log_rotate(int dirfd, struct err *err);
/* The line alone, without a newline (caller frees). */
char *deployment_log_line(const struct deployment_log_entry *entry);
