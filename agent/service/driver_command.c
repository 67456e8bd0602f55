#include "agent/service/driver_command.h"

#include "agent/service/command_log.h"
#include "agent/service/command_record.h"
#include "agent/service/command_status.h"
#include "agent/service/plan_check.h"
#include "agent/service/script_call.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"

enum {
	ASK_AGAIN_MS = 100,
	/* A start script may return before the service has written its pid file. */
	SHOW_UP_MS = 10000,
};

enum goal { GOAL_START, GOAL_STOP, GOAL_STATUS };

/* One start, stop or status on its way: scripts one after another. */
struct errand {
	uv_timer_t timer;
	const struct service_context *context;
	Fairlead__V1__ServicePlan *plan; /* a copy: who asked may be gone before the answer */
	service_done_fn *done;
	void *user;
	enum goal goal;
	int acted; /* the start or stop script has run */
	uint64_t give_up_ms;
	struct command_record record;
	struct err last; /* why the status script last said nothing */
};

static void ask_status(struct errand *errand);

static void on_closed(uv_handle_t *handle)
{
	struct errand *errand = handle->data;
	pb_free(&errand->plan->base);
	free(errand);
}

static void errand_free(struct errand *errand)
{
	uv_close((uv_handle_t *)&errand->timer, on_closed);
}

static void fail(struct errand *errand, const struct err *err)
{
	service_done_fn *done = errand->done;
	void *user = errand->user;
	struct err why = *err;
	errand_free(errand);
	done(user, NULL, &why);
}

static void succeed(struct errand *errand, const struct command_status *found)
{
	static const char *const states[] = {
		[COMMAND_RUNNING] = "running",
		[COMMAND_STOPPED] = "stopped",
		[COMMAND_DEAD] = "failed",
	};
	struct err none = ERR_INIT;
	const struct command_record *record = &errand->record;
	struct digest release = record->release;
	Fairlead__V1__ServiceStatus status = FAIRLEAD__V1__SERVICE_STATUS__INIT;
	AUTO_FREE char *words = xstrdup(found->words ? found->words : "");
	status.name = errand->plan->name;
	status.driver = pb_str("command");
	status.state = pb_str(states[found->state]);
	status.message = words;
	status.restarts = record->restarts;
	if (found->state == COMMAND_RUNNING && found->pid) {
		status.pid = found->pid;
		status.started_unix_ms = process_unix_ms(record->start_ticks);
	}
	if (!digest_is_zero(&release))
		status.manifest = pb_borrow(release.bytes, DIGEST_SIZE);
	service_done_fn *done = errand->done;
	void *user = errand->user;
	errand_free(errand);
	done(user, &status, &none);
}

static void on_again(uv_timer_t *timer)
{
	ask_status(timer->data);
}

static void ask_again(struct errand *errand)
{
	uv_update_time(errand->context->loop);
	uv_timer_start(&errand->timer, on_again, ASK_AGAIN_MS, 0);
}

/* ---- start and stop ---- */

static void on_acted(void *user, const Fairlead__V1__ScriptEnd *end, const struct err *err)
{
	struct errand *errand = user;
	struct err why = *err;
	int is_start = errand->goal == GOAL_START;
	if (end && (end->timed_out || end->signal || end->status))
		script_failed(is_start ? SCRIPT_START : SCRIPT_STOP, end, &why);
	if (why.code != ERR_NONE) {
		/* Of a start that failed nothing is left (agent/shim/script.h). */
		if (is_start)
			command_record_remove(errand->context->store, errand->plan->name);
		fail(errand, &why);
		return;
	}
	errand->acted = 1;
	errand->give_up_ms =
		clock_mono_ms() + (is_start ? SHOW_UP_MS : errand->plan->stop_timeout_ms);
	ask_status(errand);
}

static void act(struct errand *errand)
{
	int is_start = errand->goal == GOAL_START;
	struct err err = ERR_INIT;
	/* Recorded first: whatever happens from here on, a stop knows whose scripts to run. */
	if ((is_start && command_record_write(errand->context->store, errand->plan->name,
				 &errand->record, &err) < 0) ||
		script_call(errand->context, errand->plan, is_start ? SCRIPT_START : SCRIPT_STOP,
			&errand->record.release, on_acted, errand, &err) < 0)
		fail(errand, &err);
}

static void still_running(struct errand *errand, const struct command_status *found)
{
	struct err err = ERR_INIT;
	AUTO_FREE char *who = found->pid ? xasprintf(", pid %d", found->pid) : xstrdup("");
	if (clock_mono_ms() < errand->give_up_ms) {
		ask_again(errand);
		return;
	}
	err_set(&err, ERR_FAILED, "its stop script ended well, but it still runs%s", who);
	err_hint(&err, "The script may return only when the service has ended.");
	fail(errand, &err);
}

static void not_running(struct errand *errand, const struct command_status *found)
{
	struct err err = ERR_INIT;
	if (clock_mono_ms() < errand->give_up_ms) {
		ask_again(errand);
		return;
	}
	err_set(&err, ERR_FAILED, "its start script ended well, but it does not run%s%s",
		*found->words ? ": " : "", found->words);
	err_hint(&err, "Look at `fairlead logs %s`.", errand->plan->name);
	fail(errand, &err);
}

static void stopped(struct errand *errand)
{
	static const struct command_status none = {.state = COMMAND_STOPPED};
	command_record_remove(errand->context->store, errand->plan->name);
	succeed(errand, &none);
}

