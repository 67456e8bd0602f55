/* Preparing, while nothing live is touched: the release is staged by a worker and checked. */
#include "agent/core/deployment_hooks.h"

#include "agent/service/probe_check.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/os/spawn.h"

#include <errno.h>
#include <sys/stat.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { PROGRESS_INTERVAL_MS = 100 };

/* ---- staging, in a worker ---- */

/* In the worker. The spool may still be open in the gateway, so this digest only refuses early;
 * what counts is verified by the manifest while staging. */
static int check_bundle(const struct deployment *d, struct err *err)
{
	struct hasher hasher;
	struct stat st;
	uint8_t chunk[64 * 1024];
	if (fstat(d->spool_fd, &st) < 0)
		return err_errno(err, ERR_IO, errno, "cannot stat the spooled bundle");
	if ((uint64_t)st.st_size != d->plan->bundle_bytes)
		return err_set(err, ERR_CORRUPT, "the bundle has %lld bytes, the command says %llu",
			(long long)st.st_size, (unsigned long long)d->plan->bundle_bytes);
	hasher_init(&hasher);
	for (off_t at = 0; at < st.st_size;) {
		size_t len = sizeof(chunk);
		if (st.st_size - at < (off_t)len)
			len = (size_t)(st.st_size - at);
		if (fd_pread_exact(d->spool_fd, chunk, len, at, err) < 0)
			return err_wrap(err, "bundle");
		hasher_update(&hasher, chunk, len);
		at += (off_t)len;
	}
	struct digest digest = hasher_final(&hasher);
	if (d->plan->bundle_digest.len != DIGEST_SIZE ||
		memcmp(digest.bytes, d->plan->bundle_digest.data, DIGEST_SIZE) != 0)
		return err_set(err, ERR_CORRUPT, "the bundle is not the one that was signed");
	return 0;
}

static void report_stage(void *user, uint64_t done, uint64_t total)
{
	worker_report(user, done, total);
}

/* Shared paths are for the services to write to: the first that names a user owns them. */
static int shared_owner(const struct deployment *d, struct store_owner *ret, struct err *err)
{
	if (!d->app->core->may_change_user)
		return 0;
	for (size_t i = 0; i < d->plan->n_services; i++) {
		const Fairlead__V1__ProcessSpec *process = d->plan->services[i]->process;
		struct spawn_user user = {0};
		if (!process || !process->user[0])
			continue;
		if (spawn_user_find(process->user, &user, err) < 0)
			return -1;
		*ret = (struct store_owner){user.uid, user.gid};
		spawn_user_release(&user);
		return 1;
	}
	return 0;
}

struct store_keep deployment_keeps(const struct deployment *d)
{
	return (struct store_keep){
		.releases = d->plan->keep_releases,
		.failed = d->plan->keep_failed ? d->plan->keep_failed : STORE_KEEP_FAILED,
		.list = d->keep,
		.count = d->keep_count,
	};
}

static int stage_work(void *user, struct worker_pipe *pipe, struct err *err)
{
	struct deployment *d = user;
	if (!d->plan->bundle_bytes)
		return store_verify(&d->app->store, &d->to, STORE_VERIFY_STAT, err);
	if (check_bundle(d, err) < 0)
		return -1;
	struct store_stage stage = {
		.bundle_fd = d->spool_fd,
		.target = d->to,
		.keep = deployment_keeps(d),
		.plan = d->plan,
		.progress = report_stage,
		.user = pipe,
	};
	struct store_owner owner;
	int owned = shared_owner(d, &owner, err);
	if (owned < 0)
		return -1;
	if (owned)
		stage.shared_owner = &owner;
	if (!digest_from_bytes(d->plan->bundle_base.data, d->plan->bundle_base.len, &stage.base))
		return err_set(err, ERR_INVALID, "the bundle's base has not 32 bytes");
	return store_stage(&d->app->store, &stage, err);
}

