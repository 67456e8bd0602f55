/* How a deployment begins: what the command asks for is checked against what this host is on, and
 * becomes the first record of the journal. */
#include "agent/core/deployment_impl.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"

/* The verified release that was active before the current one. */
static int find_previous(
	struct app *app, const struct digest *current, struct digest *ret, struct err *err)
{
	Fairlead__V1__ReleaseRecord **records = NULL;
	size_t count = 0, i = 0;
	if (store_records(&app->store, &records, &count, err) < 0)
		return -1;
	for (; i < count; i++)
		if (records[i]->verified &&
			digest_from_bytes(
				records[i]->manifest.data, records[i]->manifest.len, ret) &&
			!digest_equal(ret, current))
			break;
	store_records_free(records, count);
	if (i < count)
		return 0;
	err_set(err, ERR_NOT_FOUND, "there is no verified release before the current one");
	return err_hint(err, "See `fairlead releases` for those this host has kept.");
}

/* The plan of a rollback, from what this host recorded with the release. */
static int plan_rollback(struct app *app, const Fairlead__V1__Rollback *rollback,
	const struct digest *current, Fairlead__V1__Prepare *plan, struct err *err)
{
	Fairlead__V1__ReleaseRecord *record = NULL, *from = NULL;
	struct digest target;
	if (!digest_from_bytes(
		    rollback->target_manifest.data, rollback->target_manifest.len, &target))
		return err_set(err, ERR_INVALID, "a manifest digest has not 32 bytes");
	if (digest_is_zero(&target) && find_previous(app, current, &target, err) < 0)
		return -1;
	if (store_record_read(&app->store, &target, &record, err) < 0)
		return err_hint(err, "See `fairlead releases` for those this host has kept.");
	if (!record->verified) {
		pb_free(&record->base);
		err_set(err, ERR_PREFLIGHT, "this release was never verified on this host");
		return err_hint(err, "Choose one that `fairlead releases` shows without 'failed'.");
	}
	if (store_record_read(&app->store, current, &from, err) < 0) {
		pb_free(&record->base);
		return -1;
	}
	pb_set_bytes(&plan->base_manifest, current->bytes, DIGEST_SIZE);
	pb_set_bytes(&plan->target_manifest, target.bytes, DIGEST_SIZE);
	pb_set_str(&plan->commit_from, from->commit);
	pb_set_str(&plan->commit_to, record->commit);
	pb_set_str(&plan->actor, rollback->actor);
	plan->class_ = FAIRLEAD__V1__ACTION_CLASS__APP_ONLY;
	plan->services = TAKE(record->services);
	plan->n_services = record->n_services;
	record->n_services = 0;
	for (size_t i = 0; i < plan->n_services; i++)
		plan->services[i]->action = FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART;
	plan->hooks = TAKE(record->hooks);
	plan->n_hooks = record->n_hooks;
	record->n_hooks = 0;
	plan->shared_dirs = TAKE(record->shared_dirs);
	plan->n_shared_dirs = record->n_shared_dirs;
	record->n_shared_dirs = 0;
	plan->shared_files = TAKE(record->shared_files);
	plan->n_shared_files = record->n_shared_files;
	record->n_shared_files = 0;
	plan->lease_ms = rollback->lease_ms;
	plan->activate_timeout_ms = rollback->activate_timeout_ms;
	plan->confirm_timeout_ms = rollback->confirm_timeout_ms;
	pb_free(&record->base);
	pb_free(&from->base);
	return 0;
}

