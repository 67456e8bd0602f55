#include "agent/core/app.h"

#include "agent/core/core.h"
#include "agent/core/deployment.h"
#include "agent/core/page.h"
#include "agent/core/reboot.h"
#include "agent/core/worker.h"
#include "agent/hook/hook.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

/* ---- opening: what the journal says ---- */

struct replaying {
	struct app *app;
	struct deployment_past past;
};

static void take_last(struct app *app, const Fairlead__V1__DeploymentStatus *status)
{
	if (app->last)
		pb_free(&app->last->base);
	app->last = PB_COPY(Fairlead__V1__DeploymentStatus, status);
}

static int on_record(
	void *user, uint64_t number, const Fairlead__V1__JournalRecord *record, struct err *err)
{
	(void)number;
	(void)err;
	struct replaying *replaying = user;
	struct app *app = replaying->app;
	if (record->sequence > app->sequence)
		app->sequence = record->sequence;
	if (record->segment) {
		page_replay(app, record->segment);
		if (record->segment->last)
			take_last(app, record->segment->last);
		return 0;
	}
	const Fairlead__V1__Accepted *accepted = record->accepted;
	bool has_digest = accepted && accepted->command_digest.len == DIGEST_SIZE;
	replay_record(&app->core->replay, app->name, app->environment, record->sequence,
		PB_BYTES(record->deployment_id), has_digest ? accepted->command_digest.data : NULL);
	if (record->pin)
		return 0; /* done, or to be asked for again; only its sequence matters */
	deployment_past_add(&replaying->past, record);
	if (record->status)
		take_last(app, record->status);
	return 0;
}

/* The directory's name does not tell where the app ends and the environment begins; state/app does.
 */
static int write_identity(struct app *app, struct err *err)
{
	AUTO_FREE char *identity = xasprintf("%s\n%s\n", app->name, app->environment);
	if (faccessat(app->state_dirfd, "app", F_OK, 0) == 0)
		return 0;
	return file_write_atomic(app->state_dirfd, "app", BYTES_STR(identity), 0600, err);
}

static int open_state(struct app *app, struct err *err)
{
	struct replaying replaying = {.app = app};
	app->state_dirfd = open_beneath(app->store.dirfd, "state", O_RDONLY | O_DIRECTORY, 0, err);
	if (app->state_dirfd < 0)
		return -1;
	int rc = write_identity(app, err);
	if (rc == 0)
		rc = events_open(app->state_dirfd, core_events_added, app, &app->events, err);
	if (rc == 0)
		rc = journal_open(
			app->state_dirfd, "journal", on_record, &replaying, &app->journal, err);
	if (rc == 0)
		rc = reboot_look(app, err);
	if (rc == 0 && app->core->purpose != CORE_TEND)
		rc = deployment_recover(app, &replaying.past, err);
	deployment_past_release(&replaying.past);
	return rc;
}

int app_open(struct core *core, const char *name, const char *environment, enum app_open how,
	struct app **ret, struct err *err)
{
	struct app *app = xcalloc(1, sizeof(*app));
	app->core = core;
	app->state_dirfd = -1;
	app->store.dirfd = -1;
	app->name = xstrdup(name);
	app->environment = xstrdup(environment);
	app->hook_place = hook_place(core->config.root, name, environment);
	int rc = how == APP_CREATE
			 ? store_open(core->config.root, name, environment, &app->store, err)
			 : store_open_existing(
				   core->config.root, name, environment, &app->store, err);
	app->services = (struct service_context){
		.loop = &core->loop,
		.store = &app->store,
		.shim_path = core->shim_path,
		.may_change_user = core->may_change_user,
	};
	if (rc == 0)
		rc = open_state(app, err);
	if (rc < 0) {
		err_wrap(err, "%s/%s", name, environment);
		app_close(app);
		return -1;
	}
	*ret = app;
	return 0;
}

void app_close(struct app *app)
{
	if (app->running)
		deployment_suspend(app->running);
	app_stop_pruning(app);
	journal_close(app->journal);
	events_close(app->events);
	if (app->last)
		pb_free(&app->last->base);
	if (app->state_dirfd >= 0)
		close(app->state_dirfd);
	store_release(&app->store);
	free(app->name);
	free(app->environment);
	free(app->hook_place);
	free(app);
}

/* ---- asking the services ---- */

struct inquiry {
	uv_timer_t kick; /* first: freed through its close callback */
	struct app *app;
	Fairlead__V1__ReleaseRecord *record; /* NULL: no release yet */
	Fairlead__V1__ServiceStatus **statuses;
	size_t count, next;
	app_services_fn *done;
	void *user;
};

static void on_inquiry_closed(uv_handle_t *handle)
{
	struct inquiry *inquiry = (struct inquiry *)handle;
	for (size_t i = 0; i < inquiry->count; i++)
		pb_free(&inquiry->statuses[i]->base);
	free(inquiry->statuses);
	if (inquiry->record)
		pb_free(&inquiry->record->base);
	free(inquiry);
}

static void ask_next(struct inquiry *inquiry);

