/* The plan of one command over the hosts it has reached: their releases looked up, the changes
 * judged, the services that are down found. */
#pragma once

#include "coordinator/rollout/bases.h"

struct fleet_plan {
	struct bases bases;
	struct plan plan; /* one host for each READY member, in their order */
};

/* All members are READY or FAILED (hosts_wait_described). The plan borrows config, hosts and
 * source. Runs the loop where a host must be asked for its manifest. */
int plan_hosts(const struct app_config *config, struct hosts *hosts, const struct source *source,
	Fairlead__V1__ActionClass forced, struct fleet_plan *ret, struct err *err);
void fleet_plan_release(struct fleet_plan *fleet_plan);
