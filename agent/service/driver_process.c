#include "agent/service/driver_process.h"

#include "agent/service/operation.h"
#include "agent/service/orphan.h"
#include "agent/shim/control.h"
#include "agent/shim/launch.h"
#include "agent/shim/policy.h"
#include "agent/shim/supervisor.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/os/packet.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
	LOG_BYTES = 10 * 1000 * 1000,
	LOG_KEEP = 3,
	START_TIMEOUT_MS = 15000,
	STATUS_TIMEOUT_MS = 5000,
	/* Beyond stop_timeout_ms: what a shim started by an older plan may still have to wait. */
	STOP_GRACE_MS = 90000,
	ORPHAN_POLL_MS = 20,
};

static const char service_dir[] = "state/services";
static const char log_dir[] = "state/logs";

static char *command_of(const Fairlead__V1__ProcessSpec *process)
{
	return xstrndup((const char *)process->command[0].data, process->command[0].len);
}

/* argv and environ are C strings. */
static int check_bytes(ProtobufCBinaryData field, const char *what, struct err *err)
{
	if (field.len && memchr(field.data, '\0', field.len))
		return err_set(err, ERR_CONFIG, "%s has a NUL byte", what);
	return 0;
}

static int check_process(const Fairlead__V1__ProcessSpec *process, struct err *err)
{
	if (!process || process->n_command == 0 || process->command[0].len == 0)
		return err_set(err, ERR_CONFIG, "it has no command");
	for (size_t i = 0; i < process->n_command; i++)
		if (check_bytes(process->command[i], "its command", err) < 0)
			return -1;
	for (size_t i = 0; i < process->n_env; i++) {
		const Fairlead__V1__EnvVar *var = process->env[i];
		if (!*var->name || strchr(var->name, '='))
			return err_set(err, ERR_CONFIG, "'%s' is no name of a variable", var->name);
		if (check_bytes(var->value, var->name, err) < 0)
			return -1;
	}
	struct policy policy;
	return policy_init(&policy, process->restart, err);
}

static int check_plan(const Fairlead__V1__ServicePlan *plan, struct err *err)
{
	if (!text_is_name(plan->name))
		return err_set(err, ERR_CONFIG, "'%s' is no name of a service", plan->name);
	if (!supervisor_signal(plan->stop_signal)) {
		err_set(err, ERR_CONFIG, "there is no signal '%s'", plan->stop_signal);
		return err_hint(err, "Write it without SIG, as in TERM, INT or QUIT.");
	}
	return check_process(plan->process, err);
}

static int check_command(
	const Fairlead__V1__ServicePlan *plan, const char *release_path, struct err *err)
{
	AUTO_FREE char *command = command_of(plan->process);
	AUTO_FREE char *program = NULL;
	struct err why = ERR_INIT;
	struct stat st;
	if (launch_find(plan->process, release_path, &program, &why) < 0 ||
		stat(program, &st) < 0) {
		err_set(err, ERR_CONFIG, "its command '%s' is not there", command);
		if (*why.hint)
			return err_hint(err, "%s", why.hint);
		return err_hint(err, "The path is relative to the top of the release; is the file "
				     "part of it?");
	}
	if (!S_ISREG(st.st_mode) || access(program, X_OK) < 0) {
		err_set(err, ERR_CONFIG, "its command '%s' is not executable", command);
		return err_hint(
			err, "Set the mode in the repository: git update-index --chmod=+x.");
	}
	return 0;
}

static int process_check(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, const char *release_path, struct err *err)
{
	if (check_plan(plan, err) < 0 || check_command(plan, release_path, err) < 0)
		return -1;
	AUTO(spawn_user) struct spawn_user user = {0};
	if (context->may_change_user && *plan->process->user &&
		spawn_user_find(plan->process->user, &user, err) < 0)
		return -1;
	return 0;
}

/* start */

static int make_dir(int dirfd, const char *path, struct err *err)
{
	if (mkdirat(dirfd, path, 0700) < 0 && errno != EEXIST)
		return err_errno(err, ERR_IO, errno, "cannot make the directory '%s'", path);
	return 0;
}

