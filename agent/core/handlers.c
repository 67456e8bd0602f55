/* What each action does: one handler each, in the table at the end. The streaming ones are in
 * streams.c. Commands that change something are judged against replay first, and wait for their
 * deployment to get where they want it. */
#include "agent/core/calls.h"
#include "agent/core/drift.h"
#include "agent/core/gateway_process.h"
#include "agent/core/releases.h"
#include "agent/core/streams.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"

#include <pwd.h>
#include <sys/statvfs.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name
#define A(name) FAIRLEAD__V1__ACTION__ACTION_##name

/* ---- waiting for a deployment ---- */

/* The state that answers the call, besides a final one; and whether a final state that is not the
 * goal is an error of the call (nothing was changed) or a result of it. */
static const struct {
	Fairlead__V1__State goal;
	enum { FINAL_IS_RESULT, FINAL_IS_ERROR } final;
} waits[] = {
	[A(PREPARE)] = {S(PREPARED), FINAL_IS_ERROR},
	[A(ROLLBACK)] = {S(PREPARED), FINAL_IS_ERROR},
	[A(ACTIVATE)] = {S(HEALTHY), FINAL_IS_RESULT},
	[A(CONFIRM)] = {S(COMMITTED), FINAL_IS_RESULT},
	[A(ABORT)] = {S(ABORTED), FINAL_IS_RESULT},
	[A(RESOLVE)] = {S(HEALTHY), FINAL_IS_RESULT},
};

static void status_error(const Fairlead__V1__DeploymentStatus *status, struct err *err)
{
	const Fairlead__V1__ErrorDetail *detail = status->error;
	if (!detail) {
		err_set(err, ERR_FAILED, "the deployment was %s",
			machine_state_name(status->state));
		return;
	}
	err_set(err, err_code_from_name(detail->code), "%s", detail->message);
	err_hint(err, "%s", detail->hint);
}

static void on_entered(
	void *user, Fairlead__V1__State state, const Fairlead__V1__DeploymentStatus *status)
{
	struct call *call = user;
	Fairlead__V1__Action action = call->method->action;
	/* A hold is nobody's goal, and nothing goes on by itself after it. */
	if (state != waits[action].goal && !machine_is_final(state) && !machine_is_held(state))
		return;
	if (state != waits[action].goal && waits[action].final == FINAL_IS_ERROR) {
		struct err err = ERR_INIT;
		status_error(status, &err);
		call_fail(call, &err);
		return;
	}
	call_reply(call, &status->base);
}

static struct deployment_waiter waiter_of(struct call *call)
{
	return (struct deployment_waiter){on_entered, call};
}

/* ---- beginning a deployment ---- */

static int same_id(struct bytes id, const struct envelope *envelope)
{
	const ProtobufCBinaryData *asked = &envelope->command->deployment_id;
	return id.len == asked->len && memcmp(id.data, asked->data, id.len) == 0;
}

/* The very command again: go on waiting for it, or hear how it ended. */
static int repeat(struct call *call, const struct envelope *envelope, struct err *err)
{
	struct app *app = call->app;
	if (app->running && same_id(deployment_id(app->running), envelope)) {
		if (call->method->kind == METHOD_CLIENT_STREAM)
			return err_set(err, ERR_LOCKED, "this deployment is running already");
		return 0;
	}
	if (app->last && same_id(PB_BYTES(app->last->deployment_id), envelope)) {
		on_entered(call, app->last->state, app->last);
		return 0;
	}
	return err_set(
		err, ERR_NOT_FOUND, "this deployment has ended, its outcome is in the journal");
}

static int locked(const struct app *app, struct err *err)
{
	err_set(err, ERR_LOCKED, "'%s' is deploying %s/%s (it is %s)",
		deployment_actor(app->running), app->name, app->environment,
		machine_state_name(deployment_state(app->running)));
	if (machine_is_held(deployment_state(app->running)))
		return err_hint(err, "It waits for a decision; `fairlead status` tells how.");
	return err_hint(err, "Wait until it has ended; `fairlead status` shows it.");
}

