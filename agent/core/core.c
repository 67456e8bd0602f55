#include "agent/core/core.h"

#include "agent/core/calls.h"
#include "agent/core/deployment.h"
#include "agent/core/gateway_process.h"
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

void core_log(const char *fmt, ...)
{
	char *line = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		abort();
	va_end(ap);
	AUTO_FREE char *escaped = text_escaped(line);
	fprintf(stderr, "fairlead-agent: %s\n", escaped);
	free(line);
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

static int load_config(struct core *core, const char *config_path, struct err *err)
{
	*core = (struct core){.lock_fd = -1};
	if (agent_config_load(config_path, &core->config, err) < 0)
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
	if (file_read(rootfd, path, 256, &content, NULL) < 0)
		return 0; /* not a store of ours */
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
	DIR *dir = rootfd < 0 ? NULL : opendir(core->config.root);
	if (!dir)
		return err_set(err, ERR_IO, "cannot list '%s'", core->config.root);
	int rc = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(dir));)
		if (entry->d_name[0] != '.')
			rc = open_one(core, rootfd, entry->d_name, err);
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
	uv_loop_init(&core->loop);
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
	core_log("stopping on signal %d; services keep running", signum);
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
	int rc = gateway_process_start(core, &core->gateway, err);
	if (rc == 0 && core->fatal.code == ERR_NONE)
		uv_run(&core->loop, UV_RUN_DEFAULT);
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

void core_release(struct core *core)
{
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
	if (core->lock_fd >= 0)
		close(core->lock_fd);
}
