/* The bundles of one deployment: one per distinct base, in temporary files without a name, shared
 * by all hosts on that base. */
#pragma once

#include "coordinator/rollout/bases.h"

struct bundle_file {
	struct digest base; /* what it was made from; zero: it holds everything */
	int fd;
	struct bundle_info info;
};

struct bundles {
	const struct bases *bases;
	const struct source *source; /* both borrowed */
	struct bundle_file *files;   /* room for one per base and the whole one; never moved */
	size_t count;
};

void bundles_init(struct bundles *bundles, const struct bases *bases, const struct source *source);
void bundles_release(struct bundles *bundles);
/* The bundle for hosts on `current` (zero: whole), made on first use. Blocks on disk and CPU. */
int bundles_get(struct bundles *bundles, const struct digest *current,
	const struct bundle_file **ret, struct err *err);
