/* The acts of a deployment: what is done on entering each state, one function a state. */
#include "agent/core/deployment_impl.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/os/spawn.h"

#include <errno.h>
#include <sys/stat.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { PROGRESS_INTERVAL_MS = 100, DIAGNOSIS_LINES = 50 };

static void fail(struct deployment *d, const struct err *err)
{
	deployment_event(d, MACHINE_FAIL, err);
}

/* ---- fetched: stage the release in a worker ---- */

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
		.keep = d->keep,
		.keep_count = d->keep_count,
		.keep_releases = d->plan->keep_releases,
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
		fail(d, err);
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
		fail(d, &err);
}

static void act_fetched(struct deployment *d)
{
	d->status->bytes_received = d->plan->bundle_bytes;
	app_stop_pruning(d->app);
	app_services(d->app, on_services_known, d->app);
}

/* ---- staged: can this host run it? ---- */

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
		pb_free(&old->base);
	}
	record.manifest = d->status->to_manifest;
	record.commit = d->status->commit_to;
	record.n_services = d->plan->n_services;
	record.services = d->plan->services;
	record.n_shared_dirs = d->plan->n_shared_dirs;
	record.shared_dirs = d->plan->shared_dirs;
	record.n_shared_files = d->plan->n_shared_files;
	record.shared_files = d->plan->shared_files;
	record.files = manifest.count;
	record.bytes = manifest.bytes;
	return store_record_write(&d->app->store, &record, err);
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
		if (ops->check(&d->app->services, plan, path, err) < 0)
			return err_wrap(err, "service '%s'", plan->name);
	}
	return 0;
}

static void act_staged(struct deployment *d)
{
	struct err err = ERR_INIT;
	if (check_services(d, &err) < 0 || record_release(d, &err) < 0)
		fail(d, &err);
	else
		deployment_event(d, MACHINE_CHECKED, NULL);
}

/* ---- switched: the new tree, the new processes ---- */

static void on_step(void *user, const struct service_step *step)
{
	static const char *const verbs[] = {
		[SERVICE_STEP_STOP] = "stopping",
		[SERVICE_STEP_START] = "starting",
	};
	struct deployment *d = user;
	d->services[step->tag].touched = SERVICE_TOUCHED;
	deployment_tell(d, step->plan->name, 0, 0, "%s", verbs[step->kind]);
}

static void add_step(struct service_step *steps, size_t *count, enum service_step_kind kind,
	const Fairlead__V1__ServicePlan *plan, const struct digest *release, size_t tag)
{
	steps[(*count)++] = (struct service_step){kind, plan, *release, tag};
}

/* Stops and starts of the activation: each service in turn, so that its outage is the shortest;
 * those that the new release no longer has are stopped. */
static struct service_step *activation_steps(const struct deployment *d, size_t *ret_count)
{
	struct service_step *steps = xcalloc(2 * d->service_count, sizeof(*steps));
	for (size_t i = 0; i < d->service_count; i++) {
		const struct deployment_service *service = &d->services[i];
		if (service->new_plan &&
			service->new_plan->action != FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART)
			continue;
		add_step(steps, ret_count, SERVICE_STEP_STOP,
			service->old_plan ? service->old_plan : service->new_plan, &d->from, i);
		if (service->new_plan)
			add_step(
				steps, ret_count, SERVICE_STEP_START, service->new_plan, &d->to, i);
	}
	return steps;
}

static void undo(struct deployment *d);

static void on_activated(void *user, const struct err *err)
{
	struct deployment *d = user;
	d->sequence = NULL;
	if (d->undo_waits)
		undo(d);
	else if (err->code != ERR_NONE)
		fail(d, err);
	else
		deployment_event(d, MACHINE_RESTARTED, NULL);
}

static void act_switched(struct deployment *d)
{
	struct err err = ERR_INIT;
	if (store_switch(&d->app->store, &d->to, &err) < 0) {
		fail(d, &err);
		return;
	}
	size_t count = 0;
	struct service_step *steps = activation_steps(d, &count);
	if (count == 0) {
		free(steps);
		deployment_event(d, MACHINE_RESTARTED, NULL);
		return;
	}
	d->sequence =
		service_sequence_start(&d->app->services, steps, count, on_step, on_activated, d);
}

/* ---- restarted: watch until healthy ---- */