/* ---- what the status script says, on the way to each goal ---- */

/* Another process than before is a restart; seen once, it is recorded. */
static void see(struct errand *errand, const struct command_status *found)
{
	if (found->pid && command_record_see(&errand->record, found->pid))
		command_record_write(
			errand->context->store, errand->plan->name, &errand->record, NULL);
}

static void found_for_start(struct errand *errand, const struct command_status *found)
{
	struct err err = ERR_INIT;
	if (!errand->acted && found->state != COMMAND_RUNNING) {
		act(errand);
	} else if (!errand->acted) {
		err_set(&err, ERR_FAILED, "it is running already");
		err_hint(&err, "It was not started by this agent; stop it by hand once.");
		fail(errand, &err);
	} else if (found->state != COMMAND_RUNNING) {
		not_running(errand, found);
	} else {
		see(errand, found);
		succeed(errand, found);
	}
}

static void found_for_stop(struct errand *errand, const struct command_status *found)
{
	if (found->state == COMMAND_STOPPED || (errand->acted && found->state == COMMAND_DEAD))
		stopped(errand);
	else if (!errand->acted)
		act(errand);
	else
		still_running(errand, found);
}

/* The status script itself failed. A stop goes on to its own script, which may know better. */
static void found_nothing(struct errand *errand, const struct err *err)
{
	if (errand->goal == GOAL_STOP && !errand->acted)
		act(errand);
	else
		fail(errand, err);
}

static void on_status(void *user, const Fairlead__V1__ScriptEnd *end, const struct err *err)
{
	struct errand *errand = user;
	struct command_status found = {0};
	struct err why = *err;
	if (!end || command_status_read(end, &found, &why) < 0) {
		found_nothing(errand, &why);
		return;
	}
	switch (errand->goal) {
	case GOAL_START:
		found_for_start(errand, &found);
		break;
	case GOAL_STOP:
		found_for_stop(errand, &found);
		break;
	case GOAL_STATUS:
		see(errand, &found);
		succeed(errand, &found);
		break;
	}
}

static void ask_status(struct errand *errand)
{
	struct err err = ERR_INIT;
	if (script_call(errand->context, errand->plan, SCRIPT_STATUS, &errand->record.release,
		    on_status, errand, &err) < 0)
		found_nothing(errand, &err);
}

/* ---- the operations ---- */

static int check_plan(const Fairlead__V1__ServicePlan *plan, struct err *err)
{
	if (plan_check_name(plan, err) < 0)
		return -1;
	const Fairlead__V1__CommandSpec *command = plan->command;
	if (!command || !command->n_start || !command->n_stop || !command->n_status)
		return err_set(err, ERR_CONFIG, "it lacks a script to start, stop or ask it");
	return 0;
}

static int command_check(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, const char *release_path, struct err *err)
{
	if (check_plan(plan, err) < 0)
		return -1;
	for (int i = 0; i < SCRIPT_ACTION_COUNT; i++) {
		Fairlead__V1__ProcessSpec process;
		script_spec(plan, (enum script_action)i, &process);
		AUTO_FREE char *key =
			xasprintf("commands.%s", script_action_name((enum script_action)i));
		if (plan_check_program(&process, key, release_path, err) < 0)
			return -1;
	}
	return plan_check_process(context, plan->process, err);
}

static struct errand *errand_new(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, enum goal goal, service_done_fn *done, void *user)
{
	struct errand *errand = xcalloc(1, sizeof(*errand));
	errand->context = context;
	errand->plan = PB_COPY(Fairlead__V1__ServicePlan, plan);
	errand->goal = goal;
	errand->done = done;
	errand->user = user;
	uv_timer_init(context->loop, &errand->timer);
	errand->timer.data = errand;
	return errand;
}

static int command_start(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, const struct digest *release, service_done_fn *done,
	void *user, struct err *err)
{
	if (check_plan(plan, err) < 0)
		return -1;
	struct errand *errand = errand_new(context, plan, GOAL_START, done, user);
	errand->record.release = *release;
	uv_timer_start(&errand->timer, on_again, 0, 0);
	return 0;
}

static void on_never_started(uv_timer_t *timer)
{
	static const struct command_status none = {.state = COMMAND_STOPPED};
	succeed(timer->data, &none);
}

static int ask_or_stop(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
	enum goal goal, service_done_fn *done, void *user, struct err *err)
{
	struct command_record record = {0};
	if (check_plan(plan, err) < 0)
		return -1;
	int found = command_record_read(context->store, plan->name, &record, err);
	if (found < 0)
		return -1;
	struct errand *errand = errand_new(context, plan, goal, done, user);
	errand->record = record;
	uv_timer_start(
		&errand->timer, found == COMMAND_RECORD_FOUND ? on_again : on_never_started, 0, 0);
	return 0;
}

static int command_stop(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, enum service_after_stop after, service_done_fn *done,
	void *user, struct err *err)
{
	(void)after;
	return ask_or_stop(context, plan, GOAL_STOP, done, user, err);
}

static int command_status(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, service_done_fn *done, void *user, struct err *err)
{
	return ask_or_stop(context, plan, GOAL_STATUS, done, user, err);
}

const struct service_ops driver_command = {
	.name = "command",
	.check = command_check,
	.start = command_start,
	.stop = command_stop,
	.status = command_status,
	.open_log = command_log_open,
};