static int check_preconditions(struct app *app, const Fairlead__V1__Prepare *plan,
	const struct digest *current, struct err *err)
{
	struct digest base, target;
	if (!digest_from_bytes(plan->base_manifest.data, plan->base_manifest.len, &base) ||
		!digest_from_bytes(plan->target_manifest.data, plan->target_manifest.len, &target))
		return err_set(err, ERR_INVALID, "a manifest digest has not 32 bytes");
	if (!digest_equal(&base, current)) {
		err_set(err, ERR_PREFLIGHT, "the host is on another release than the plan assumes");
		return err_hint(
			err, "Somebody deployed meanwhile; run the command again to plan anew.");
	}
	Fairlead__V1__ReleaseRecord *record = NULL;
	if (store_record_read(&app->store, &target, &record, NULL) < 0)
		return 0;
	bool bad = record->failed && !plan->retry_bad;
	pb_free(&record->base);
	if (!bad)
		return 0;
	err_set(err, ERR_PREFLIGHT, "release %.12s failed on this host before", plan->commit_to);
	return err_hint(err, "Deploy a commit that mends it, or repeat with --retry-bad.");
}

/* The first journal record of a new deployment. */
static Fairlead__V1__JournalRecord *first_record(const struct envelope *envelope)
{
	Fairlead__V1__JournalRecord *record = xmalloc(sizeof(*record));
	Fairlead__V1__Accepted *accepted = xmalloc(sizeof(*accepted));
	fairlead__v1__journal_record__init(record);
	fairlead__v1__accepted__init(accepted);
	record->accepted = accepted;
	record->unix_ms = clock_unix_ms();
	record->sequence = envelope->command->sequence;
	pb_set_bytes(&record->deployment_id, envelope->command->deployment_id.data,
		envelope->command->deployment_id.len);
	pb_set_bytes(&accepted->key_id, envelope->key_id.bytes, KEY_ID_SIZE);
	pb_set_bytes(&accepted->command_digest, envelope->command_digest,
		sizeof(envelope->command_digest));
	return record;
}

static int plan_into(struct app *app, const Fairlead__V1__Command *command,
	Fairlead__V1__Accepted *accepted, struct err *err)
{
	struct digest current;
	if (store_current(&app->store, &current, err) < 0)
		return -1;
	if (!digest_is_zero(&current))
		pb_set_bytes(&accepted->from_manifest, current.bytes, DIGEST_SIZE);
	if (command->prepare) {
		accepted->plan = PB_COPY(Fairlead__V1__Prepare, command->prepare);
		return check_preconditions(app, accepted->plan, &current, err);
	}
	accepted->is_rollback = 1;
	accepted->plan = xmalloc(sizeof(*accepted->plan));
	fairlead__v1__prepare__init(accepted->plan);
	return plan_rollback(app, command->rollback, &current, accepted->plan, err);
}

static int open_spool(struct deployment *d, struct err *err)
{
	if (!d->plan->bundle_bytes)
		return 0;
	d->spool_fd = open_beneath(d->app->store.dirfd, "tmp", O_RDWR | O_TMPFILE, 0600, err);
	return d->spool_fd < 0 ? err_wrap(err, "spool") : 0;
}

int deployment_begin(struct app *app, const struct envelope *envelope,
	struct deployment_waiter waiter, struct deployment **ret, int *ret_spool, struct err *err)
{
	Fairlead__V1__JournalRecord *record = first_record(envelope);
	struct deployment *d = NULL;
	if (plan_into(app, envelope->command, record->accepted, err) < 0) {
		pb_free(&record->base);
		return -1;
	}
	if (deployment_build(app, record, &d, err) < 0)
		return -1;
	if (deployment_pair_services(d, err) < 0 || open_spool(d, err) < 0) {
		deployment_free(d);
		return -1;
	}
	struct machine accepted = d->machine;
	struct machine_move move;
	machine_step(&accepted, MACHINE_ACCEPT, clock_unix_ms(), &move);
	app->running = d;
	deployment_wait(d, waiter);
	if (deployment_enter(d, &accepted, &move, envelope->command->sequence) < 0) {
		*err = app->core->fatal;
		deployment_free(d);
		return -1;
	}
	*ret = d;
	*ret_spool = d->spool_fd;
	return 0;
}
