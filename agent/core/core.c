#include "agent/core/core.h"

#include "agent/core/calls.h"
#include "agent/core/deployment.h"
#include "agent/core/gateway_process.h"
#include "agent/core/reboot.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "common/os/file.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>

enum { LOCK_TIMEOUT_MS = 2000, LOCK_POLL_MS = 10 };

static void __attribute__((format(printf, 1, 0))) log_line(const char *fmt, va_list ap)
{
	char *line = NULL;
	if (vasprintf(&line, fmt, ap) < 0)
		abort();
	AUTO_FREE char *escaped = text_escaped(line);
	fprintf(stderr, "fairlead-agent: %s\n", escaped);
	free(line);
}

void core_log(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	log_line(fmt, ap);
	va_end(ap);
}

void core_log_foreign(const char *fmt, ...)
{
	enum { WINDOW_MS = 10000, LINES = 20 };
	static uint64_t began_ms;
	static unsigned long lines;
	uint64_t now = clock_mono_ms();
	if (now - began_ms > WINDOW_MS) {
		if (lines > LINES)
			core_log("%lu more such lines were left out", lines - LINES);
		began_ms = now;
		lines = 0;
	}
	if (++lines > LINES)
		return;
	va_list ap;
	va_start(ap, fmt);
	log_line(fmt, ap);
	va_end(ap);
}

void core_die(struct core *core, const struct err *err)
{
	core_log("FATAL: %s", err->message);
	core->fatal = *err;
	uv_stop(&core->loop);
}

int core_app(struct core *core, const char *name, const char *environment, enum app_open how,
	struct app **ret, struct err *err)
{
	for (struct app *app = core->apps; app; app = app->next) {
		if (strcmp(app->name, name) == 0 && strcmp(app->environment, environment) == 0) {
			*ret = app;
			return 0;
		}
	}
	struct app *app = NULL;
	if (app_open(core, name, environment, how, &app, err) < 0)
		return -1;
	app->next = core->apps;
	core->apps = app;
	*ret = app;
	return 0;
}

/* ---- start ---- */

static int load_key(struct core *core, struct err *err)
{
	AUTO_FREE char *path = xasprintf("%s/host.key", core->config.state);
	if (make_dirs(core->config.state, 0700, err) < 0)
		return -1;
	if (signing_key_load(path, &core->host_key, err) == 0)
		return 0;
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	core->host_key = signing_key_new();
	return signing_key_save(core->host_key, path, err);
}

/* Its first line; whatever it is, another boot has another. */
static int load_boot(struct core *core, struct err *err)
{
	AUTO(buf) struct buf text = {0};
	if (file_read(AT_FDCWD, core->config.boot_id, 256, &text, err) < 0)
		return err_wrap(err, "the boot's id");
	const char *line = buf_str(&text);
	core->boot = xstrndup(line, strcspn(line, "\n"));
	return 0;
}

struct deadline_now core_now(const struct core *core)
{
	return (struct deadline_now){clock_unix_ms(), clock_boot_ms(), core->boot};
}

static int load_config(struct core *core, const char *config_path, struct err *err)
{
	*core = (struct core){.lock_fd = -1};
	if (agent_config_load(config_path, &core->config, err) < 0)
		return -1;
	if (load_boot(core, err) < 0)
		return -1;
	core->may_change_user = geteuid() == 0;
	core->shim_path = xasprintf("%s/fairlead-shim", core->config.libexec);
	return 0;
}

int core_load(struct core *core, const char *config_path, struct err *err)
{
	return load_config(core, config_path, err) < 0 ? -1 : load_key(core, err);
}

/* Two cores on one state directory would act on the same services. A core that was killed leaves
 * the lock to its worker for the moment until that is killed too: recovery waits for it. */
static int take_lock(struct core *core, struct err *err)
{
	AUTO_FREE char *path = xasprintf("%s/lock", core->config.state);
	if (make_dirs(core->config.state, 0700, err) < 0)
		return -1;
	core->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (core->lock_fd < 0)
		return err_errno(err, ERR_IO, errno, "cannot open '%s'", path);
	uint64_t give_up_ms = clock_mono_ms() + LOCK_TIMEOUT_MS;
	while (flock(core->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK && clock_mono_ms() < give_up_ms) {
			poll(NULL, 0, LOCK_POLL_MS);
			continue;
		}
		err_set(err, ERR_LOCKED, "another agent runs with the state directory '%s'",
			core->config.state);
		return err_hint(
			err, "Stop it first, or give this one a state directory of its own.");
	}
	return 0;
}

/* "<app>-<environment>": both may hold a '-', so the name inside tells (state/app). */
static int open_one(struct core *core, int rootfd, const char *directory, struct err *err)
{
	AUTO_FREE char *path = xasprintf("%s/state/app", directory);
	AUTO(buf) struct buf content = {0};
	struct err why = ERR_INIT;
	if (file_read(rootfd, path, 256, &content, &why) < 0) {
		if (why.code == ERR_NOT_FOUND || why.errnum == ENOTDIR)
			return 0; /* not a store of ours */
		*err = why;
		return -1;
	}
	AUTO_FREE char *name = xstrdup(buf_str(&content));
	char *environment = strchr(name, '\n');
	if (!environment)
		return 0;
	*environment++ = '\0';
	environment[strcspn(environment, "\n")] = '\0';
	struct app *app = NULL;
	if (!text_is_name(name) || !text_is_name(environment))
		return 0;
	return core_app(core, name, environment, APP_EXISTING, &app, err);
}

