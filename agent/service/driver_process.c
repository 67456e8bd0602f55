#include "agent/service/driver_process.h"

#include "agent/service/orphan.h"
#include "agent/service/plan_check.h"
#include "agent/service/shim_start.h"
#include "agent/shim/control.h"
#include "agent/shim/policy.h"
#include "agent/shim/signals.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/endpoint.h"
#include "common/os/file.h"
#include "common/os/packet.h"

#include <errno.h>
#include <signal.h>

enum {
	START_TIMEOUT_MS = 15000,
	STATUS_TIMEOUT_MS = 5000,
	/* Beyond stop_timeout_ms: what a shim started by an older plan may still have to wait. */
	STOP_GRACE_MS = 90000,
	ORPHAN_POLL_MS = 20,
};

static int check_sockets(const Fairlead__V1__ProcessSpec *process, struct err *err)
{
	struct endpoint endpoint;
	if (process->n_sockets > ENDPOINTS_MAX)
		return err_set(err, ERR_CONFIG, "more than %d sockets", ENDPOINTS_MAX);
	for (size_t i = 0; i < process->n_sockets; i++)
		if (endpoint_parse(process->sockets[i], &endpoint) < 0) {
			err_set(err, ERR_CONFIG, "'%s' in its sockets is no address",
				process->sockets[i]);
			return err_hint(err, "Write for example 127.0.0.1:8080 or [::1]:8080.");
		}
	return 0;
}

/* What the shim relies on. */
static int check_plan(const Fairlead__V1__ServicePlan *plan, struct err *err)
{
	if (plan_check_name(plan, err) < 0)
		return -1;
	if (!signals_number(plan->stop_signal)) {
		err_set(err, ERR_CONFIG, "there is no signal '%s'", plan->stop_signal);
		return err_hint(err, "Write it without SIG, as in TERM, INT or QUIT.");
	}
	if (!plan->process || plan->process->n_command == 0)
		return err_set(err, ERR_CONFIG, "it has no command");
	struct policy policy;
	if (policy_init(&policy, plan->process->restart, err) < 0)
		return -1;
	return check_sockets(plan->process, err);
}

static int process_check(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, const char *release_path, struct err *err)
{
	if (check_plan(plan, err) < 0 ||
		plan_check_program(plan->process, "command", release_path, err) < 0)
		return -1;
	return plan_check_process(context, plan->process, err);
}

/* start */

/* The shim's own words: a message, and perhaps a hint on a second line. */
static int start_failed(enum err_code code, const char *words, struct err *err)
{
	const char *hint = strchr(words, '\n');
	int len = hint ? (int)(hint - words) : (int)strlen(words);
	err_set(err, code, "%.*s", len, words);
	return hint ? err_hint(err, "%s", hint + 1) : -1;
}

/* How a reply's status `failed` reads: as a fact for status, as a failure for start. */
enum failed_means { FAILED_IS_A_STATUS, FAILED_IS_AN_ERROR };

static void give_reply(struct operation *op, enum failed_means failed)
{
	struct err err = ERR_INIT;
	Fairlead__V1__ShimReply *reply = NULL;
	if (op->received.len == 0)
		err_set(&err, ERR_FAILED, "its supervisor died");
	else if (PB_UNPACK(fairlead__v1__shim_reply, buf_bytes(&op->received), &reply, &err) == 0 &&
		 !reply->status)
		err_set(&err, ERR_INVALID, "its supervisor answers without a status");
	else if (reply && failed == FAILED_IS_AN_ERROR &&
		 strcmp(reply->status->state, "failed") == 0)
		start_failed(ERR_FAILED, reply->status->message, &err);
	else if (reply && failed == FAILED_IS_AN_ERROR &&
		 strcmp(reply->status->state, "error") == 0)
		start_failed(ERR_INTERNAL, reply->status->message, &err);
	if (err.code == ERR_NONE && reply)
		operation_finish(op, reply->status);
	else
		operation_fail(op, &err);
	if (reply)
		pb_free(&reply->base);
}

static void start_complete(struct operation *op)
{
	give_reply(op, FAILED_IS_AN_ERROR);
}

static void timed_out(uv_timer_t *timer)
{
	struct operation *op = timer->data;
	struct err err = ERR_INIT;
	err_set(&err, ERR_DEADLINE, "its supervisor does not answer");
	err_hint(&err, "Look for a fairlead-shim that hangs on this host's disk.");
	operation_fail(op, &err);
}

