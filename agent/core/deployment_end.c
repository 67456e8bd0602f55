/* The ends: what a deployment taught is recorded beside the journal, which holds the outcome. */
#include "agent/core/deployment_hooks.h"
#include "agent/core/page.h"
#include "agent/core/reboot.h"

#include "common/base/pb.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

static void not_concluded(struct deployment *d, const char *what, const struct err *err)
{
	core_log("%s/%s: %s: %s", d->app->name, d->app->environment, what, err->message);
	if (d->trouble.code == ERR_NONE)
		d->trouble = *err;
}

static int write_log(struct deployment *d, enum deployment_log_kind kind)
{
	struct deployment_log_entry entry = {kind, d->status, d->plan->files_changed};
	struct err err = ERR_INIT;
	if (deployment_log_write(d->app->store.dirfd, &entry, d->log_how, &err) == 0)
		return 0;
	not_concluded(d, "deployment log", &err);
	return -1;
}

static int newest_activation(const struct store *store, uint64_t *ret, struct err *err)
{
	Fairlead__V1__ReleaseRecord **records = NULL;
	size_t count = 0;
	if (store_records(store, &records, &count, err) < 0)
		return -1;
	*ret = count ? records[0]->activated : 0;
	store_records_free(records, count);
	return 0;
}

/* What the deployment taught about the release. */
static void mark_release(struct deployment *d, int verified)
{
	struct err err = ERR_INIT;
	Fairlead__V1__ReleaseRecord *record = NULL;
	uint64_t newest = 0;
	if (newest_activation(&d->app->store, &newest, &err) == 0 &&
		store_record_read(&d->app->store, &d->to, &record, &err) == 0) {
		if (verified) {
			/* Again after a crash it is the newest already. */
			if (!record->activated || record->activated != newest)
				record->activated = newest + 1;
			record->verified = 1;
			record->failed = 0;
			pb_set_str(&record->failed_reason, "");
		} else {
			record->failed = 1;
			pb_set_str(&record->failed_reason,
				d->status->error ? d->status->error->message : "");
		}
		store_record_write(&d->app->store, record, &err);
		pb_free(&record->base);
	}
	if (err.code != ERR_NONE)
		not_concluded(d, "release record", &err);
}

static void conclude(struct deployment *d)
{
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
}

static void act_aborted(struct deployment *d)
{
	write_log(d, DEPLOYMENT_LOG_FAILED);
	conclude(d);
}

static void act_rolled_back(struct deployment *d)
{
	if (d->blame == MACHINE_BLAME_RELEASE && !digest_equal(&d->from, &d->to))
		mark_release(d, 0);
	/* In this order in both files: the next agent appends what is not there. */
	if (write_log(d, DEPLOYMENT_LOG_FAILED) == 0)
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

static void (*const ends[MACHINE_STATE_COUNT])(struct deployment *) = {
	[S(COMMITTED)] = act_committed,
	[S(ABORTED)] = act_aborted,
	[S(ROLLED_BACK)] = act_rolled_back,
	[S(FAILED_SAFE)] = act_failed_safe,
};

void deployment_finish(struct deployment *d)
{
	ends[d->machine.state](d);
	deployment_end(d);
}

void deployment_close(struct deployment *d)
{
	deployment_stop_acts(d);
	deployment_run_steps(d);
}

void deployment_conclude(struct deployment *d)
{
	struct err err = ERR_INIT;
	if (deployment_log_sync(d->app->store.dirfd, &err) < 0)
		not_concluded(d, "deployment log", &err);
	if (d->trouble.code != ERR_NONE) {
		/* The next agent concludes it from the journal. One that has tried that serves on:
		 * the outcome is known, and a full disk must not keep the host from telling it. */
		if (d->log_how != DEPLOYMENT_LOG_COMPLETE)
			core_die(d->app->core, &d->trouble);
		return;
	}
	if (deployment_note(d, DEPLOYMENT_STEP_CONCLUDED, &err) < 0) {
		core_die(d->app->core, &err);
		return;
	}
	if (deployment_log_rotate(d->app->store.dirfd, &err) < 0)
		core_log("%s/%s: deployment log: %s", d->app->name, d->app->environment,
			err.message);
	page_turn_when_due(d->app, d->record->accepted);
	reboot_deployment_ended(d->app);
	if (d->machine.state == S(COMMITTED))
		app_prune(d->app, deployment_keeps(d));
}
