#include "agent/core/service_sequence.h"

#include "common/base/mem.h"

struct service_sequence {
	uv_timer_t
		kick; /* first: freed through its close callback. Starts and ends from the loop */
	const struct service_context *context;
	struct service_step *steps;
	size_t count, next;
	struct service_identity
		*before; /* of the service of each step, as it was before the sequence */
	enum { SEQUENCE_RUNNING, SEQUENCE_STOPPING, SEQUENCE_ABANDONED } mode;
	struct err err;
	service_sequence_step_fn *begun;
	service_sequence_done_fn *done;
	void *user;
};

static void on_closed(uv_handle_t *handle)
{
	struct service_sequence *sequence = (struct service_sequence *)handle;
	free(sequence->steps);
	free(sequence->before);
	free(sequence);
}

static void finish(struct service_sequence *sequence)
{
	uv_close((uv_handle_t *)&sequence->kick, on_closed);
	if (sequence->mode != SEQUENCE_ABANDONED)
		sequence->done(sequence->user, &sequence->err);
}

static void step(struct service_sequence *sequence);

int service_started_anew(const struct service_step *step, const struct service_identity *before,
	const Fairlead__V1__ServiceStatus *status, struct err *err)
{
	if (!status || status->pid == 0)
		return 0;
	if (before->pid == status->pid && before->started_unix_ms == status->started_unix_ms)
		return err_set(err, ERR_FAILED,
			"was not restarted: process %lld is still the one from before",
			(long long)status->pid);
	if (before->pid && status->started_unix_ms < before->started_unix_ms)
		return err_set(err, ERR_FAILED,
			"was not restarted: process %lld is older than the one from before",
			(long long)status->pid);
	if (status->manifest.len == DIGEST_SIZE &&
		memcmp(status->manifest.data, step->release.bytes, DIGEST_SIZE) != 0)
		return err_set(err, ERR_FAILED, "process %lld was started from another release",
			(long long)status->pid);
	return 0;
}

/* The start that follows a stop is of the same service. */
static const struct service_identity *before_of(
	const struct service_sequence *sequence, size_t number)
{
	static const struct service_identity none;
	size_t stop = number - 1;
	if (number == 0 || sequence->steps[stop].kind != SERVICE_STEP_STOP ||
		sequence->steps[stop].tag != sequence->steps[number].tag)
		return &none;
	return &sequence->before[stop];
}

static void on_step_done(
	void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	struct service_sequence *sequence = user;
	const struct service_step *done = &sequence->steps[sequence->next];
	sequence->err = *err;
	if (sequence->mode == SEQUENCE_ABANDONED) {
		finish(sequence); /* the plans are gone */
		return;
	}
	if (err->code == ERR_NONE && done->kind == SERVICE_STEP_START)
		service_started_anew(
			done, before_of(sequence, sequence->next), status, &sequence->err);
	if (sequence->err.code != ERR_NONE)
		err_wrap(&sequence->err, "service '%s'", done->plan->name);
	sequence->next++;
	step(sequence);
}

/* A start of the same service right behind a stop is a restart. */
static enum service_after_stop after_stop(const struct service_sequence *sequence)
{
	const struct service_step *now = &sequence->steps[sequence->next];
	return sequence->next + 1 < sequence->count && now[1].kind == SERVICE_STEP_START &&
			       strcmp(now[1].plan->name, now->plan->name) == 0
		       ? SERVICE_STARTS_AGAIN
		       : SERVICE_ENDS;
}

static int act(struct service_sequence *sequence, const struct service_step *now)
{
	const struct service_ops *ops = service_ops_find(now->plan->driver);
	int rc = now->kind == SERVICE_STEP_STOP
			 ? ops->stop(sequence->context, now->plan, after_stop(sequence),
				   on_step_done, sequence, &sequence->err)
			 : ops->start(sequence->context, now->plan, &now->release, on_step_done,
				   sequence, &sequence->err);
	return rc < 0 ? err_wrap(&sequence->err, "service '%s'", now->plan->name) : 0;
}

/* What runs now, before it is stopped. One that cannot be asked runs as far as we know not. */
static void on_asked(void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	struct service_sequence *sequence = user;
	if (err->code == ERR_NONE && status)
		sequence->before[sequence->next] =
			(struct service_identity){status->pid, status->started_unix_ms};
	if (sequence->mode != SEQUENCE_RUNNING)
		step(sequence);
	else if (act(sequence, &sequence->steps[sequence->next]) < 0)
		finish(sequence);
}

static int begin(struct service_sequence *sequence, const struct service_step *now)
{
	const struct service_ops *ops = service_ops_find(now->plan->driver);
	if (!ops)
		return err_set(&sequence->err, ERR_CONFIG,
			"service '%s': this agent has no driver '%s'", now->plan->name,
			now->plan->driver);
	sequence->begun(sequence->user, now);
	if (now->kind == SERVICE_STEP_STOP &&
		ops->status(sequence->context, now->plan, on_asked, sequence, NULL) == 0)
		return 0;
	return act(sequence, now);
}

static void step(struct service_sequence *sequence)
{
	if (sequence->err.code == ERR_NONE && sequence->mode != SEQUENCE_RUNNING)
		err_set(&sequence->err, ERR_CANCELLED, "stopped on request");
	if (sequence->err.code != ERR_NONE || sequence->next == sequence->count ||
		begin(sequence, &sequence->steps[sequence->next]) < 0)
		finish(sequence);
}

static void on_kick(uv_timer_t *timer)
{
	step((struct service_sequence *)timer);
}

struct service_sequence *service_sequence_start(const struct service_context *context,
	struct service_step *steps, size_t count, service_sequence_step_fn *begun,
	service_sequence_done_fn *done, void *user)
{
	struct service_sequence *sequence = xcalloc(1, sizeof(*sequence));
	sequence->context = context;
	sequence->steps = steps;
	sequence->count = count;
	sequence->before = xcalloc(count + 1, sizeof(*sequence->before));
	sequence->begun = begun;
	sequence->done = done;
	sequence->user = user;
	uv_timer_init(context->loop, &sequence->kick);
	uv_timer_start(&sequence->kick, on_kick, 0, 0);
	return sequence;
}

void service_sequence_stop(struct service_sequence *sequence)
{
	sequence->mode = SEQUENCE_STOPPING;
}

void service_sequence_abandon(struct service_sequence *sequence)
{
	if (sequence)
		sequence->mode = SEQUENCE_ABANDONED;
}
