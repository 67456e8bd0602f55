#include "agent/core/deployment_hooks.h"

#include "agent/core/receipt.h"
#include "agent/core/variables.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "common/os/clock.h"

#include <stdarg.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

struct bytes deployment_id(const struct deployment *d)
{
	return PB_BYTES(d->status->deployment_id);
}

const char *deployment_actor(const struct deployment *d)
{
	return d->status->actor;
}

Fairlead__V1__State deployment_state(const struct deployment *d)
{
	return d->status->state;
}

Fairlead__V1__DeploymentStatus *deployment_status(const struct deployment *d)
{
	return PB_COPY(Fairlead__V1__DeploymentStatus, d->status);
}

/* ---- events for watchers ---- */

void deployment_tell(struct deployment *d, const char *service, uint64_t done, uint64_t total,
	const char *fmt, ...)
{
	char *message = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		abort();
	va_end(ap);
	Fairlead__V1__Event event = FAIRLEAD__V1__EVENT__INIT;
	event.unix_ms = clock_unix_ms();
	event.deployment_id = d->status->deployment_id;
	event.state = d->status->state;
	event.service = pb_str(service);
	event.message = message;
	event.done = done;
	event.total = total;
	event.status = machine_is_final(d->status->state) ? d->status : NULL;
	events_add(d->app->events, &event);
	free(message);
}

/* ---- the deadline ---- */

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

void deployment_explain_deadline(const struct deployment *d, struct err *ret)
{
	static const char *const late[MACHINE_STATE_COUNT] = {
		[S(ACCEPTED)] = "the bundle did not arrive",
		[S(FETCHED)] = "the release was not staged",
		[S(STAGED)] = "the services were not checked",
		[S(PREPARED)] = "it was not activated",
		[S(SWITCHED)] = "the services were not restarted",
		[S(RESTARTED)] = "the services did not become healthy",
		[S(ACTIVATING)] = "the hooks before the switch did not end",
		[S(SERVING)] = "the hooks after the switch did not end",
		[S(HEALTHY)] = "nobody confirmed",
		[S(ROLLING_BACK)] = "the old release did not become healthy",
	};
	const char *what = late[d->status->state];
	err_set(ret, ERR_DEADLINE, "%s within its time", what ? what : "it did not go on");
}

static void on_deadline(uv_timer_t *timer)
{
	struct deployment *d = timer->data;
	struct err err = ERR_INIT;
	deployment_explain_deadline(d, &err);
	deployment_event(d, MACHINE_DEADLINE, &err);
}

static void disarm(struct deployment *d)
{
	if (d->deadline)
		uv_close((uv_handle_t *)TAKE(d->deadline), on_timer_closed);
}

void deployment_arm(struct deployment *d)
{
	struct deadline_now now = core_now(d->app->core);
	deadline_set(&d->deadline_at, d->machine.deadline_unix_ms, &now);
	if (!d->deadline_at.unix_ms) {
		disarm(d);
		return;
	}
	if (!d->deadline) {
		d->deadline = xcalloc(1, sizeof(*d->deadline));
		uv_timer_init(&d->app->core->loop, d->deadline);
		d->deadline->data = d;
	}
	uv_timer_start(d->deadline, on_deadline, deadline_left_ms(&d->deadline_at, &now), 0);
}

/* ---- the one place that changes the state ---- */

void deployment_set_error(struct deployment *d)
{
	Fairlead__V1__ErrorDetail *detail = d->status->error;
	if (d->cause.code == ERR_NONE)
		return;
	if (!detail) {
		detail = xmalloc(sizeof(*detail));
		fairlead__v1__error_detail__init(detail);
		d->status->error = detail;
	}
	pb_set_str(&detail->code, err_code_name(d->cause.code));
	pb_set_str(&detail->message, d->cause.message);
	pb_set_str(&detail->hint, d->cause.hint);
}

/* What a record says beside the state it enters. */
static const char *step_of(const struct deployment *d, Fairlead__V1__State from)
{
	Fairlead__V1__State state = d->machine.state;
	if (machine_is_held(from) && !machine_is_final(state) && state != S(ROLLING_BACK))
		return d->resolved == MACHINE_RESOLVE_DONE ? DEPLOYMENT_STEP_RESOLVED_DONE
							   : DEPLOYMENT_STEP_RESOLVED_REDO;
	if (state == S(SWITCHED))
		return DEPLOYMENT_STEP_SWITCH_BEGIN;
	if (d->blame == MACHINE_BLAME_RELEASE)
		return DEPLOYMENT_STEP_RELEASE_FAILED;
	return "";
}

