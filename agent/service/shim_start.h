/* Starting a fairlead-shim, and hearing its first word.
 *
 *     <store>/state/services/   control sockets, pid files, locks of services
 *             state/logs/       <name>.log, .1 …: what services and scripts write
 *
 * The shim is detached: it is nobody's child here, and outlives the agent. */
#pragma once

#include "agent/service/operation.h"

extern const char shim_service_dir[]; /* relative to the store */
extern const char shim_log_dir[];

/* Fill in what every spec has: the service, the release's directory, the log and its rotation. The
 * strings live in `text`, until shim_spec_text_release. */
struct shim_spec_text {
	char *release_dir, *log_path, *socket_path;
};
void shim_spec_init(Fairlead__V1__ShimSpec *spec, const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, const struct digest *release,
	const char *socket_suffix, struct shim_spec_text *text);
void shim_spec_text_release(struct shim_spec_text *text);

/* Start one and call op->complete when it has said all and closed the pipe: op->received then holds
 * a packed ShimReply, or nothing. Makes the directories above. `op` stays the caller's on -1. */
int shim_start(struct operation *op, const Fairlead__V1__ShimSpec *spec,
	void (*complete)(struct operation *op), struct err *err);

/* The log of that service, as a driver's open_log: `age` 0 is the newest, 1 the one before … */
int shim_open_log(const struct service_context *context, const char *service, unsigned age,
	int *ret_fd, struct err *err);