/* A service that cannot be asked is listed with the reason. */
static void add_status(
	struct inquiry *inquiry, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	const Fairlead__V1__ServicePlan *plan = inquiry->record->services[inquiry->next];
	Fairlead__V1__ServiceStatus said = FAIRLEAD__V1__SERVICE_STATUS__INIT;
	said.state = pb_str("unknown");
	said.message = pb_str(err->message);
	if (status && err->code == ERR_NONE)
		said = *status;
	said.name = plan->name;
	said.driver = plan->driver;
	inquiry->statuses[inquiry->count++] = PB_COPY(Fairlead__V1__ServiceStatus, &said);
	inquiry->next++;
}

static void on_status(void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	struct inquiry *inquiry = user;
	add_status(inquiry, status, err);
	ask_next(inquiry);
}

static void ask_next(struct inquiry *inquiry)
{
	size_t total = inquiry->record ? inquiry->record->n_services : 0;
	while (inquiry->next < total) {
		const Fairlead__V1__ServicePlan *plan = inquiry->record->services[inquiry->next];
		const struct service_ops *ops = service_ops_find(plan->driver);
		struct err err = ERR_INIT;
		if (!ops)
			err_set(&err, ERR_CONFIG, "this agent has no driver '%s'", plan->driver);
		else if (ops->status(&inquiry->app->services, plan, on_status, inquiry, &err) == 0)
			return;
		add_status(inquiry, NULL, &err);
	}
	inquiry->done(inquiry->user, inquiry->statuses, inquiry->count);
	uv_close((uv_handle_t *)&inquiry->kick, on_inquiry_closed);
}

static void on_kick(uv_timer_t *timer)
{
	ask_next((struct inquiry *)timer);
}

void app_services(struct app *app, app_services_fn *done, void *user)
{
	struct inquiry *inquiry = xcalloc(1, sizeof(*inquiry));
	struct digest current;
	inquiry->app = app;
	inquiry->done = done;
	inquiry->user = user;
	if (store_current(&app->store, &current, NULL) == 0 && !digest_is_zero(&current) &&
		store_record_read(&app->store, &current, &inquiry->record, NULL) == 0)
		inquiry->statuses =
			xcalloc(inquiry->record->n_services, sizeof(Fairlead__V1__ServiceStatus *));
	uv_timer_init(&app->core->loop, &inquiry->kick);
	uv_timer_start(&inquiry->kick, on_kick, 0, 0);
}

/* ---- keeping and pruning ---- */

static void keep(struct digest *list, size_t *count, const struct digest *digest)
{
	for (size_t i = 0; i < *count; i++)
		if (digest_equal(&list[i], digest))
			return;
	if (*count < APP_KEEP_MAX && !digest_is_zero(digest))
		list[(*count)++] = *digest;
}

size_t app_kept_releases(const struct app *app, Fairlead__V1__ServiceStatus *const *statuses,
	size_t count, struct digest ret[static APP_KEEP_MAX])
{
	size_t kept = 0;
	struct digest digest;
	if (store_current(&app->store, &digest, NULL) == 0)
		keep(ret, &kept, &digest);
	for (size_t i = 0; i < count; i++)
		if (digest_from_bytes(
			    statuses[i]->manifest.data, statuses[i]->manifest.len, &digest))
			keep(ret, &kept, &digest);
	Fairlead__V1__ReleaseRecord **records = NULL;
	size_t record_count = 0, verified = 0;
	if (store_records(&app->store, &records, &record_count, NULL) < 0)
		return kept;
	/* The current one and the one before it: what a rollback goes to. */
	for (size_t i = 0; i < record_count && verified < 2; i++) {
		if (!records[i]->verified)
			continue;
		verified++;
		if (digest_from_bytes(records[i]->manifest.data, records[i]->manifest.len, &digest))
			keep(ret, &kept, &digest);
	}
	store_records_free(records, record_count);
	return kept;
}

static int prune_work(void *user, struct worker_pipe *pipe, struct err *err)
{
	(void)pipe;
	const struct app *app = user;
	return store_prune(&app->store, &app->keeping, err);
}

static void on_pruned(void *user, const struct err *err)
{
	struct app *app = user;
	app->pruner = NULL;
	if (err->code != ERR_NONE)
		core_log("%s/%s: pruning: %s", app->name, app->environment, err->message);
}

static void on_prune_services(
	void *user, Fairlead__V1__ServiceStatus *const *statuses, size_t count)
{
	struct app *app = user;
	if (app->running || app->pruner)
		return; /* the next deployment prunes after itself */
	app->keeping.list = app->kept;
	app->keeping.count = app_kept_releases(app, statuses, count, app->kept);
	struct err err = ERR_INIT;
	if (worker_start(&app->core->loop, prune_work, NULL, on_pruned, app, &app->pruner, &err) <
		0)
		core_log("%s/%s: pruning: %s", app->name, app->environment, err.message);
}

void app_prune(struct app *app, struct store_keep keep)
{
	if (!keep.releases)
		return;
	app->keeping = keep;
	app_services(app, on_prune_services, app);
}

void app_stop_pruning(struct app *app)
{
	worker_kill(TAKE(app->pruner));
}