static int journal_state(
	struct deployment *d, Fairlead__V1__State from, uint64_t sequence, struct err *err)
{
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	Fairlead__V1__State state = d->machine.state;
	record.unix_ms = clock_unix_ms();
	record.deployment_id = d->status->deployment_id;
	record.state = state;
	struct deadline_now now = core_now(d->app->core);
	deadline_set(&d->deadline_at, d->machine.deadline_unix_ms, &now);
	deadline_write(&d->deadline_at, &now, &record);
	record.sequence = sequence;
	record.error = d->status->error;
	record.step = pb_str(step_of(d, from));
	if (state == S(ACCEPTED))
		record.accepted = d->record->accepted;
	if (machine_is_final(state))
		record.status = d->status;
	if (sequence > d->app->sequence)
		d->app->sequence = sequence;
	return journal_append(d->app->journal, &record, err);
}

int deployment_note_hook(
	struct deployment *d, const char *step, Fairlead__V1__Step *hook, struct err *err)
{
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	record.unix_ms = clock_unix_ms();
	record.deployment_id = d->status->deployment_id;
	record.state = d->status->state;
	record.step = pb_str(step);
	record.hook = hook;
	return journal_append(d->app->journal, &record, err);
}

int deployment_note(struct deployment *d, const char *step, struct err *err)
{
	return deployment_note_hook(d, step, NULL, err);
}

static void tell_waiters(struct deployment *d)
{
	for (size_t i = d->waiter_count; i-- > 0;)
		d->waiters[i].entered(d->waiters[i].user, d->status->state, d->status);
}

int deployment_enter(struct deployment *d, const struct machine *after,
	const struct machine_move *move, uint64_t sequence)
{
	d->machine = *after;
	d->status->state = move->to;
	/* A host that has no room or no descriptors left says nothing about the release. */
	if (move->blame == MACHINE_BLAME_RELEASE && !err_is_of_host(&d->cause))
		d->blame = MACHINE_BLAME_RELEASE;
	if (move->to == S(ACTIVATING) || move->to == S(SWITCHED))
		d->activated = 1;
	if (machine_is_final(move->to))
		d->status->ended_unix_ms = clock_unix_ms();
	deployment_set_error(d);
	deployment_set_held(d);
	receipt_make(d);
	struct err err = ERR_INIT;
	if (journal_state(d, move->from, sequence, &err) < 0) {
		core_die(d->app->core, &err);
		return -1;
	}
	deployment_arm(d);
	core_log("%s/%s %.8s: %s -> %s%s%s", d->app->name, d->app->environment,
		d->record->accepted->plan->commit_to, machine_state_name(move->from),
		machine_state_name(move->to), d->cause.code ? ": " : "", d->cause.message);
	/* An end is told when all that belongs to it is known. */
	if (!machine_is_final(move->to))
		deployment_tell(d, "", 0, 0, "%s", d->cause.message);
	return 0;
}

void deployment_free(struct deployment *d)
{
	deployment_stop_acts(d);
	disarm(d);
	if (d->app->running == d)
		d->app->running = NULL;
	for (size_t i = 0; i < d->service_count; i++) {
		if (d->services[i].new_plan)
			pb_free(&d->services[i].new_plan->base);
		if (d->services[i].old_plan)
			pb_free(&d->services[i].old_plan->base);
	}
	free(d->services);
	free(d->hook_text);
	free(d->waiters);
	if (d->spool_fd >= 0)
		close(d->spool_fd);
	if (d->status)
		pb_free(&d->status->base);
	if (d->record)
		pb_free(&d->record->base);
	free(d);
}

/* What kept it from going on no longer does. */
static void forget_cause(struct deployment *d)
{
	err_clear(&d->cause);
	if (d->status->error)
		pb_free(&TAKE(d->status->error)->base);
}

/* Why it will not commit: the first reason stands; later ones follow from it. */
static void take_cause(struct deployment *d, enum machine_event event, const struct err *cause)
{
	if (event == MACHINE_RESOLVE_DONE || event == MACHINE_RESOLVE_REDO)
		forget_cause(d);
	if (cause->code == ERR_NONE)
		return;
	if (d->machine.state != S(ROLLING_BACK)) {
		d->cause = *cause;
		return;
	}
	char first[sizeof(d->cause.message)];
	memcpy(first, d->cause.message, sizeof(first));
	d->cause = *cause;
	err_wrap(&d->cause, "the rollback failed too");
	if (first[0])
		err_hint(&d->cause, "It was rolled back because: %s", first);
}