/* The spec goes through a memory file: it may be larger than a pipe takes without a reader. */
static int pack_spec(const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
	const struct digest *release, struct err *err)
{
	const char *root = context->store->path;
	AUTO_FREE char *release_dir = store_release_path(context->store, release);
	AUTO_FREE char *log = xasprintf("%s/%s/%s.log", root, log_dir, plan->name);
	AUTO_FREE char *socket = xasprintf("%s/%s/%s.sock", root, service_dir, plan->name);
	Fairlead__V1__ShimSpec spec = FAIRLEAD__V1__SHIM_SPEC__INIT;
	Fairlead__V1__ProcessSpec process = *plan->process;
	if (!context->may_change_user)
		process.user = pb_str("");
	spec.service = plan->name;
	spec.manifest = pb_borrow(release->bytes, DIGEST_SIZE);
	spec.release_dir = pb_borrow(release_dir, strlen(release_dir));
	spec.log_path = pb_borrow(log, strlen(log));
	spec.socket_path = pb_borrow(socket, strlen(socket));
	spec.process = &process;
	spec.stop_signal = plan->stop_signal;
	spec.stop_timeout_ms = plan->stop_timeout_ms;
	spec.log_max_bytes = LOG_BYTES;
	spec.log_keep = LOG_KEEP;
	AUTO(buf) struct buf packed = {0};
	PB_PACK(&spec, &packed);
	AUTO_CLOSE int fd = memfd_create("shim-spec", MFD_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a memory file");
	if (fd_pwrite_all(fd, packed.data, packed.len, 0, err) < 0)
		return -1;
	return TAKE_FD(fd);
}

static int spawn_shim(const struct service_context *context, const char *service, int spec_fd,
	int ready_fd, struct err *err)
{
	const char *slash = strrchr(context->store->path, '/');
	AUTO_FREE char *title = xasprintf("%s/%s", slash ? slash + 1 : "", service);
	const char *argv[] = {"fairlead-shim", title, NULL};
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* None of the agent's own output: it may be a pipe that waits for all its writers. */
	const struct spawn_fd fds[] = {
		{null, STDIN_FILENO},
		{null, STDOUT_FILENO},
		{null, STDERR_FILENO},
		{spec_fd, 3},
		{ready_fd, 4},
	};
	const struct spawn spawn = {
		.program = context->shim_path,
		.argv = argv,
		.fds = fds,
		.fd_count = ARRAY_LEN(fds),
		.place = SPAWN_DETACHED,
	};
	struct spawned spawned = SPAWNED_INIT;
	if (spawn_run(&spawn, &spawned, err) < 0)
		return err_wrap(err, "its supervisor");
	return 0;
}

/* The shim's own words: a message, and perhaps a hint on a second line. */
static int start_failed(const char *words, struct err *err)
{
	const char *hint = strchr(words, '\n');
	int len = hint ? (int)(hint - words) : (int)strlen(words);
	err_set(err, ERR_FAILED, "%.*s", len, words);
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
		start_failed(reply->status->message, &err);
	if (err.code == ERR_NONE && reply)
		operation_finish(op, reply->status);
	else
		operation_fail(op, &err);
	if (reply)
		pb_free(&reply->base);
}

static void start_readable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	struct operation *op = poll->data;
	ssize_t n;
	do
		n = read(op->fd, buf_reserve(&op->received, 4096), 4096);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		op->received.len += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
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
	int dirfd = context->store->dirfd;
	if (check_plan(plan, err) < 0 || make_dir(dirfd, "state", err) < 0 ||
		make_dir(dirfd, service_dir, err) < 0 || make_dir(dirfd, log_dir, err) < 0)
		return -1;
	AUTO_CLOSE int spec = pack_spec(context, plan, release, err);
	int ready[2];
	if (spec < 0)
		return -1;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a pipe");
	int rc = spawn_shim(context, plan->name, spec, ready[1], err);
	close(ready[1]);
	if (rc < 0) {
		close(ready[0]);
		return -1;
	}
	struct operation *op = operation_new(context, plan->name, done, user);
	if (operation_wait(op, ready[0], start_readable, err) < 0) {
		operation_free(op);
		return -1;
	}
	operation_after(op, START_TIMEOUT_MS, timed_out);
	return 0;
}

/* status and stop */

static int open_services(const struct service_context *context, struct err *err)
{
	return open_beneath(context->store->dirfd, service_dir, O_RDONLY | O_DIRECTORY, 0, err);
}

/* ERR_NOT_FOUND: no shim there. */
static int ask_shim(
	struct operation *op, Fairlead__V1__ShimVerb verb, uv_poll_cb readable, struct err *err)
{
	AUTO_CLOSE int dirfd = open_services(op->context, err);
	if (dirfd < 0)
		return -1;
	AUTO_FREE char *name = xasprintf("%s.sock", op->service);
	AUTO_CLOSE int fd = control_connect(dirfd, name, err);
	if (fd < 0)
		return -1;
	Fairlead__V1__ShimRequest request = FAIRLEAD__V1__SHIM_REQUEST__INIT;
	request.verb = verb;
	AUTO(buf) struct buf packet = {0};
	PB_PACK(&request, &packet);
	/* A shim that ends at this moment is as good as none. */
	if (packet_send(fd, buf_bytes(&packet), -1, NULL) != PACKET_SENT)
		return err_set(err, ERR_NOT_FOUND, "its supervisor is gone");
	return operation_wait(op, TAKE_FD(fd), readable, err);
}