static void append_log(struct deployment *d, const Fairlead__V1__ServicePlan *plan, struct buf *out)
{
	const struct service_ops *ops = service_ops_find(plan->driver);
	int fd = -1;
	if (!ops || ops->open_log(&d->app->services, plan->name, &fd, NULL) < 0)
		return;
	buf_printf(out, "last lines of the log of '%s':\n", plan->name);
	service_log_tail(fd, DIAGNOSIS_LINES, out, NULL);
	close(fd);
}

/* What an operator wants to read at once: the last answer and the last log lines. */
static void diagnose(struct deployment *d, const Fairlead__V1__ServicePlan *plan)
{
	AUTO(buf) struct buf text = {0};
	append_log(d, plan, &text);
	pb_set_str(&d->status->diagnosis, buf_str(&text));
}

static void all_healthy(struct deployment *d)
{
	deployment_event(
		d, d->status->state == S(ROLLING_BACK) ? MACHINE_UNDONE : MACHINE_HEALTHY, NULL);
}

static void on_verdict(void *user, const struct err *err)
{
	struct deployment_watch *watch = user;
	struct deployment *d = watch->d;
	const Fairlead__V1__ServicePlan *plan = watch->plan;
	watch->watch = NULL;
	if (err->code == ERR_NONE) {
		deployment_tell(d, plan->name, 0, 0, "healthy");
		if (++d->healthy_count == d->watch_count)
			all_healthy(d);
		return;
	}
	struct err cause = *err;
	err_wrap(&cause, "service '%s'", plan->name);
	if (d->status->state != S(ROLLING_BACK))
		diagnose(d, plan);
	fail(d, &cause);
}

static int is_watched(const struct deployment_service *service, int undoing)
{
	if (undoing)
		return service->touched == SERVICE_TOUCHED && service->old_plan;
	return service->new_plan && service->touched == SERVICE_TOUCHED;
}

/* Watch the services that were started; without any there is nothing to wait for. */
static void watch_services(struct deployment *d)
{
	int undoing = d->status->state == S(ROLLING_BACK);
	d->watches = xcalloc(d->service_count, sizeof(*d->watches));
	d->healthy_count = 0;
	for (size_t i = 0; i < d->service_count; i++) {
		const struct deployment_service *service = &d->services[i];
		if (!is_watched(service, undoing))
			continue;
		struct deployment_watch *watch = &d->watches[d->watch_count++];
		watch->d = d;
		watch->plan = undoing ? service->old_plan : service->new_plan;
		watch->watch = health_watch_start(
			d->app->core->prober, &d->app->services, watch->plan, on_verdict, watch);
	}
	if (d->watch_count == 0)
		all_healthy(d);
}

static void stop_watches(struct deployment *d)
{
	for (size_t i = 0; i < d->watch_count; i++)
		health_watch_cancel(TAKE(d->watches[i].watch));
	free(TAKE(d->watches));
	d->watch_count = 0;
}

static void act_restarted(struct deployment *d)
{
	watch_services(d);
}

/* ---- rolling back ---- */

static int switch_back(struct deployment *d, struct err *err)
{
	if (!digest_is_zero(&d->from))
		return store_switch(&d->app->store, &d->from, err);
	if (unlinkat(d->app->store.dirfd, "current", 0) < 0 && errno != ENOENT)
		return err_errno(err, ERR_IO, errno, "cannot remove 'current'");
	return dir_sync(d->app->store.dirfd, err);
}

static struct service_step *undo_steps(const struct deployment *d, size_t *ret_count)
{
	struct service_step *steps = xcalloc(2 * d->service_count, sizeof(*steps));
	for (size_t i = 0; i < d->service_count; i++) {
		const struct deployment_service *service = &d->services[i];
		if (service->touched == SERVICE_UNTOUCHED)
			continue;
		add_step(steps, ret_count, SERVICE_STEP_STOP,
			service->new_plan ? service->new_plan : service->old_plan, &d->to, i);
		if (service->old_plan)
			add_step(steps, ret_count, SERVICE_STEP_START, service->old_plan, &d->from,
				i);
	}
	return steps;
}

static void on_undone(void *user, const struct err *err)
{
	struct deployment *d = user;
	d->sequence = NULL;
	if (machine_is_final(d->status->state))
		return;
	if (err->code != ERR_NONE)
		fail(d, err);
	else
		watch_services(d);
}

static void undo(struct deployment *d)
{
	struct err err = ERR_INIT;
	d->undo_waits = 0;
	if (switch_back(d, &err) < 0) {
		fail(d, &err);
		return;
	}
	size_t count = 0;
	struct service_step *steps = undo_steps(d, &count);
	d->sequence =
		service_sequence_start(&d->app->services, steps, count, on_step, on_undone, d);
}

