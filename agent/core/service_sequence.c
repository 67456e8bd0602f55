#include "agent/core/service_sequence.h"

#include "common/base/mem.h"

struct service_sequence {
	uv_timer_t
		kick; /* first: freed through its close callback. Starts and ends from the loop */
	const struct service_context *context;
	struct service_step *steps;
	size_t count, next;
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
	free(sequence);
}

static void finish(struct service_sequence *sequence)
{
	uv_close((uv_handle_t *)&sequence->kick, on_closed);
	if (sequence->mode != SEQUENCE_ABANDONED)
		sequence->done(sequence->user, &sequence->err);
}

static void step(struct service_sequence *sequence);

static void on_step_done(
	void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	(void)status;
	struct service_sequence *sequence = user;
	const struct service_step *done = &sequence->steps[sequence->next];
	if (err->code != ERR_NONE) {
		sequence->err = *err;
		err_wrap(&sequence->err, "service '%s'", done->plan->name);
	}
	sequence->next++;
	step(sequence);
}

static int begin(struct service_sequence *sequence, const struct service_step *now)
{
	const struct service_ops *ops = service_ops_find(now->plan->driver);
	if (!ops)
		return err_set(&sequence->err, ERR_CONFIG,
			"service '%s': this agent has no driver '%s'", now->plan->name,
			now->plan->driver);
	sequence->begun(sequence->user, now);
	int rc = now->kind == SERVICE_STEP_STOP
			 ? ops->stop(sequence->context, now->plan, on_step_done, sequence,
				   &sequence->err)
			 : ops->start(sequence->context, now->plan, &now->release, on_step_done,
				   sequence, &sequence->err);
	if (rc < 0)
		err_wrap(&sequence->err, "service '%s'", now->plan->name);
	return rc;
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
