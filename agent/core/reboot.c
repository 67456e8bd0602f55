#include "agent/core/reboot.h"

#include "agent/core/core.h"
#include "agent/core/deployment.h"
#include "agent/core/service_sequence.h"
#include "agent/core/variables.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { BOOT_FILE_MAX = 256 };

/* One app's services on their way, one after another: one that fails keeps none from starting. */
struct revival {
	struct app *app;
	struct digest release;
	Fairlead__V1__ServicePlan **plans; /* of those that do not run, for this host; owned */
	size_t count, next;
	bool failed;
};

static int write_boot(struct app *app, struct err *err)
{
	return file_write_atomic(app->state_dirfd, "boot", BYTES_STR(app->core->boot), 0600, err);
}

int reboot_look(struct app *app, struct err *err)
{
	AUTO(buf) struct buf seen = {0};
	struct err why = ERR_INIT;
	if (app->core->purpose == CORE_TEND)
		return 0;
	if (file_read(app->state_dirfd, "boot", BOOT_FILE_MAX, &seen, &why) == 0) {
		app->rebooted = strcmp(buf_str(&seen), app->core->boot) != 0;
		return 0;
	}
	if (why.code == ERR_NOT_FOUND)
		return write_boot(app, err);
	*err = why;
	return -1;
}

/* ---- one app ---- */

static void revival_end(struct revival *revival)
{
	struct app *app = revival->app;
	struct err err = ERR_INIT;
	app->revival = NULL;
	if (!revival->failed) {
		app->rebooted = 0;
		if (write_boot(app, &err) < 0)
			core_log("%s/%s: %s", app->name, app->environment, err.message);
	}
	for (size_t i = 0; i < revival->count; i++)
		pb_free(&revival->plans[i]->base);
	free(revival->plans);
	free(revival);
}

static void start_next(struct revival *revival);

static void on_begun(void *user, const struct service_step *step)
{
	const struct revival *revival = user;
	core_log("%s/%s: the host was rebooted: starting service '%s'", revival->app->name,
		revival->app->environment, step->plan->name);
}

static void on_started(void *user, const struct err *err)
{
	struct revival *revival = user;
	if (err->code != ERR_NONE) {
		core_log("ALARM %s/%s: after the reboot: %s", revival->app->name,
			revival->app->environment, err->message);
		revival->failed = true;
	}
	start_next(revival);
}

static void start_next(struct revival *revival)
{
	if (revival->next == revival->count) {
		revival_end(revival);
		return;
	}
	struct service_step *step = xcalloc(1, sizeof(*step));
	*step = (struct service_step){.kind = SERVICE_STEP_START,
		.plan = revival->plans[revival->next++],
		.release = revival->release};
	service_sequence_start(&revival->app->services, step, 1, on_begun, on_started, revival);
}

static void add_plan(struct revival *revival, const Fairlead__V1__ServicePlan *plan)
{
	struct app *app = revival->app;
	struct err err = ERR_INIT;
	if (variables_apply(&app->core->config, plan, &revival->plans[revival->count], &err) == 0) {
		revival->count++;
		return;
	}
	core_log("ALARM %s/%s: after the reboot: service '%s': %s", app->name, app->environment,
		plan->name, err.message);
	revival->failed = true;
}

static bool runs(const Fairlead__V1__ServiceStatus *status)
{
	return strcmp(status->state, "running") == 0 || strcmp(status->state, "backing-off") == 0;
}

/* A deployment that began meanwhile has the services for itself; it ends, and then this is done. */
static bool may_go_on(const struct app *app)
{
	if (!app->running)
		return true;
	Fairlead__V1__State state = deployment_state(app->running);
	return state <= S(PREPARED) || machine_is_held(state);
}

static void on_services(void *user, Fairlead__V1__ServiceStatus *const *statuses, size_t count)
{
	struct revival *revival = user;
	struct app *app = revival->app;
	Fairlead__V1__ReleaseRecord *record = NULL;
	struct err err = ERR_INIT;
	if (!may_go_on(app)) {
		revival->failed = true; /* not done */
	} else if (store_current(&app->store, &revival->release, &err) == 0 &&
		   !digest_is_zero(&revival->release) &&
		   store_record_read(&app->store, &revival->release, &record, &err) == 0) {
		revival->plans = xcalloc(record->n_services + 1, sizeof(*revival->plans));
		for (size_t i = 0; i < record->n_services && i < count; i++)
			if (!runs(statuses[i]))
				add_plan(revival, record->services[i]);
		pb_free(&record->base);
	}
	if (err.code != ERR_NONE) {
		core_log("ALARM %s/%s: after the reboot: %s", app->name, app->environment,
			err.message);
		revival->failed = true;
	}
	start_next(revival);
}

static void revive(struct app *app)
{
	if (app->revival)
		return;
	app->revival = xcalloc(1, sizeof(*app->revival));
	app->revival->app = app;
	app_services(app, on_services, app->revival);
}

/* ---- all ---- */

bool reboot_is_busy(const struct core *core)
{
	for (const struct app *app = core->apps; app; app = app->next)
		if (app->revival)
			return true;
	return false;
}

void reboot_finish(struct core *core)
{
	while (reboot_is_busy(core) && core->fatal.code == ERR_NONE)
		uv_run(&core->loop, UV_RUN_ONCE);
}

void reboot_start_services(struct core *core)
{
	for (struct app *app = core->apps; app; app = app->next)
		if (app->rebooted && may_go_on(app))
			revive(app);
	reboot_finish(core);
}

void reboot_deployment_ended(struct app *app)
{
	if (app->rebooted)
		revive(app);
}
