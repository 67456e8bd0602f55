/* The body of a PREPARE command: what one host is to become, compiled from the plan. */
#pragma once

#include "coordinator/plan/plan.h"
#include "coordinator/rollout/bundles.h"

struct prepare {
	Fairlead__V1__Prepare message; /* borrows from here, the plan and the config */
	Fairlead__V1__ServicePlan *services;
	Fairlead__V1__ServicePlan **service_pointers;
	ProtobufCBinaryData *shared_dirs, *shared_files;
};

/* bundle NULL: the host has the target already. The caller sets confirm_timeout_ms. The prepare
 * must not be copied or moved. */
void prepare_init(struct prepare *prepare, const struct plan *plan, const struct plan_host *host,
	const struct bundle_file *bundle, const char *actor);
void prepare_release(struct prepare *prepare);