static int open_apps(struct core *core, struct err *err)
{
	if (make_dirs(core->config.root, 0755, err) < 0)
		return -1;
	AUTO_CLOSE int rootfd = open_dir(core->config.root, err);
	if (rootfd < 0)
		return -1;
	DIR *dir = opendir(core->config.root);
	if (!dir)
		return err_errno(err, ERR_IO, errno, "cannot list '%s'", core->config.root);
	int rc = 0;
	errno = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(dir)); errno = 0)
		if (entry->d_name[0] != '.')
			rc = open_one(core, rootfd, entry->d_name, err);
	/* What was not listed may have a deployment that waits to be taken up. */
	if (rc == 0 && errno)
		rc = err_errno(err, ERR_IO, errno, "cannot list '%s'", core->config.root);
	closedir(dir);
	return rc;
}

static int load_trust(struct core *core, struct err *err)
{
	AUTO_FREE char *policy = xasprintf("%s/policy.yaml", core->config.trust);
	if (load_key(core, err) < 0)
		return -1;
	return policy_load(policy, &core->policy, err);
}

int core_init(
	struct core *core, const char *config_path, enum core_purpose purpose, struct err *err)
{
	if (load_config(core, config_path, err) < 0 || take_lock(core, err) < 0)
		return -1;
	core->purpose = purpose;
	if (purpose == CORE_SERVE && load_trust(core, err) < 0)
		return -1;
	if (purpose == CORE_RECOVER && load_key(core, err) < 0) /* receipts are signed */
		return -1;
	int rc = uv_loop_init(&core->loop);
	if (rc < 0)
		return err_errno(err, ERR_INTERNAL, -rc, "cannot make an event loop");
	core->has_loop = 1;
	const char *probe_user = core->may_change_user ? core->config.users.probe : NULL;
	AUTO_FREE char *probe = xasprintf("%s/fairlead-probe", core->config.libexec);
	if (prober_new(&core->loop, probe, probe_user, &core->prober, err) < 0)
		return -1;
	return open_apps(core, err);
}

/* ---- run ---- */

static void on_signal(uv_signal_t *handle, int signum)
{
	struct core *core = handle->data;
	core_log("stopping on signal %d; services keep running", signum);
	core->stopping = 1;
	uv_stop(handle->loop);
}

/* A new policy is read on SIGHUP; a wrong one changes nothing. */
static void on_reload(uv_signal_t *handle, int signum)
{
	(void)signum;
	struct core *core = handle->data;
	struct policy policy = {0};
	struct err err = ERR_INIT;
	AUTO_FREE char *path = xasprintf("%s/policy.yaml", core->config.trust);
	if (policy_load(path, &policy, &err) < 0) {
		core_log("the policy stays as it was: %s", err.message);
		return;
	}
	policy_release(&core->policy);
	core->policy = policy;
	core_log("read the policy again");
}

int core_run(struct core *core, struct err *err)
{
	uv_signal_t signals[3];
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		uv_signal_init(&core->loop, &signals[i]);
		signals[i].data = core;
		uv_signal_start(
			&signals[i], numbers[i] == SIGHUP ? on_reload : on_signal, numbers[i]);
	}
	if (!core->may_change_user)
		core_log("not root: services run as this user");
	reboot_start_services(core);
	int rc = gateway_process_start(core, &core->gateway, err);
	if (rc == 0 && core->fatal.code == ERR_NONE && !core->stopping)
		uv_run(&core->loop, UV_RUN_DEFAULT);
	reboot_finish(core);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		uv_close((uv_handle_t *)&signals[i], NULL);
	calls_forget(core);
	gateway_process_stop(TAKE(core->gateway));
	uv_run(&core->loop, UV_RUN_NOWAIT);
	if (rc == 0 && core->fatal.code != ERR_NONE) {
		*err = core->fatal;
		rc = -1;
	}
	return rc;
}

/* What was asked of a service may still be answered; whoever asked is about to be freed. */
static void silence(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (handle->type == UV_TIMER)
		uv_timer_stop((uv_timer_t *)handle);
	else if (handle->type == UV_POLL)
		uv_poll_stop((uv_poll_t *)handle);
}

void core_release(struct core *core)
{
	if (core->has_loop)
		uv_walk(&core->loop, silence, NULL);
	while (core->apps) {
		struct app *app = core->apps;
		core->apps = app->next;
		app_close(app);
	}
	if (core->prober)
		prober_free(core->prober);
	if (core->has_loop) {
		uv_run(&core->loop, UV_RUN_NOWAIT);
		uv_loop_close(&core->loop);
	}
	replay_release(&core->replay);
	policy_release(&core->policy);
	signing_key_free(core->host_key);
	agent_config_release(&core->config);
	free(core->shim_path);
	free(core->boot);
	if (core->lock_fd >= 0)
		close(core->lock_fd);
}