static void grant_spool(struct call *call, uint64_t bytes, int fd)
{
	Fairlead__V1__SpoolGrant grant = FAIRLEAD__V1__SPOOL_GRANT__INIT;
	Fairlead__V1__ToGateway outer = FAIRLEAD__V1__TO_GATEWAY__INIT;
	grant.call = call->id;
	grant.bytes = bytes;
	outer.spool = &grant;
	call->spooling = 1;
	gateway_process_send(call->core->gateway, &outer, fd);
}

static int begin(struct call *call, const struct envelope *envelope, struct err *err)
{
	struct deployment *deployment = NULL;
	const Fairlead__V1__Command *command = envelope->command;
	int spool = -1;
	if (call->app->running)
		return locked(call->app, err);
	if (deployment_begin(call->app, envelope, waiter_of(call), &deployment, &spool, err) < 0)
		return -1;
	replay_record(&call->core->replay, command->app, command->environment, command->sequence,
		PB_BYTES(command->deployment_id), envelope->command_digest);
	if (spool >= 0 && command->prepare)
		grant_spool(call, command->prepare->bundle_bytes, spool);
	else
		deployment_spooled(deployment, NULL);
	return 0;
}

static int handle_begin(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	enum app_open how = command->prepare ? APP_CREATE : APP_EXISTING;
	if (core_app(call->core, command->app, command->environment, how, &call->app, err) < 0)
		return -1;
	switch (replay_check(&call->core->replay, envelope, err)) {
	case REPLAY_NEW:
		return begin(call, envelope, err);
	case REPLAY_REPEAT:
		return repeat(call, envelope, err);
	case REPLAY_CONFLICT:
	case REPLAY_STALE:
		break;
	}
	core_log("ALARM %s/%s: refused %s: %s", command->app, command->environment,
		call->method->name, err->message);
	return -1;
}

/* ---- going on with it ---- */

static int handle_command(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	if (core_app(call->core, command->app, command->environment, APP_EXISTING, &call->app,
		    err) < 0)
		return -1;
	struct app *app = call->app;
	struct core *core = call->core;
	if (replay_check(&core->replay, envelope, err) != REPLAY_NEW) {
		core_log("ALARM %s/%s: refused %s: %s", command->app, command->environment,
			call->method->name, err->message);
		return -1;
	}
	if (app->running && same_id(deployment_id(app->running), envelope)) {
		int rc = deployment_command(app->running, envelope, waiter_of(call), err);
		/* The call may have been answered, and so be gone. */
		if (rc == DEPLOYMENT_ACTS)
			replay_record(&core->replay, command->app, command->environment,
				command->sequence, PB_BYTES(command->deployment_id), NULL);
		return rc < 0 ? -1 : 0;
	}
	if (app->last && same_id(PB_BYTES(app->last->deployment_id), envelope)) {
		on_entered(call, app->last->state, app->last);
		return 0;
	}
	err_set(err, ERR_NOT_FOUND, "this host knows no such deployment");
	return err_hint(err, "See `fairlead status` for where this host stands.");
}

/* ---- looking ---- */

/* Gather what is known of an app, then hand it to `answer` while it is alive. */
struct view {
	struct core *core;
	uint64_t call; /* looked up again: it may have ended */
	struct app *app;
};

static void answer(struct call *call, Fairlead__V1__AppStatus *status)
{
	if (call->method->action == A(STATUS)) {
		call_reply(call, &status->base);
		return;
	}
	struct core *core = call->core;
	Fairlead__V1__HostDescription host = FAIRLEAD__V1__HOST_DESCRIPTION__INIT;
	char hostname[256] = "";
	struct statvfs fs;
	gethostname(hostname, sizeof(hostname) - 1);
	struct passwd *user = getpwuid(geteuid());
	host.hostname = hostname;
	host.agent_version = pb_str(FAIRLEAD_VERSION);
	host.now_unix_ms = clock_unix_ms();
	if (statvfs(core->config.root, &fs) == 0)
		host.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	host.privilege = core->may_change_user ? pb_str("root")
			 : user                ? user->pw_name
					       : pb_str("?");
	host.app = status;
	call_reply(call, &host.base);
}

/* What `current` points to; while a deployment runs, what it comes from: the other is not verified.
 */