static void step(struct deployment *d, const struct queued *queued, uint64_t sequence)
{
	struct machine after = d->machine;
	struct machine_move move;
	if (machine_step(&after, queued->event, clock_unix_ms(), &move) == MACHINE_REFUSED) {
		core_log("%s/%s: event %s means nothing in state %s", d->app->name,
			d->app->environment, machine_event_name(queued->event),
			machine_state_name(d->machine.state));
		return;
	}
	take_cause(d, queued->event, &queued->cause);
	d->resolved = queued->event;
	if (deployment_enter(d, &after, &move, sequence) < 0)
		return;
	deployment_act(d, move.act);
	if (!machine_is_final(move.to))
		tell_waiters(d);
}

/* Those who wait have their answer before it is concluded. */
static void bury(struct deployment *d)
{
	if (d->app->core->fatal.code == ERR_NONE) {
		deployment_tell(d, "", 0, 0, "%s", d->cause.message);
		tell_waiters(d);
		deployment_conclude(d);
	}
	deployment_free(d);
}

/* Steps until no event is left; frees a deployment that has ended. */
static void run_queue(struct deployment *d, uint64_t sequence)
{
	if (d->stepping)
		return;
	d->stepping = 1;
	while (d->queued > 0) {
		struct queued queued = d->queue[0];
		memmove(d->queue, d->queue + 1, --d->queued * sizeof(d->queue[0]));
		step(d, &queued, sequence);
		sequence = 0;
	}
	d->stepping = 0;
	if (d->life == DEPLOYMENT_ENDED)
		bury(d);
}

void deployment_end(struct deployment *d)
{
	d->life = DEPLOYMENT_ENDED;
	run_queue(d, 0);
}

static void enqueue(struct deployment *d, enum machine_event event, const struct err *cause)
{
	if (d->queued == QUEUE_MAX)
		return; /* each state raises at most two; eight can only be our own bug */
	d->queue[d->queued++] = (struct queued){event, cause ? *cause : ERR_INIT};
}

void deployment_event(struct deployment *d, enum machine_event event, const struct err *cause)
{
	enqueue(d, event, cause);
	run_queue(d, 0);
}

/* ---- waiters ---- */

void deployment_wait(struct deployment *d, struct deployment_waiter waiter)
{
	d->waiters = xrealloc(d->waiters, (d->waiter_count + 1) * sizeof(*d->waiters));
	d->waiters[d->waiter_count++] = waiter;
}

void deployment_forget(struct deployment *d, const void *user)
{
	size_t kept = 0;
	for (size_t i = 0; i < d->waiter_count; i++)
		if (d->waiters[i].user != user)
			d->waiters[kept++] = d->waiters[i];
	d->waiter_count = kept;
}

/* ---- building ---- */

static struct deployment_service *service_named(struct deployment *d, const char *name)
{
	for (size_t i = 0; i < d->service_count; i++) {
		const Fairlead__V1__ServicePlan *plan =
			d->services[i].new_plan ? d->services[i].new_plan : d->services[i].old_plan;
		if (strcmp(plan->name, name) == 0)
			return &d->services[i];
	}
	d->services = xrealloc(d->services, (d->service_count + 1) * sizeof(*d->services));
	d->services[d->service_count] = (struct deployment_service){0};
	return &d->services[d->service_count++];
}

int deployment_pair_services(struct deployment *d, struct err *err)
{
	const struct agent_config *config = &d->app->core->config;
	for (size_t i = 0; i < d->plan->n_services; i++) {
		Fairlead__V1__ServicePlan *plan = NULL;
		if (!text_is_name(d->plan->services[i]->name)) /* it becomes a file name */
			return err_set(err, ERR_INVALID, "a service has no valid name");
		if (variables_apply(config, d->plan->services[i], &plan, err) < 0)
			return -1;
		service_named(d, plan->name)->new_plan = plan;
	}
	if (digest_is_zero(&d->from))
		return 0;
	Fairlead__V1__ReleaseRecord *old = NULL;
	if (store_record_read(&d->app->store, &d->from, &old, err) < 0)
		return -1;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < old->n_services; i++) {
		Fairlead__V1__ServicePlan *plan = NULL;
		rc = variables_apply(config, old->services[i], &plan, err);
		if (rc == 0)
			service_named(d, plan->name)->old_plan = plan;
	}
	pb_free(&old->base);
	return rc;
}

static Fairlead__V1__DeploymentStatus *new_status(const Fairlead__V1__JournalRecord *record)
{
	const Fairlead__V1__Accepted *accepted = record->accepted;
	const Fairlead__V1__Prepare *plan = accepted->plan;
	Fairlead__V1__DeploymentStatus *status = xmalloc(sizeof(*status));
	fairlead__v1__deployment_status__init(status);
	pb_set_bytes(&status->deployment_id, record->deployment_id.data, record->deployment_id.len);
	pb_set_bytes(
		&status->from_manifest, accepted->from_manifest.data, accepted->from_manifest.len);
	pb_set_bytes(&status->to_manifest, plan->target_manifest.data, plan->target_manifest.len);
	pb_set_str(&status->commit_from, plan->commit_from);
	pb_set_str(&status->commit_to, plan->commit_to);
	pb_set_str(&status->actor, plan->actor);
	status->class_ = plan->class_;
	status->started_unix_ms = record->unix_ms;
	return status;
}

