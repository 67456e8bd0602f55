/* What the health checks of a plan need of this host and release, looked at before anything
 * changes and again whenever one is asked. May block briefly on disk. */
#pragma once

#include "agent/service/service.h"

/* ERR_CONFIG: a check of the plan could never be asked here; it says which, and why. */
int probe_check(const Fairlead__V1__ServicePlan *plan, const char *release_path, struct err *err);

/* Read the authorities of an http probe (PEM): an absolute path, or one in the release. Appends
 * nothing when it names none. */
enum { PROBE_AUTHORITIES_MAX = 128 * 1024 };
int probe_authorities(const Fairlead__V1__HttpProbe *http, const char *release_path,
	struct buf *ret, struct err *err);