static int verified_release(const struct app *app, const Fairlead__V1__DeploymentStatus *running,
	struct digest *ret, struct err *err)
{
	if (running)
		return digest_from_bytes(
			       running->from_manifest.data, running->from_manifest.len, ret)
			       ? 0
			       : err_set(err, ERR_INVALID, "a manifest digest has not 32 bytes");
	return store_current(&app->store, ret, err);
}

/* What the host is on; *ret NULL when that is no release, or one that nothing is known of. That it
 * cannot be looked at just now is not the same. */
static int read_current(const struct app *app, const Fairlead__V1__DeploymentStatus *running,
	struct digest *ret_digest, Fairlead__V1__ReleaseRecord **ret, struct err *err)
{
	struct err why = ERR_INIT;
	if (verified_release(app, running, ret_digest, &why) == 0 && !digest_is_zero(ret_digest))
		store_record_read(&app->store, ret_digest, ret, &why);
	if (!err_is_of_host(&why))
		return 0;
	*err = why;
	return -1;
}

static void answer_view(struct view *view, struct call *call,
	Fairlead__V1__ServiceStatus *const *services, size_t count)
{
	struct app *app = view->app;
	struct digest digest;
	Fairlead__V1__AppStatus status = FAIRLEAD__V1__APP_STATUS__INIT;
	Fairlead__V1__Release release;
	Fairlead__V1__ReleaseRecord *record = NULL;
	Fairlead__V1__DeploymentStatus *running =
		app->running ? deployment_status(app->running) : NULL;
	AUTO_FREE Fairlead__V1__ServiceStatus **list = xcalloc(count, sizeof(*list));
	if (count)
		memcpy(list, services, count * sizeof(*list));
	status.app = app->name;
	status.environment = app->environment;
	struct err err = ERR_INIT;
	if (read_current(app, running, &digest, &record, &err) < 0) {
		call_fail(call, &err);
		if (running)
			pb_free(&running->base);
		return;
	}
	if (record) {
		release_fill(record, &digest, &release);
		status.current = &release;
	}
	status.running = running;
	status.last = app->last;
	status.n_services = count;
	status.services = list;
	status.last_event = events_last(app->events);
	status.watchers = streams_watching(app);
	status.last_sequence =
		replay_last_sequence(&app->core->replay, app->name, app->environment);
	answer(call, &status);
	if (record)
		pb_free(&record->base);
	if (running)
		pb_free(&running->base);
}

static void on_services(void *user, Fairlead__V1__ServiceStatus *const *statuses, size_t count)
{
	struct view *view = user;
	struct call *call = call_find(view->core, view->call);
	if (call)
		answer_view(view, call, statuses, count);
	free(view);
}

static int handle_view(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	if (core_app(call->core, command->app, command->environment, APP_EXISTING, &call->app,
		    err) < 0) {
		Fairlead__V1__AppStatus none = FAIRLEAD__V1__APP_STATUS__INIT;
		if (err->code != ERR_NOT_FOUND)
			return -1;
		none.app = command->app;
		none.environment = command->environment;
		err_clear(err);
		answer(call, &none);
		return 0;
	}
	struct view *view = xmalloc(sizeof(*view));
	*view = (struct view){call->core, call->id, call->app};
	app_services(call->app, on_services, view);
	return 0;
}

/* ---- the table ---- */

static call_handler_fn *const handlers[] = {
	[A(DESCRIBE)] = handle_view,
	[A(PREPARE)] = handle_begin,
	[A(ACTIVATE)] = handle_command,
	[A(CONFIRM)] = handle_command,
	[A(ABORT)] = handle_command,
	[A(RESOLVE)] = handle_command,
	[A(ROLLBACK)] = handle_begin,
	[A(STATUS)] = handle_view,
	[A(RELEASES)] = handle_releases,
	[A(WATCH)] = handle_watch,
	[A(LOGS)] = handle_logs,
	[A(MANIFEST)] = handle_manifest,
	[A(PIN)] = handle_pin,
	[A(AUDIT)] = handle_audit,
	[A(DRIFT)] = handle_drift,
};

call_handler_fn *call_handler_for(Fairlead__V1__Action action)
{
	return handlers[action];
}