static void act_rolling_back(struct deployment *d)
{
	stop_watches(d);
	if (d->sequence) {
		d->undo_waits = 1;
		service_sequence_stop(d->sequence);
	} else {
		undo(d);
	}
}

/* ---- ends ---- */

static void write_log(struct deployment *d, enum deployment_log_kind kind)
{
	struct deployment_log_entry entry = {kind, d->status, d->plan->files_changed};
	struct err err = ERR_INIT;
	if (deployment_log_write(d->app->store.dirfd, &entry, d->log_how, &err) < 0)
		core_log("%s/%s: deployment log: %s", d->app->name, d->app->environment,
			err.message);
}

static uint64_t newest_activation(const struct store *store)
{
	Fairlead__V1__ReleaseRecord **records = NULL;
	size_t count = 0;
	if (store_records(store, &records, &count, NULL) < 0)
		return 0;
	uint64_t newest = count ? records[0]->activated : 0;
	store_records_free(records, count);
	return newest;
}

/* What the deployment taught about the release. The journal holds the outcome, so a record that
 * cannot be written is only said. */
static void mark_release(struct deployment *d, int verified)
{
	struct err err = ERR_INIT;
	Fairlead__V1__ReleaseRecord *record = NULL;
	if (store_record_read(&d->app->store, &d->to, &record, &err) == 0) {
		uint64_t newest = newest_activation(&d->app->store);
		if (verified) {
			/* Again after a crash it is the newest already. */
			if (!record->activated || record->activated != newest)
				record->activated = newest + 1;
			record->verified = 1;
			record->failed = 0;
		} else {
			record->failed = 1;
		}
		store_record_write(&d->app->store, record, &err);
		pb_free(&record->base);
	}
	if (err.code != ERR_NONE)
		core_log("%s/%s: release record: %s", d->app->name, d->app->environment,
			err.message);
}

static void conclude(struct deployment *d)
{
	deployment_stop_acts(d);
	if (d->app->last)
		pb_free(&d->app->last->base);
	d->app->last = deployment_status(d);
}

static void act_committed(struct deployment *d)
{
	mark_release(d, 1);
	write_log(d,
		d->record->accepted->is_rollback ? DEPLOYMENT_LOG_ROLLBACK : DEPLOYMENT_LOG_DEPLOY);
	conclude(d);
	app_prune(d->app, d->plan->keep_releases);
}

static void act_aborted(struct deployment *d)
{
	write_log(d, DEPLOYMENT_LOG_FAILED);
	conclude(d);
}

static void act_rolled_back(struct deployment *d)
{
	if (d->blame == CAUSE_RELEASE && !digest_equal(&d->from, &d->to))
		mark_release(d, 0);
	write_log(d, DEPLOYMENT_LOG_FAILED);
	write_log(d, DEPLOYMENT_LOG_ROLLBACK);
	conclude(d);
}

static void act_failed_safe(struct deployment *d)
{
	if (!digest_equal(&d->from, &d->to))
		mark_release(d, 0);
	write_log(d, DEPLOYMENT_LOG_FAILED);
	conclude(d);
}

void deployment_concluded(struct deployment *d)
{
	struct err err = ERR_INIT;
	if (d->app->core->fatal.code != ERR_NONE)
		return; /* the journal does not say that it has ended */
	if (deployment_log_sync(d->app->store.dirfd, &err) < 0)
		core_log("%s/%s: deployment log: %s", d->app->name, d->app->environment,
			err.message);
	if (deployment_note(d, DEPLOYMENT_STEP_CONCLUDED, &err) < 0)
		core_die(d->app->core, &err);
}

/* accepted waits for the bundle, prepared and healthy for a command. */
static void (*const acts[MACHINE_STATE_COUNT])(struct deployment *) = {
	[S(FETCHED)] = act_fetched,
	[S(STAGED)] = act_staged,
	[S(SWITCHED)] = act_switched,
	[S(RESTARTED)] = act_restarted,
	[S(COMMITTED)] = act_committed,
	[S(ABORTED)] = act_aborted,
	[S(ROLLING_BACK)] = act_rolling_back,
	[S(ROLLED_BACK)] = act_rolled_back,
	[S(FAILED_SAFE)] = act_failed_safe,
};

void deployment_act(struct deployment *d)
{
	if (acts[d->status->state])
		acts[d->status->state](d);
}

void deployment_stop_acts(struct deployment *d)
{
	worker_kill(TAKE(d->worker));
	stop_watches(d);
	service_sequence_abandon(TAKE(d->sequence));
}
