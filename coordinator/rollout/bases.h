/* The releases the hosts stand on now, one per distinct digest, and what is known of their trees:
 * from the clone when their commit is in it, else from the host's own manifest. */
#pragma once

#include "coordinator/fleet/hosts.h"
#include "coordinator/plan/plan.h"
#include "coordinator/rollout/source.h"

struct base {
	struct digest digest;
	enum plan_base known; /* what the plan may rest on */
	char *why;            /* it is unknown */
	struct tree tree;     /* of the commit in the clone; no label if there is none */
	struct manifest told; /* by a host, verified by its digest; empty digest if not needed */
};

struct bases {
	struct base *items;
	size_t count;
};

/* Look at the READY members and find out. Runs the loop where a host must be asked.
 * A base that stays unknown is no failure: it is deployed in full, and the plan says why. */
void bases_find(struct hosts *hosts, const struct source *source, struct bases *ret);
void bases_release(struct bases *bases);
/* The base with this digest; NULL for the zero digest (a first deployment). */
const struct base *bases_get(const struct bases *bases, const struct digest *digest);
/* Its manifest, NULL if nobody could tell it; and where its contents can be read. */
const struct manifest *base_manifest(const struct base *base);
const struct bundle_source *base_source(const struct base *base);
/* The release a member stands on; zero before its first. */
struct digest member_current(const struct member *member);