static void on_stage_progress(void *user, uint64_t done, uint64_t total)
{
	struct deployment *d = user;
	uint64_t now = clock_mono_ms();
	if (now - d->progress_unix_ms < PROGRESS_INTERVAL_MS && done < total)
		return;
	d->progress_unix_ms = now;
	deployment_tell(d, "", done, total, "staging");
}

static void on_staged(void *user, const struct err *err)
{
	struct deployment *d = user;
	d->worker = NULL;
	if (err->code != ERR_NONE)
		deployment_fail(d, err);
	else
		deployment_event(d, MACHINE_STAGED, NULL);
}

/* The services were asked which releases they were started from. The deployment may have ended
 * meanwhile, so it is looked up again. */
static void on_services_known(
	void *user, Fairlead__V1__ServiceStatus *const *statuses, size_t count)
{
	struct app *app = user;
	struct deployment *d = app->running;
	if (!d || d->status->state != S(FETCHED) || d->worker)
		return;
	d->keep_count = app_kept_releases(app, statuses, count, d->keep);
	struct err err = ERR_INIT;
	if (worker_start(&app->core->loop, stage_work, on_stage_progress, on_staged, d, &d->worker,
		    &err) < 0)
		deployment_fail(d, &err);
}

void deployment_stage(struct deployment *d)
{
	d->status->bytes_received = d->plan->bundle_bytes;
	app_stop_pruning(d->app);
	app_services(d->app, on_services_known, d->app);
}

/* ---- checking: can this host run it? ---- */

/* Remember with the release what it needs; keep what is known of it from earlier. */
static int record_release(struct deployment *d, struct err *err)
{
	Fairlead__V1__ReleaseRecord *old = NULL;
	AUTO(manifest) struct manifest manifest = {0};
	if (store_manifest_read(&d->app->store, &d->to, &manifest, err) < 0)
		return -1;
	Fairlead__V1__ReleaseRecord record = FAIRLEAD__V1__RELEASE_RECORD__INIT;
	record.installed_unix_ms = clock_unix_ms();
	if (store_record_read(&d->app->store, &d->to, &old, NULL) == 0) {
		record.installed_unix_ms = old->installed_unix_ms;
		record.verified = old->verified;
		record.failed = old->failed;
		record.activated = old->activated;
		record.pinned = old->pinned;
		record.failed_reason = old->failed_reason;
	}
	record.manifest = d->status->to_manifest;
	record.commit = d->status->commit_to;
	record.n_services = d->plan->n_services;
	record.services = d->plan->services;
	record.n_hooks = d->plan->n_hooks;
	record.hooks = d->plan->hooks;
	record.n_shared_dirs = d->plan->n_shared_dirs;
	record.shared_dirs = d->plan->shared_dirs;
	record.n_shared_files = d->plan->n_shared_files;
	record.shared_files = d->plan->shared_files;
	record.files = manifest.count;
	record.bytes = manifest.bytes;
	int rc = store_record_write(&d->app->store, &record, err);
	if (old)
		pb_free(&old->base);
	return rc;
}

static int check_services(struct deployment *d, struct err *err)
{
	AUTO_FREE char *path = store_release_path(&d->app->store, &d->to);
	for (size_t i = 0; i < d->service_count; i++) {
		const Fairlead__V1__ServicePlan *plan = d->services[i].new_plan;
		if (!plan)
			continue;
		const struct service_ops *ops = service_ops_find(plan->driver);
		if (!ops)
			return err_set(err, ERR_CONFIG,
				"service '%s': this agent has no driver '%s'", plan->name,
				plan->driver);
		if (ops->check(&d->app->services, plan, path, err) < 0 ||
			probe_check(plan, path, err) < 0)
			return err_wrap(err, "service '%s'", plan->name);
	}
	return 0;
}

void deployment_check(struct deployment *d)
{
	struct err err = ERR_INIT;
	if (check_services(d, &err) < 0 || deployment_check_hooks(d, &err) < 0 ||
		record_release(d, &err) < 0)
		deployment_fail(d, &err);
	else
		deployment_event(d, MACHINE_CHECKED, NULL);
}
