/* Private to agent/store: which releases are due for pruning. */
#pragma once

#include "agent/store/store.h"

/* The one that is to be recycled next: 1 with *ret filled, 0 if there is none, -1. */
int prune_next(const struct store *store, const struct store_keep *keep, struct digest *ret,
	struct err *err);
/* Move a release out of releases/, forget it, then remove its files. */
int prune_one(const struct store *store, const struct digest *release, struct err *err);
