/* The releases of one app+environment on this host's disk.
 *
 *     <root>/<app>-<env>/releases/<digest>   immutable trees
 *                        meta/<digest>       packed ReleaseRecord, <digest>.manifest, and
 *                                            <digest>.stat: what was installed
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

/* Opens, and makes what is missing (0755; state and meta 0700). ERR_INVALID for a name that cannot
 * be a folder; ERR_CONFIG when the folder belongs to another app and environment ("a-b" + "c" and
 * "a" + "b-c" are the same one). */
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

/* ERR_NOT_FOUND, ERR_CORRUPT. */
int store_record_read(const struct store *store, const struct digest *release,
	Fairlead__V1__ReleaseRecord **ret, struct err *err); /* pb_free the result */
/* Atomic and durable. */
int store_record_write(
	const struct store *store, const Fairlead__V1__ReleaseRecord *record, struct err *err);
/* The records of all releases that are here, newest activation first, then newest installation.
 * Free with store_records_free. */
int store_records(const struct store *store, Fairlead__V1__ReleaseRecord ***ret, size_t *ret_count,
	struct err *err);
void store_records_free(Fairlead__V1__ReleaseRecord **records, size_t count);
int store_manifest_read(const struct store *store, const struct digest *release,
	struct manifest *ret, struct err *err);

/* What stays on this host. Pinned releases stay besides, and the current one. */
enum { STORE_KEEP_FAILED = 2 }; /* where nobody says how many */
struct store_keep {
	unsigned releases;         /* verified ones, newest activation first */
	unsigned failed;           /* failed ones, for a look */
	const struct digest *list; /* and these: current, previous, those that services run from */
	size_t count;
};

struct store_owner {
	uid_t uid;
	gid_t gid;
};

struct store_stage {
	int bundle_fd;      /* -1: none came, the target must be here already */
	struct digest base; /* zero: none */
	struct digest target;
	struct store_keep keep;            /* not to be recycled; as store_prune will get it */
	const Fairlead__V1__Prepare *plan; /* shared paths; NULL: none */
	/* Whom shared paths made now belong to, for the service writes to them; NULL: the agent. */
	const struct store_owner *shared_owner;
	void (*progress)(void *user, uint64_t done, uint64_t total); /* bytes; may be NULL */
	void *user;
};
/* Bundle -> complete, verified, fsynced tree in releases/<target> with its manifest in meta/.
 * Recycles the release that is due for pruning, else a hardlink farm of base, else writes all.
 * Idempotent: a partial stage of an earlier try is removed; a complete target is verified and
 * kept, or replaced if it does not verify and is not in use. On failure nothing but tmp/ has
 * changed, and a release that was due for pruning anyway may be gone.
 *
 * Files are 0644 or 0755 and directories 0755 whatever the umask. A file keeps the mtime of its
 * installation for as long as its content stays, through all releases.
 *
 * Shared paths become links into shared/. What is missing there is made: a directory with the
 * content that the release tracks below it, a file with the release's own copy; without one a
 * directory is made empty and a file is left to the operator, its link dangling. What is there is
 * never touched.
 *
 * ERR_CORRUPT: bundle or base do not verify, the whole release has to be sent (base zero).
 * ERR_CONFIG: a shared path clashes with the release. ERR_INVALID: a link leaves the release.
 * ERR_PREFLIGHT: the target is in use with other shared paths. ERR_NOSPACE, ERR_IO, ERR_NOT_FOUND
 * (bundle_fd -1 and no such release). */
int store_stage(const struct store *store, const struct store_stage *stage, struct err *err);
/* Stat walk of the tree against its manifest, re-hash of what is in doubt (everything if FULL).
 * ERR_CORRUPT names the first file that differs. Files that are not of the release (an
 * application's caches) are not looked at; recycling removes them. What a stat walk cannot see is
 * said in stat_index.h. ERR_NOT_FOUND: no such release. */
enum store_verify { STORE_VERIFY_STAT, STORE_VERIFY_FULL };
int store_verify(const struct store *store, const struct digest *release, enum store_verify how,
	struct err *err);
/* Atomic switch of `current`, durable when it returns. The target must exist (ERR_NOT_FOUND). */
int store_switch(const struct store *store, const struct digest *target, struct err *err);
/* Remove verified and failed releases beyond those of `keep` (the oldest activation first), and
 * those that were never activated or recorded; never a pinned one, nor the one that store_stage
 * will recycle next. Cleans tmp/ of what interrupted stages left, so it must not run beside
 * store_stage. */
int store_prune(const struct store *store, const struct store_keep *keep, struct err *err);

/* How the tree of a release differs from its manifest: every file is hashed. */
enum store_difference {
	STORE_CHANGED, /* other content */
	STORE_MISSING,
	STORE_EXTRA, /* not of the release, nor a shared path; a folder stands for all in it */
	STORE_MODE,
	STORE_TYPE,   /* no file where a file belongs, or no link where a link does */
	STORE_TARGET, /* a link that points elsewhere, shared paths too */
};
typedef void store_difference_fn(void *user, enum store_difference kind, const char *path);
struct store_compared {
	uint64_t files, bytes; /* hashed */
};
/* Those of the manifest in path order, then what is extra, in no order. ERR_NOT_FOUND: no such
 * release. */
int store_compare(const struct store *store, const struct digest *release, store_difference_fn *fn,
	void *user, struct store_compared *ret, struct err *err);
