#include "agent/shim/launch.h"

#include "common/base/mem.h"

#include <errno.h>

enum { LISTEN_FDS_START = 3 }; /* sd_listen_fds(3) */

const char launch_default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

char *launch_mark(const char *service)
{
	return xasprintf("FAIRLEAD_SERVICE=%s", service);
}

const char *launch_release(const char *release_dir)
{
	const char *slash = strrchr(release_dir, '/');
	return slash ? slash + 1 : release_dir;
}

char *launch_string(ProtobufCBinaryData in)
{
	return xstrndup(in.data ? (const char *)in.data : "", in.len);
}

static const Fairlead__V1__EnvVar *planned(
	const Fairlead__V1__ProcessSpec *process, const char *name)
{
	for (size_t i = 0; i < process->n_env; i++)
		if (strcmp(process->env[i]->name, name) == 0)
			return process->env[i];
	return NULL;
}

int launch_find(const Fairlead__V1__ProcessSpec *process, const char *release_dir, char **ret,
	struct err *err)
{
	AUTO_FREE char *name = launch_string(process->command[0]);
	if (name[0] == '/') {
		*ret = TAKE(name);
		return 0;
	}
	if (strchr(name, '/')) {
		*ret = xasprintf("%s/%s", release_dir, name);
		return 0;
	}
	const Fairlead__V1__EnvVar *own = planned(process, "PATH");
	AUTO_FREE char *path = own ? launch_string(own->value) : xstrdup(launch_default_path);
	char *found = spawn_find(path, release_dir, name);
	if (!found) {
		err_errno(err, ERR_FAILED, ENOENT, "cannot execute '%s'", name);
		return err_hint(err,
			"It is not on the service's PATH (%s); for a file of the release write "
			"'./%s'.",
			path, name);
	}
	*ret = found;
	return 0;
}

struct strings {
	char **items; /* ends with NULL */
	size_t count;
};

static void strings_release(struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

/* Takes `item`. */
static void strings_add(struct strings *strings, char *item)
{
	strings->items = xrealloc(strings->items, (strings->count + 2) * sizeof(char *));
	strings->items[strings->count++] = item;
	strings->items[strings->count] = NULL;
}

static void fill_env(
	struct strings *env, const Fairlead__V1__ShimSpec *spec, const struct spawn_user *user)
{
	AUTO_FREE char *release_dir = launch_string(spec->release_dir);
	const struct {
		const char *name, *value;
	} base[] = {
		{"PATH", launch_default_path},
		{"HOME", user->home},
		{"USER", user->name},
		{"LANG", "C.UTF-8"},
		{"FAIRLEAD_RELEASE", launch_release(release_dir)},
		{"FAIRLEAD_ACTION", spec->script_action},
	};
	strings_add(env, launch_mark(spec->service));
	for (size_t i = 0; i < ARRAY_LEN(base); i++)
		if (*base[i].value && !planned(spec->process, base[i].name))
			strings_add(env, xasprintf("%s=%s", base[i].name, base[i].value));
	for (size_t i = 0; i < spec->process->n_env; i++) {
		const Fairlead__V1__EnvVar *var = spec->process->env[i];
		AUTO_FREE char *value = launch_string(var->value);
		strings_add(env, xasprintf("%s=%s", var->name, value));
	}
}

static const char *const *borrow(const struct strings *strings)
{
	return (const char *const *)strings->items;
}

/* What sd_listen_fds(3) reads. Returns where the pid of the process belongs. */
static char *add_sockets(struct strings *env, const struct sockets *sockets)
{
	static const char listen_pid[] = "LISTEN_PID=";
	if (sockets->count == 0)
		return NULL;
	AUTO_FREE char *names = sockets_names(sockets);
	char *pid = xasprintf("%s%0*d", listen_pid, SPAWN_PID_DIGITS, 0);
	strings_add(env, xasprintf("LISTEN_FDS=%zu", sockets->count));
	strings_add(env, xasprintf("LISTEN_FDNAMES=%s", names));
	strings_add(env, pid);
	sockets_refresh(sockets);
	return pid + strlen(listen_pid);
}

int launch_service(const Fairlead__V1__ShimSpec *spec, const struct sockets *sockets,
	const struct limits *limits, int log_fd, pid_t *ret, struct err *err)
{
	const Fairlead__V1__ProcessSpec *process = spec->process;
	const char *user_name = geteuid() == 0 && *process->user ? process->user : NULL;
	AUTO(spawn_user) struct spawn_user user = {0};
	AUTO_FREE char *release_dir = launch_string(spec->release_dir);
	AUTO_FREE char *program = NULL;
	if (spawn_user_find(user_name, &user, err) < 0 ||
		launch_find(process, release_dir, &program, err) < 0)
		return -1;
	AUTO(strings) struct strings argv = {0};
	AUTO(strings) struct strings env = {0};
	for (size_t i = 0; i < process->n_command; i++)
		strings_add(&argv, launch_string(process->command[i]));
	fill_env(&env, spec, &user);
	char *pid_slot = add_sockets(&env, sockets);
	struct spawn_fd fds[2 + ENDPOINTS_MAX] = {{log_fd, STDOUT_FILENO}, {log_fd, STDERR_FILENO}};
	for (size_t i = 0; i < sockets->count; i++)
		fds[2 + i] = (struct spawn_fd){sockets->fds[i], LISTEN_FDS_START + (int)i};
	struct spawn spawn = {
		.program = program,
		.argv = borrow(&argv),
		.env = borrow(&env),
		.cwd = release_dir,
		.fds = fds,
		.fd_count = 2 + sockets->count,
		.pid_slot = pid_slot,
		.user = user_name ? &user : NULL,
		.place = SPAWN_SESSION,
	};
	limits_apply(limits, &spawn);
	AUTO(spawned) struct spawned spawned = SPAWNED_INIT;
	if (spawn_run(&spawn, &spawned, err) < 0)
		return -1;
	*ret = spawned.pid;
	return 0;
}