static int find_orphans(
	const struct operation *op, struct pidfile *file, pid_t **ret, size_t *ret_count)
{
	AUTO_CLOSE int dirfd = open_services(op->context, NULL);
	AUTO_FREE char *name = xasprintf("%s.pid", op->service);
	*ret = NULL;
	*ret_count = 0;
	if (dirfd < 0 || pidfile_read(dirfd, name, file, NULL) < 0)
		return 0;
	return orphan_find(file, op->service, ret, ret_count, NULL);
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
	find_orphans(op, &file, &pids, &count);
	finish_without_shim(op, count > 0 ? &file : NULL);
}

static void stop_orphans(uv_timer_t *timer)
{
	struct operation *op = timer->data;
	struct pidfile file;
	AUTO_FREE pid_t *pids = NULL;
	size_t count;
	find_orphans(op, &file, &pids, &count);
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

/* What the shim said, or that it went away without a word. */
static void reply_readable(struct operation *op, uv_timer_cb without_shim)
{
	int rc = packet_recv(op->fd, &op->received, NULL, NULL);
	if (rc == PACKET_EMPTY)
		return;
	if (rc == PACKET_CLOSED) {
		operation_unwait(op);
		operation_after(op, 0, without_shim);
		return;
	}
	give_reply(op, FAILED_IS_A_STATUS);
}

static void status_readable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	reply_readable(poll->data, status_without_shim);
}

static void stop_readable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	reply_readable(poll->data, stop_orphans);
}

static int ask(struct operation *op, Fairlead__V1__ShimVerb verb, uv_poll_cb readable,
	uv_timer_cb without_shim, uint64_t timeout_ms, struct err *err)
{
	struct err why = ERR_INIT;
	if (ask_shim(op, verb, readable, &why) == 0) {
		operation_after(op, timeout_ms, timed_out);
		return 0;
	}
	if (why.code == ERR_NOT_FOUND) {
		operation_after(op, 0, without_shim);
		return 0;
	}
	if (err)
		*err = why;
	operation_free(op);
	return -1;
}

static int check_name(const Fairlead__V1__ServicePlan *plan, struct err *err)
{
	if (!text_is_name(plan->name))
		return err_set(err, ERR_CONFIG, "'%s' is no name of a service", plan->name);
	return 0;
}

static int process_status(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, service_done_fn *done, void *user, struct err *err)
{
	if (check_name(plan, err) < 0)
		return -1;
	return ask(operation_new(context, plan->name, done, user),
		FAIRLEAD__V1__SHIM_VERB__SHIM_STATUS, status_readable, status_without_shim,
		STATUS_TIMEOUT_MS, err);
}

static int process_stop(const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, service_done_fn *done, void *user, struct err *err)
{
	if (check_name(plan, err) < 0)
		return -1;
	struct operation *op = operation_new(context, plan->name, done, user);
	op->stop_signal = supervisor_signal(plan->stop_signal);
	op->stop_timeout_ms = plan->stop_timeout_ms;
	if (!op->stop_signal)
		op->stop_signal = SIGTERM;
	return ask(op, FAIRLEAD__V1__SHIM_VERB__SHIM_STOP, stop_readable, stop_orphans,
		plan->stop_timeout_ms + STOP_GRACE_MS, err);
}

static int process_open_log(
	const struct service_context *context, const char *service, int *ret_fd, struct err *err)
{
	if (!text_is_name(service))
		return err_set(err, ERR_NOT_FOUND, "'%s' is no name of a service", service);
	AUTO_FREE char *path = xasprintf("%s/%s.log", log_dir, service);
	struct err why = ERR_INIT;
	int fd = open_beneath(context->store->dirfd, path, O_RDONLY, 0, &why);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (why.code == ERR_NOT_FOUND) {
		err_set(&why, ERR_NOT_FOUND, "service '%s' has no log on this host", service);
		err_hint(&why, "It was never started here; see `fairlead status`.");
	}
	if (err)
		*err = why;
	return -1;
}

const struct service_ops driver_process = {
	.name = "process",
	.check = process_check,
	.start = process_start,
	.stop = process_stop,
	.status = process_status,
	.open_log = process_open_log,
};
