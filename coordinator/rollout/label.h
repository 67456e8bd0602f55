/* Release labels as people read them: seven digits of a commit, "dir-…" as it is. */
#pragma once

#include "coordinator/rollout/deployment.h"

/* "none" for an empty label. Hosts send labels: escape what is shown. The caller frees. */
char *label_short(const char *label);
/* The first target that is really asked to do something; NULL if none was reached. */
const struct deployment_host *label_first(const struct deployment_host *targets, size_t count);
/* The release the targets come from: a label, or "several releases". The caller frees. */
char *label_of_all(const struct deployment_host *targets, size_t count);
