/* The releases of one app+environment on this host's disk.
 *
 *     <root>/<app>-<env>/releases/<digest>   immutable trees
 *                        meta/<digest>       packed ReleaseRecord, and <digest>.manifest
 *                        current -> releases/<digest>
 *                        shared/             what survives every release
 *                        tmp/                stage, spool
 *                        state/              journal, events, services, logs
 *
 * all on one file system. `current` is switched by symlink + rename + directory fsync: a reader
 * sees the old tree or the new one. Every path is opened beneath the root. Functions may block
 * on disk; the long ones (stage, prune) run in a forked worker (agent/core/worker.h). */
#pragma once

#include "common/release/bundle.h"
#include "fairlead/v1/record.pb-c.h"

#include <stdbool.h>

struct store {
	char *path; /* <root>/<app>-<env> */
	int dirfd;
};

/* Opens, and makes what is missing (0755; state and meta 0700). */
int store_open(const char *root, const char *app, const char *environment, struct store *ret,
	struct err *err);
/* The same without making anything: ERR_NOT_FOUND when the app is new here. */
int store_open_existing(const char *root, const char *app, const char *environment,
	struct store *ret, struct err *err);
void store_release(struct store *store);

/* What `current` points to; the zero digest before the first release. */
int store_current(const struct store *store, struct digest *ret, struct err *err);
/* <store>/releases/<digest>, absolute. */
char *store_release_path(const struct store *store, const struct digest *release);

int store_record_read(const struct store *store, const struct digest *release,
	Fairlead__V1__ReleaseRecord **ret, struct err *err); /* pb_free the result */
int store_record_write(const struct store *store, const Fairlead__V1__ReleaseRecord *record,
	struct err *err);
/* All records, newest activation first. Free with store_records_free. */
int store_records(const struct store *store, Fairlead__V1__ReleaseRecord ***ret, size_t *ret_count,
	struct err *err);
void store_records_free(Fairlead__V1__ReleaseRecord **records, size_t count);
int store_manifest_read(const struct store *store, const struct digest *release,
	struct manifest *ret, struct err *err);

struct store_stage {
	int bundle_fd;
	struct digest base;   /* zero: none */
	struct digest target;
	const struct digest *keep; /* releases that must not be recycled: current, previous, running */
	size_t keep_count;
	unsigned keep_releases;
	const Fairlead__V1__Prepare *plan; /* shared paths */
	void (*progress)(void *user, uint64_t done, uint64_t total); /* bytes; may be NULL */
	void *user;
};
/* Bundle -> complete, verified, fsynced tree in releases/<target> with its manifest in meta/.
 * Recycles the release that is due for pruning, else a hardlink farm of base, else writes all.
 * Idempotent: a partial stage of an earlier try is removed; a complete target is verified and
 * kept. On failure nothing but tmp/ has changed. ERR_CORRUPT, ERR_INVALID, ERR_NOSPACE, ERR_IO. */
int store_stage(const struct store *store, const struct store_stage *stage, struct err *err);
/* Stat walk of the tree against its manifest, re-hash of what is in doubt (everything if `full`).
 * ERR_CORRUPT names the first file that differs. */
enum store_verify { STORE_VERIFY_STAT, STORE_VERIFY_FULL };
int store_verify(const struct store *store, const struct digest *release, enum store_verify how,
	struct err *err);
/* Atomic switch of `current`, durable when it returns. The target must exist. */
int store_switch(const struct store *store, const struct digest *target, struct err *err);
/* Remove releases beyond `keep_releases` verified ones (the oldest activation first) and failed ones
 * beyond 2; never current, nor those in `keep`, nor the one that store_stage will recycle next. */
int store_prune(const struct store *store, unsigned keep_releases, const struct digest *keep,
	size_t keep_count, struct err *err);
