#include "agent/shim/limits.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/cgroup.h"
#include "common/os/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/stat.h>

enum { MEMORY, CPU, PIDS };
enum { CPU_PERIOD_US = 100000, EVENTS_MAX = 4096 };

/* The file of each version that takes the limit, and the one that counts kills. */
static const struct {
	const char *controller;
	const char *file[2];
	const char *events[2];
} controllers[LIMITS_CONTROLLERS] = {
	[MEMORY] = {"memory", {"memory.limit_in_bytes", "memory.max"},
		{"memory.oom_control", "memory.events"}},
	[CPU] = {"cpu", {"cpu.cfs_quota_us", "cpu.max"}, {NULL, NULL}},
	[PIDS] = {"pids", {"pids.max", "pids.max"}, {NULL, NULL}},
};

static uint64_t wanted(const Fairlead__V1__Limits *spec, size_t which)
{
	const uint64_t values[] = {
		[MEMORY] = spec->memory_bytes,
		[CPU] = spec->cpu_percent,
		[PIDS] = spec->processes,
	};
	return values[which];
}

static int write_file(const char *directory, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", directory, name);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

static char *limit_text(size_t which, int version, uint64_t value)
{
	if (which != CPU)
		return xasprintf("%" PRIu64, value);
	uint64_t quota = value * CPU_PERIOD_US / 100;
	return version == 2 ? xasprintf("%" PRIu64 " %d", quota, CPU_PERIOD_US)
			    : xasprintf("%" PRIu64, quota);
}

/* Make the group and set the limit in it; the directory is the caller's. NULL: it cannot be. */
static char *hold(const char *name, size_t which, int version, uint64_t value)
{
	const char *controller = controllers[which].controller;
	AUTO_FREE char *beside = cgroup_beside(version == 2 ? "" : controller);
	if (!beside)
		return NULL;
	AUTO_FREE char *enable = xasprintf("+%s", controller);
	if (version == 2)
		write_file(beside, "cgroup.subtree_control", enable);
	AUTO_FREE char *group = xasprintf("%s/%s", beside, name);
	AUTO_FREE char *text = limit_text(which, version, value);
	if (mkdir(group, 0755) < 0 && errno != EEXIST)
		return NULL;
	if (write_file(group, controllers[which].file[version - 1], text) == 0)
		return TAKE(group);
	rmdir(group);
	return NULL;
}

static void __attribute__((format(printf, 2, 3))) say(struct limits *limits, const char *fmt, ...)
{
	size_t len = strlen(limits->held);
	va_list ap;
	if (len)
		len += (size_t)snprintf(limits->held + len, sizeof(limits->held) - len, ", ");
	va_start(ap, fmt);
	if (len < sizeof(limits->held))
		vsnprintf(limits->held + len, sizeof(limits->held) - len, fmt, ap);
	va_end(ap);
}

static void say_held(struct limits *limits, size_t which, const char *how)
{
	char size[TEXT_UNIT_SIZE];
	uint64_t value = wanted(limits->spec, which);
	if (which == MEMORY)
		say(limits, "memory %s (%s)", text_bytes(value, size), how);
	else if (which == CPU)
		say(limits, "cpu %" PRIu64 "%% (%s)", value, how);
	else
		say(limits, "processes %" PRIu64 " (%s)", value, how);
}

static const char *without_cgroup(size_t which, int is_root)
{
	if (which == MEMORY)
		return "address space of each process";
	return which == PIDS && !is_root ? "rlimit of its user" : "not limited on this host";
}

static void join(struct limits *limits, const char *group)
{
	AUTO_FREE char *path = xasprintf("%s/cgroup.procs", group);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		limits->join[limits->join_count++] = fd;
}

static uint64_t count_kills(const struct limits *limits)
{
	static const char key[] = "oom_kill ";
	if (!limits->groups[MEMORY])
		return 0;
	AUTO(buf) struct buf text = {0};
	AUTO_FREE char *path = xasprintf("%s/%s", limits->groups[MEMORY],
		controllers[MEMORY].events[limits->versions[MEMORY] - 1]);
	if (file_read(AT_FDCWD, path, EVENTS_MAX, &text, NULL) < 0)
		return 0;
	for (const char *at = buf_str(&text); *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (strncmp(at, key, strlen(key)) == 0)
			return strtoull(at + strlen(key), NULL, 10);
	return 0;
}

void limits_open(
	struct limits *limits, const Fairlead__V1__Limits *spec, const char *name, int is_root)
{
	*limits = (struct limits){.spec = spec};
	for (size_t i = 0; spec && i < LIMITS_CONTROLLERS; i++) {
		uint64_t value = wanted(spec, i);
		if (!value)
			continue;
		for (int version = 2; version >= 1 && !limits->groups[i]; version--) {
			limits->groups[i] = hold(name, i, version, value);
			limits->versions[i] = version;
		}
		if (limits->groups[i]) {
			join(limits, limits->groups[i]);
			say_held(limits, i, limits->versions[i] == 2 ? "cgroup v2" : "cgroup v1");
		} else {
			say_held(limits, i, without_cgroup(i, is_root));
		}
	}
	if (spec && spec->open_files)
		say(limits, "open files %u (rlimit)", spec->open_files);
	limits->memory_kills = count_kills(limits);
}

void limits_apply(const struct limits *limits, struct spawn *spawn)
{
	const Fairlead__V1__Limits *spec = limits->spec;
	spawn->join = limits->join;
	spawn->join_count = limits->join_count;
	if (!spec)
		return;
	spawn->memory_bytes = limits->groups[MEMORY] ? 0 : spec->memory_bytes;
	spawn->open_files = spec->open_files;
	/* Of root it would hold nothing, and of a user it counts all that the user has. */
	spawn->processes = limits->groups[PIDS] ? 0 : spec->processes;
}

int limits_memory_kill(struct limits *limits)
{
	uint64_t before = limits->memory_kills;
	limits->memory_kills = count_kills(limits);
	return limits->memory_kills > before;
}

void limits_release(struct limits *limits)
{
	for (size_t i = 0; i < limits->join_count; i++)
		close(limits->join[i]);
	for (size_t i = 0; i < LIMITS_CONTROLLERS; i++) {
		if (limits->groups[i])
			rmdir(limits->groups[i]);
		free(limits->groups[i]);
	}
	*limits = (struct limits){0};
}
