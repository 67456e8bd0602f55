/* The hooks of a deployment: programs of the release that are run around its activation. Private to
 * the deployment.
 *
 * One at a time, in order. The begin of each is journalled with the trace by which what it started
 * can be found, before it may begin; its end after it has ended well. A hook that failed, was
 * stopped or ran out of time ends with the state record that follows. */
#pragma once

#include "agent/core/deployment_impl.h"
#include "agent/hook/hook.h"

#define DEPLOYMENT_STEP_BEGIN "STEP_BEGIN"
#define DEPLOYMENT_STEP_END "STEP_END"
#define DEPLOYMENT_STEP_STOPPED                                                                    \
	"STEP_STOPPED" /* nothing of it is left, though it did not end well */

struct hook_strings {
	char **items; /* ends with NULL */
	size_t count;
};

/* One, made ready for this host. */
struct deployment_hook {
	struct hook_strings argv, env;
	struct spawn_user user;
	int changes_user;
	char *program, *cwd;
};

/* ERR_FAILED: its program is not there; ERR_CONFIG: no such user, no such variable. */
int deployment_hook_prepare(const struct deployment *d, const Fairlead__V1__Hook *hook,
	struct deployment_hook *ret, struct err *err);
void deployment_hook_release(struct deployment_hook *hook);
const char *deployment_phase_name(Fairlead__V1__HookPhase phase); /* "before" */

/* Of the plan; a rollback by command leaves those of class `once` out. */
unsigned deployment_hook_count(const struct deployment *d, Fairlead__V1__HookPhase phase);
/* Can this host run them all? */
int deployment_check_hooks(const struct deployment *d, struct err *err);
/* Run the steps of the state, from machine.step on. */
void deployment_run_steps(struct deployment *d);
/* The hook under way is being stopped; `act` is done when nothing of it is left. */
void deployment_stop_hook_then(struct deployment *d, enum machine_act act);
/* The step that was begun and not ended: its class, and its command in words. */
const Fairlead__V1__Hook *deployment_step_hook(const struct deployment *d);
/* The agent died in the middle of a step of class `once`: nobody knows whether it was done. */
bool deployment_is_cut_off(const struct deployment *d);
/* The caller's. */
char *deployment_hook_text(const Fairlead__V1__Hook *hook);
