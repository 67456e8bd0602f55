#include "common/os/cgroup.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { PROC_MAX = 1024 * 1024 };

/* In order of preference: what /proc/self/cgroup calls it, and where it is mounted. */
static const struct hierarchy {
	const char *controller; /* "" is the unified one */
	const char *type;       /* of its file system */
} hierarchies[] = {
	{"", "cgroup2"},
	{"name=systemd", "cgroup"},
	{"pids", "cgroup"},
	{"freezer", "cgroup"},
};

/* One of the words between commas. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = list; *at;) {
		size_t part = strcspn(at, ",");
		if (part == len && strncmp(at, word, len) == 0)
			return true;
		at += part + (at[part] == ',');
	}
	return len == 0 && !*list;
}

/* Our own path in it: a line "4:memory,pids:/path" of /proc/self/cgroup. */
static char *own_path(const struct hierarchy *hierarchy)
{
	AUTO(buf) struct buf text = {0};
	if (file_read(AT_FDCWD, "/proc/self/cgroup", PROC_MAX, &text, NULL) < 0)
		return NULL;
	AUTO_FREE char *lines = xstrdup(buf_str(&text));
	char *state = NULL;
	for (char *line = strtok_r(lines, "\n", &state); line;
		line = strtok_r(NULL, "\n", &state)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		if (has_word(controllers + 1, hierarchy->controller))
			return xstrdup(path);
	}
	return NULL;
}

/* A line of mountinfo (proc(5)): "36 35 98:0 /root /point rw - cgroup2 source rw". The place of
 * `path` below the mount, or NULL when this is not the hierarchy or does not show it. */
static char *place_in(char *line, const struct hierarchy *hierarchy, const char *path)
{
	char *fields[5], *state = NULL, *rest = strstr(line, " - ");
	if (!rest)
		return NULL;
	*rest = '\0';
	rest += 3;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (!(fields[i] = strtok_r(i ? NULL : line, " ", &state)))
			return NULL;
	const char *type = strtok_r(rest, " ", &state);
	const char *source = strtok_r(NULL, " ", &state), *options = strtok_r(NULL, " ", &state);
	const char *root = strcmp(fields[3], "/") == 0 ? "" : fields[3];
	size_t len = strlen(root);
	if (!type || !source || !options || strcmp(type, hierarchy->type) != 0 ||
		(*hierarchy->controller && !has_word(options, hierarchy->controller)) ||
		strncmp(path, root, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	path += len;
	return xasprintf("%s%s", fields[4], strcmp(path, "/") == 0 ? "" : path);
}

/* Our own directory in the hierarchy; NULL when there is none to be seen. */
static char *own_directory(const struct hierarchy *hierarchy)
{
	AUTO_FREE char *path = own_path(hierarchy);
	AUTO(buf) struct buf text = {0};
	if (!path || file_read(AT_FDCWD, "/proc/self/mountinfo", PROC_MAX, &text, NULL) < 0)
		return NULL;
	char *found = NULL;
	for (const char *at = buf_str(&text); *at && !found;) {
		size_t len = strcspn(at, "\n");
		AUTO_FREE char *line = xstrndup(at, len);
		found = place_in(line, hierarchy, path);
		at += len + (at[len] == '\n');
	}
	return found;
}

char *cgroup_beside(const char *controller)
{
	const struct hierarchy hierarchy = {controller, *controller ? "cgroup" : "cgroup2"};
	char *own = own_directory(&hierarchy);
	AUTO_FREE char *path = own_path(&hierarchy);
	char *slash = own && path && strcmp(path, "/") != 0 ? strrchr(own, '/') : NULL;
	if (!slash)
		return own;
	*slash = '\0';
	AUTO_FREE char *procs = xasprintf("%s/cgroup.procs", own);
	if (access(procs, F_OK) < 0)
		*slash = '/'; /* ours is the top of what is mounted here */
	return own;
}

static bool put_in(const char *directory, pid_t pid)
{
	AUTO_FREE char *path = xasprintf("%s/cgroup.procs", directory);
	AUTO_FREE char *number = xasprintf("%d", pid);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, number, strlen(number)) == (ssize_t)strlen(number);
}

enum cgroup_found cgroup_enter(const char *name, pid_t pid, char **ret_path)
{
	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		AUTO_FREE char *own = own_directory(&hierarchies[i]);
		if (!own)
			continue;
		AUTO_FREE char *path = xasprintf("%s/%s", own, name);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			continue;
		if (put_in(path, pid)) {
			*ret_path = TAKE(path);
			return CGROUP_MADE;
		}
		rmdir(path);
	}
	return CGROUP_NONE;
}

void cgroup_members(const char *name, pid_t **list, size_t *count)
{
	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		AUTO_FREE char *own = own_directory(&hierarchies[i]);
		AUTO_FREE char *path = own ? xasprintf("%s/%s/cgroup.procs", own, name) : NULL;
		AUTO(buf) struct buf text = {0};
		if (!path || file_read(AT_FDCWD, path, PROC_MAX, &text, NULL) < 0)
			continue;
		char *end;
		for (const char *at = buf_str(&text); *at; at = *end == '\n' ? end + 1 : end) {
			long pid = strtol(at, &end, 10);
			if (end == at)
				break;
			*list = xrealloc(*list, (*count + 1) * sizeof(**list));
			(*list)[(*count)++] = (pid_t)pid;
		}
	}
}

void cgroup_remove(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		AUTO_FREE char *own = own_directory(&hierarchies[i]);
		AUTO_FREE char *path = own ? xasprintf("%s/%s", own, name) : NULL;
		if (path)
			rmdir(path);
	}
}