static int process_start(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, const struct digest *release, service_done_fn *done,
	void *user, struct err *err)
{
	if (check_plan(plan, err) < 0)
		return -1;
	AUTO(shim_spec_text) struct shim_spec_text text;
	Fairlead__V1__ShimSpec spec;
	Fairlead__V1__ProcessSpec process = *plan->process;
	if (!context->may_change_user)
		process.user = pb_str("");
	shim_spec_init(&spec, context, plan, release, "sock", &text);
	spec.process = &process;
	spec.stop_signal = plan->stop_signal;
	spec.stop_timeout_ms = plan->stop_timeout_ms;
	struct operation *op = operation_new(context, plan->name, done, user);
	if (shim_start(op, &spec, start_complete, err) < 0) {
		operation_free(op);
		return -1;
	}
	operation_after(op, START_TIMEOUT_MS, timed_out);
	return 0;
}

/* status and stop */

static int open_services(const struct service_context *context, struct err *err)
{
	return open_beneath(
		context->store->dirfd, shim_service_dir, O_RDONLY | O_DIRECTORY, 0, err);
}

/* ERR_NOT_FOUND: no shim there. ERR_UNREACHABLE: it hung up. */
static int ask_shim(struct operation *op, uv_poll_cb readable, struct err *err)
{
	AUTO_CLOSE int dirfd = open_services(op->context, err);
	if (dirfd < 0)
		return -1;
	AUTO_FREE char *name = xasprintf("%s.sock", op->service);
	AUTO_CLOSE int fd = control_connect(dirfd, name, err);
	if (fd < 0)
		return -1;
	Fairlead__V1__ShimRequest request = FAIRLEAD__V1__SHIM_REQUEST__INIT;
	request.verb = op->verb;
	AUTO(buf) struct buf packet = {0};
	PB_PACK(&request, &packet);
	struct err why = ERR_INIT;
	int rc = packet_send(fd, buf_bytes(&packet), -1, &why);
	if (rc == PACKET_BLOCKED)
		return err_set(err, ERR_INTERNAL, "its supervisor takes no requests");
	if (rc < 0) {
		*err = why;
		return err_wrap(err, "its supervisor");
	}
	return operation_wait(op, TAKE_FD(fd), readable, err);
}

/* None is there only when it is sure: no pid file, or one that a power loss has torn. */
static int find_orphans(const struct operation *op, struct pidfile *file, pid_t **ret,
	size_t *ret_count, struct err *err)
{
	struct err why = ERR_INIT;
	AUTO_CLOSE int dirfd = open_services(op->context, &why);
	AUTO_FREE char *name = xasprintf("%s.pid", op->service);
	*ret = NULL;
	*ret_count = 0;
	if (dirfd >= 0 && pidfile_read(dirfd, name, file, &why) == 0)
		return orphan_find(file, op->service, ret, ret_count, err);
	if (why.code == ERR_NOT_FOUND || why.code == ERR_CORRUPT)
		return 0;
	*err = why;
	return -1;
}

static void remove_traces(const struct operation *op)
{
	AUTO_CLOSE int dirfd = open_services(op->context, NULL);
	static const char *const suffixes[] = {"sock", "pid"};
	for (size_t i = 0; dirfd >= 0 && i < ARRAY_LEN(suffixes); i++) {
		AUTO_FREE char *name = xasprintf("%s.%s", op->service, suffixes[i]);
		unlinkat(dirfd, name, 0);
	}
}

static void finish_without_shim(struct operation *op, const struct pidfile *orphan)
{
	Fairlead__V1__ServiceStatus status = FAIRLEAD__V1__SERVICE_STATUS__INIT;
	struct digest release;
	status.name = op->service;
	status.driver = pb_str("process");
	status.state = pb_str(orphan ? "running" : "stopped");
	if (orphan) {
		status.pid = orphan->pid;
		status.started_unix_ms = process_unix_ms(orphan->start_ticks);
		status.message = pb_str("its supervisor is gone");
		if (digest_from_hex(orphan->release, &release))
			status.manifest = pb_borrow(release.bytes, DIGEST_SIZE);
	}
	operation_finish(op, &status);
}

static void status_without_shim(uv_timer_t *timer)
{
	struct operation *op = timer->data;
	struct pidfile file;
	AUTO_FREE pid_t *pids = NULL;
	size_t count;
	struct err err = ERR_INIT;
	if (find_orphans(op, &file, &pids, &count, &err) < 0)
		operation_fail(op, &err);
	else
		finish_without_shim(op, count > 0 ? &file : NULL);
}