int deployment_build(struct app *app, Fairlead__V1__JournalRecord *record, struct deployment **ret,
	struct err *err)
{
	struct deployment *d = xcalloc(1, sizeof(*d));
	d->app = app;
	d->record = record;
	d->spool_fd = -1;
	d->after_hook = MACHINE_ACT_COUNT;
	d->plan = record->accepted->plan;
	const struct machine_plan plan = {
		.lease_ms = d->plan->lease_ms,
		.activate_timeout_ms = d->plan->activate_timeout_ms,
		.confirm_timeout_ms = d->plan->confirm_timeout_ms,
		.before = deployment_hook_count(d, FAIRLEAD__V1__HOOK_PHASE__HOOK_BEFORE),
		.after = deployment_hook_count(d, FAIRLEAD__V1__HOOK_PHASE__HOOK_AFTER),
	};
	machine_init(&d->machine, &plan);
	d->status = new_status(record);
	if (!digest_from_bytes(
		    d->status->from_manifest.data, d->status->from_manifest.len, &d->from) ||
		!digest_from_bytes(
			d->status->to_manifest.data, d->status->to_manifest.len, &d->to) ||
		digest_is_zero(&d->to)) {
		deployment_free(d);
		return err_set(err, ERR_INVALID, "a manifest digest has not 32 bytes");
	}
	*ret = d;
	return 0;
}

void deployment_spooled(struct deployment *d, const struct err *err)
{
	deployment_event(d, err ? MACHINE_FAIL : MACHINE_FETCHED, err);
}

/* ---- commands ---- */

/* The event that a command is. */
static enum machine_event event_of(const Fairlead__V1__Command *command)
{
	static const enum machine_event commands[] = {
		[FAIRLEAD__V1__ACTION__ACTION_ACTIVATE] = MACHINE_ACTIVATE,
		[FAIRLEAD__V1__ACTION__ACTION_CONFIRM] = MACHINE_CONFIRM,
		[FAIRLEAD__V1__ACTION__ACTION_ABORT] = MACHINE_ABORT,
	};
	static const enum machine_event decisions[] = {
		[FAIRLEAD__V1__DECISION__DECISION_UNSPECIFIED] = MACHINE_EVENT_COUNT,
		[FAIRLEAD__V1__DECISION__DECISION_DONE] = MACHINE_RESOLVE_DONE,
		[FAIRLEAD__V1__DECISION__DECISION_REDO] = MACHINE_RESOLVE_REDO,
		[FAIRLEAD__V1__DECISION__DECISION_UNDO] = MACHINE_RESOLVE_UNDO,
	};
	if (!command->resolve)
		return commands[command->action];
	size_t decision = (size_t)command->resolve->decision;
	return decision < ARRAY_LEN(decisions) ? decisions[decision] : MACHINE_EVENT_COUNT;
}

static int refuse(const struct deployment *d, enum machine_event event, struct err *err)
{
	Fairlead__V1__State state = d->machine.state;
	err_set(err, ERR_PREFLIGHT, "the deployment is %s, which does not take '%s'",
		machine_state_name(state), machine_event_name(event));
	if (machine_is_held(state))
		return err_hint(err, "%s", d->cause.hint);
	return err_hint(err, "See `fairlead status` for where this host stands.");
}

int deployment_command(struct deployment *d, const struct envelope *envelope,
	struct deployment_waiter waiter, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	Fairlead__V1__State state = d->status->state;
	enum machine_event event = event_of(command);
	struct err cause = ERR_INIT;
	if (command->abort)
		err_set(&cause, ERR_CANCELLED, "aborted: %s", command->abort->reason);
	if (event == MACHINE_RESOLVE_UNDO)
		err_set(&cause, ERR_CANCELLED, "'%s' decided to undo it", envelope->signer->name);
	if (machine_is_on_its_way(state, event)) {
		deployment_wait(d, waiter);
		waiter.entered(waiter.user, state, d->status);
		return DEPLOYMENT_WAITS;
	}
	if (!machine_rule(state, event))
		return refuse(d, event, err);
	deployment_wait(d, waiter);
	enqueue(d, event, &cause);
	run_queue(d, command->sequence);
	return DEPLOYMENT_ACTS;
}

void deployment_suspend(struct deployment *d)
{
	deployment_free(d);
}
