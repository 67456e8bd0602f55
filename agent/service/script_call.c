#include "agent/service/script_call.h"

#include "agent/service/shim_start.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "common/os/spawn.h"

enum {
	DEFAULT_TIMEOUT_MS = 60 * 1000, /* of a plan that does not say */
	GRACE_MS = 15 * 1000,           /* beyond the deadline, which the shim enforces */
	LAST_LINE_MAX = 200,
};

struct script_run {
	enum script_action action;
	script_done_fn *done;
	void *user;
};

const char *script_action_name(enum script_action action)
{
	static const char *const names[] = {
		[SCRIPT_START] = "start",
		[SCRIPT_STOP] = "stop",
		[SCRIPT_STATUS] = "status",
	};
	static_assert(ARRAY_LEN(names) == SCRIPT_ACTION_COUNT, "an action without a name");
	return names[action];
}

void script_spec(const Fairlead__V1__ServicePlan *plan, enum script_action action,
	Fairlead__V1__ProcessSpec *ret)
{
	const Fairlead__V1__CommandSpec *command = plan->command;
	fairlead__v1__process_spec__init(ret);
	if (plan->process)
		*ret = *plan->process;
	const struct {
		size_t count;
		ProtobufCBinaryData *argv;
	} scripts[] = {
		[SCRIPT_START] = {command->n_start, command->start},
		[SCRIPT_STOP] = {command->n_stop, command->stop},
		[SCRIPT_STATUS] = {command->n_status, command->status},
	};
	ret->n_command = scripts[action].count;
	ret->command = scripts[action].argv;
}

uint64_t script_timeout_ms(const Fairlead__V1__ServicePlan *plan, enum script_action action)
{
	const uint64_t timeouts[] = {
		[SCRIPT_START] = plan->command->start_timeout_ms,
		[SCRIPT_STOP] = plan->stop_timeout_ms,
		[SCRIPT_STATUS] = plan->command->status_timeout_ms,
	};
	return timeouts[action] ? timeouts[action] : DEFAULT_TIMEOUT_MS;
}

/* The operation goes first: `done` may begin the next one. */
static void answer(struct operation *op, const Fairlead__V1__ScriptEnd *end, const struct err *err)
{
	struct script_run run = *(struct script_run *)op->user;
	free(op->user);
	operation_free(op);
	run.done(run.user, end, err);
}

static void complete(struct operation *op)
{
	struct err err = ERR_INIT;
	Fairlead__V1__ShimReply *reply = NULL;
	const char *name = script_action_name(((struct script_run *)op->user)->action);
	if (op->received.len == 0)
		err_set(&err, ERR_FAILED, "the supervisor of its %s script died", name);
	else if (PB_UNPACK(fairlead__v1__shim_reply, buf_bytes(&op->received), &reply, &err) == 0 &&
		 !reply->script) {
		const char *words = reply->status ? reply->status->message : "it has no end";
		err_set(&err, ERR_FAILED, "its %s script: %.*s", name, (int)strcspn(words, "\n"),
			words);
		const char *hint = strchr(words, '\n');
		if (hint)
			err_hint(&err, "%s", hint + 1);
	}
	answer(op, reply && err.code == ERR_NONE ? reply->script : NULL, &err);
	if (reply)
		pb_free(&reply->base);
}

static void timed_out(uv_timer_t *timer)
{
	struct operation *op = timer->data;
	struct err err = ERR_INIT;
	err_set(&err, ERR_DEADLINE, "the supervisor of its %s script does not answer",
		script_action_name(((struct script_run *)op->user)->action));
	answer(op, NULL, &err);
}

int script_call(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
	enum script_action action, const struct digest *release, script_done_fn *done, void *user,
	struct err *err)
{
	AUTO(shim_spec_text) struct shim_spec_text text;
	Fairlead__V1__ShimSpec spec;
	Fairlead__V1__ProcessSpec process;
	AUTO_FREE char *name = xstrdup(script_action_name(action));
	script_spec(plan, action, &process);
	if (!context->may_change_user)
		process.user = pb_str("");
	shim_spec_init(&spec, context, plan, release, "lock", &text);
	spec.process = &process;
	spec.script_action = name;
	spec.script_timeout_ms = script_timeout_ms(plan, action);
	struct script_run *run = xcalloc(1, sizeof(*run));
	*run = (struct script_run){action, done, user};
	struct operation *op = operation_new(context, plan->name, NULL, run);
	if (shim_start(op, &spec, complete, err) < 0) {
		free(run);
		operation_free(op);
		return -1;
	}
	operation_after(op, spec.script_timeout_ms + GRACE_MS, timed_out);
	return 0;
}

/* Of what it wrote, for the one line an error has; the log has it all. */
static struct bytes last_line(ProtobufCBinaryData output)
{
	size_t end = output.len;
	while (end > 0 && output.data[end - 1] == '\n')
		end--;
	size_t from = end;
	while (from > 0 && output.data[from - 1] != '\n' && end - from < LAST_LINE_MAX)
		from--;
	return BYTES(output.data + from, end - from);
}

int script_failed(enum script_action action, const Fairlead__V1__ScriptEnd *end, struct err *err)
{
	const char *name = script_action_name(action);
	char how[SPAWN_END_SIZE];
	AUTO(buf) struct buf words = {0};
	struct bytes line = last_line(end->output);
	if (line.len) {
		buf_append_str(&words, ": ");
		text_escape(&words, line);
	}
	if (end->timed_out) {
		err_set(err, ERR_DEADLINE, "its %s script was not over in time%s", name,
			buf_str(&words));
		return err_hint(err, "It was killed with all it had started; its deadline is %s.",
			action == SCRIPT_STOP ? "stop.timeout" : "in the section commands");
	}
	const struct spawn_end ended = {end->status, end->signal};
	return err_set(err, ERR_FAILED, "its %s script %s%s", name, spawn_end_text(&ended, how),
		buf_str(&words));
}