static void stop_orphans(uv_timer_t *timer)
{
	struct operation *op = timer->data;
	struct pidfile file;
	AUTO_FREE pid_t *pids = NULL;
	size_t count;
	struct err err = ERR_INIT;
	if (find_orphans(op, &file, &pids, &count, &err) < 0) {
		operation_fail(op, &err);
		return;
	}
	if (count == 0) {
		remove_traces(op);
		finish_without_shim(op, NULL);
		return;
	}
	uint64_t now = clock_mono_ms();
	if (!op->signalled)
		op->kill_at_ms = now + op->stop_timeout_ms;
	int signal = now >= op->kill_at_ms ? SIGKILL : op->stop_signal;
	for (size_t i = 0; i < count && (!op->signalled || signal == SIGKILL); i++)
		kill(pids[i], signal);
	op->signalled = 1;
	operation_after(op, ORPHAN_POLL_MS, stop_orphans);
}

/* ---- one question to the shim ---- */

static void reply_readable(uv_poll_t *poll, int status, int events);
static void ask_again(uv_timer_t *timer);

/* It has ended, or is there and has lost the question: then it must not be taken for gone, and its
 * service be stopped behind its back. */
static void hung_up(struct operation *op)
{
	uv_timer_cb then = op->asked_again ? op->without_shim : ask_again;
	op->asked_again = 1;
	operation_after(op, 0, then);
}

static int send_question(struct operation *op, struct err *err)
{
	struct err why = ERR_INIT;
	if (ask_shim(op, reply_readable, &why) == 0) {
		operation_after(op, op->timeout_ms, timed_out);
	} else if (why.code == ERR_NOT_FOUND) {
		operation_after(op, 0, op->without_shim);
	} else if (why.code == ERR_UNREACHABLE) {
		hung_up(op);
	} else {
		*err = why;
		return -1;
	}
	return 0;
}

static void ask_again(uv_timer_t *timer)
{
	struct operation *op = timer->data;
	struct err err = ERR_INIT;
	if (send_question(op, &err) < 0)
		operation_fail(op, &err);
}

/* What the shim said, or that it went away without a word. */
static void reply_readable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	struct operation *op = poll->data;
	struct err err = ERR_INIT;
	int rc = packet_recv(op->fd, &op->received, NULL, &err);
	if (rc == PACKET_EMPTY)
		return;
	if (rc < 0) {
		err_wrap(&err, "its supervisor");
		operation_fail(op, &err);
		return;
	}
	if (rc == PACKET_CLOSED) {
		operation_unwait(op);
		hung_up(op);
		return;
	}
	give_reply(op, FAILED_IS_A_STATUS);
}

static int ask(struct operation *op, Fairlead__V1__ShimVerb verb, uv_timer_cb without_shim,
	uint64_t timeout_ms, struct err *err)
{
	struct err why = ERR_INIT;
	op->verb = verb;
	op->without_shim = without_shim;
	op->timeout_ms = timeout_ms;
	if (send_question(op, &why) == 0)
		return 0;
	if (err)
		*err = why;
	operation_free(op);
	return -1;
}

static int process_status(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, service_done_fn *done, void *user, struct err *err)
{
	if (plan_check_name(plan, err) < 0)
		return -1;
	return ask(operation_new(context, plan->name, done, user),
		FAIRLEAD__V1__SHIM_VERB__SHIM_STATUS, status_without_shim, STATUS_TIMEOUT_MS, err);
}

static Fairlead__V1__ShimVerb stop_verb(
	const Fairlead__V1__ServicePlan *plan, enum service_after_stop after)
{
	/* Only a shim with sockets, which is new enough to know what that is. */
	if (after == SERVICE_STARTS_AGAIN && plan->process && plan->process->n_sockets)
		return FAIRLEAD__V1__SHIM_VERB__SHIM_STOP_KEEPING;
	return FAIRLEAD__V1__SHIM_VERB__SHIM_STOP;
}

static int process_stop(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, enum service_after_stop after, service_done_fn *done,
	void *user, struct err *err)
{
	if (plan_check_name(plan, err) < 0)
		return -1;
	struct operation *op = operation_new(context, plan->name, done, user);
	op->stop_signal = signals_number(plan->stop_signal);
	op->stop_timeout_ms = plan->stop_timeout_ms;
	if (!op->stop_signal)
		op->stop_signal = SIGTERM;
	return ask(op, stop_verb(plan, after), stop_orphans, plan->stop_timeout_ms + STOP_GRACE_MS,
		err);
}

static int process_open_log(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, unsigned age, int *ret_fd, struct err *err)
{
	return shim_open_log(context, plan->name, age, ret_fd, err);
}

const struct service_ops driver_process = {
	.name = "process",
	.check = process_check,
	.start = process_start,
	.stop = process_stop,
	.status = process_status,
	.open_log = process_open_log,
};
