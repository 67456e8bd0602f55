#include "coordinator/cli/discovery.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/config.h"
#include "common/os/file.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { LOOK_MAX = 1024 * 1024 }; /* larger files are not looked into */

/* ---- small helpers ---- */

static void list_add(char ***list, char *item)
{
	size_t count = 0;
	while (*list && (*list)[count])
		count++;
	*list = xrealloc(*list, (count + 2) * sizeof(**list));
	(*list)[count] = item;
	(*list)[count + 1] = NULL;
}

static bool exists(int dirfd, const char *path, mode_t type)
{
	struct stat st;
	return fstatat(dirfd, path, &st, 0) == 0 && (st.st_mode & S_IFMT) == type;
}

/* The text of a file, "" if there is none or it is no text. The caller frees. */
static char *read_text(int dirfd, const char *path)
{
	struct buf content = {0};
	if (file_read(dirfd, path, LOOK_MAX, &content, NULL) < 0 ||
		memchr(content.data, '\0', content.len)) {
		buf_release(&content);
		return xstrdup("");
	}
	buf_str(&content);
	return (char *)content.data;
}

static void add_service(struct discovery *d, const char *name, char **command, const char *origin)
{
	d->services = xrealloc(d->services, (d->service_count + 1) * sizeof(*d->services));
	d->services[d->service_count++] =
		(struct discovery_service){xstrdup(name), command, xstrdup(origin)};
}

/* ---- what starts it ---- */

/* "${" would be a variable of ours: doubled, the shell gets to see it. */
static char *shell_text(const char *line)
{
	struct buf out = {0};
	buf_append_str(&out, "exec ");
	for (const char *p = line; *p; p++) {
		if (p[0] == '$' && p[1] == '{')
			buf_append_str(&out, "$");
		buf_append(&out, p, 1);
	}
	buf_str(&out);
	return (char *)out.data;
}

/* A command line as argv: split at blanks, or given to a shell where it is more than words. */
static char **split_command(const char *line)
{
	char **argv = NULL;
	if (line[strcspn(line, "|&;<>()$`\\\"'*?[#~=%{}!")] != '\0') {
		list_add(&argv, xstrdup("/bin/sh"));
		list_add(&argv, xstrdup("-c"));
		list_add(&argv, shell_text(line));
		return argv;
	}
	for (const char *p = line + strspn(line, " \t"); *p; p += strspn(p, " \t")) {
		size_t len = strcspn(p, " \t");
		list_add(&argv, xstrndup(p, len));
		p += len;
	}
	return argv;
}

/* "name: command" on each line. */
static void look_at_procfile(struct discovery *d, int dirfd)
{
	AUTO_FREE char *text = read_text(dirfd, "Procfile");
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		line[strcspn(line, "\r")] = '\0';
		char *colon = strchr(line, ':');
		if (line[0] == '#' || !colon)
			continue;
		*colon = '\0';
		const char *command = colon + 1 + strspn(colon + 1, " \t");
		/* Heroku's `release` runs once before a deployment: no service. */
		if (text_is_name(line) && *command && strcmp(line, "release") != 0)
			add_service(d, line, split_command(command), "Procfile");
	}
}

static void look_at_package_json(struct discovery *d, int dirfd)
{
	AUTO_FREE char *text = read_text(dirfd, "package.json");
	cJSON *json = cJSON_Parse(text);
	const cJSON *scripts = cJSON_GetObjectItemCaseSensitive(json, "scripts");
	const char *start =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(scripts, "start"));
	if (start) {
		char **command = NULL;
		list_add(&command, xstrdup("npm"));
		list_add(&command, xstrdup("start"));
		add_service(d, "web", command, "\"start\" of package.json");
	}
	cJSON_Delete(json);
}

/* Entry points by custom, the likelier first; the interpreter is for those not executable. */
static const struct {
	const char *path, *interpreter;
} entry_points[] = {
	{"bin/serve", NULL},
	{"bin/server", NULL},
	{"bin/web", NULL},
	{"bin/start", NULL},
	{"start.sh", "sh"},
	{"src/server.py", "python3"},
	{"server.py", "python3"},
	{"src/main.py", "python3"},
	{"main.py", "python3"},
	{"src/app.py", "python3"},
	{"app.py", "python3"},
	{"bot.py", "python3"},
	{"src/bot.py", "python3"},
	{"server.js", "node"},
	{"index.js", "node"},
};

static const char *find_entry_point(int dirfd, const char **ret_interpreter)
{
	for (size_t i = 0; i < ARRAY_LEN(entry_points); i++) {
		const char *path = entry_points[i].path;
		bool executable = faccessat(dirfd, path, X_OK, 0) == 0;
		if (!exists(dirfd, path, S_IFREG) || (!executable && !entry_points[i].interpreter))
			continue;
		*ret_interpreter = executable ? NULL : entry_points[i].interpreter;
		return path;
	}
	return NULL;
}

static void look_for_entry_point(struct discovery *d, int dirfd)
{
	const char *interpreter = NULL;
	const char *path = find_entry_point(dirfd, &interpreter);
	char **command = NULL;
	if (!path)
		return;
	if (interpreter)
		list_add(&command, xstrdup(interpreter));
	list_add(&command, xstrdup(path));
	add_service(d, "web", command, path);
}

static void look_for_services(struct discovery *d, int dirfd)
{
	static void (*const looks[])(struct discovery *, int) = {
		look_at_procfile, look_at_package_json, look_for_entry_point};
	for (size_t i = 0; i < ARRAY_LEN(looks) && d->service_count == 0; i++)
		looks[i](d, dirfd);
}

/* ---- how it is known to be healthy ---- */

/* Where a health check may be written down, the likelier first. */
static const char *const health_sources[] = {"Dockerfile", "docker-compose.yml",
	"docker-compose.yaml", "compose.yml", "compose.yaml", "docker-compose.prod.yml"};

/* "http://localhost:3000/health", as in a HEALTHCHECK line, up to what ends a URL there. */
static char *find_url(const char *text)
{
	static const char *const hosts[] = {
		"http://localhost", "http://127.0.0.1", "http://0.0.0.0"};
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		const char *at = strstr(text, hosts[i]);
		const char *rest = at ? at + strlen(hosts[i]) : NULL;
		size_t len = rest ? strspn(rest, ":/._-~0123456789abcdefghijklmnopqrstuvwxyz"
						 "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
				  : 0;
		/* A port that is a variable cannot be known. */
		if (len > 0 && rest[len] != '$' && rest[len] != '{')
			return xasprintf("http://127.0.0.1%.*s", (int)len, rest);
	}
	return NULL;
}

static void look_for_health(struct discovery *d, int dirfd)
{
	for (size_t i = 0; i < ARRAY_LEN(health_sources) && !d->health_url; i++) {
		AUTO_FREE char *text = read_text(dirfd, health_sources[i]);
		d->health_url = find_url(text);
		if (d->health_url)
			d->health_origin = xstrdup(health_sources[i]);
	}
}

/* ---- the rest ---- */

static void look_for_shared(struct discovery *d, int dirfd)
{
	static const char *const dirs[] = {"data", "logs", "uploads", "storage", "media"};
	static const char *const templates[] = {
		".env", ".env.template", ".env.example", ".env.sample"};
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (exists(dirfd, dirs[i], S_IFDIR))
			list_add(&d->dirs, xstrdup(dirs[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(templates) && !d->files; i++) {
		if (exists(dirfd, templates[i], S_IFREG))
			list_add(&d->files, xstrdup(".env"));
	}
}

/* What other tools were told, and this version cannot use yet. */
static const struct {
	const char *pattern, *note;
} others[] = {
	{"docker-compose*.y*ml", "services of Docker Compose; `driver: compose` comes later"},
	{"compose*.y*ml", "services of Docker Compose; `driver: compose` comes later"},
	{"*.service", "a systemd unit; `driver: systemd` comes later"},
	{"*/*.service", "a systemd unit; `driver: systemd` comes later"},
	{"railway.json", "the settings of Railway; its health path belongs in `health` below"},
	{"railway.toml", "the settings of Railway; its health path belongs in `health` below"},
	{"migrations", "migrations; running them in a deployment comes later"},
	{"*/migrations", "migrations; running them in a deployment comes later"},
	{"alembic.ini", "migrations; running them in a deployment comes later"},
	{"sql_scripts", "migrations; running them in a deployment comes later"},
};

static void look_for_others(struct discovery *d, const char *dir)
{
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		AUTO_FREE char *pattern = xasprintf("%s/%s", dir, others[i].pattern);
		glob_t found = {0};
		if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0 && found.gl_pathc > 0) {
			AUTO_FREE char *path = text_escaped(found.gl_pathv[0] + strlen(dir) + 1);
			list_add(&d->notes, xasprintf("%s: %s", path, others[i].note));
		}
		globfree(&found);
	}
}

/* The folder's name, with what a name may not have replaced. */
static char *app_name(const char *dir)
{
	AUTO_FREE char *full = realpath(dir, NULL);
	const char *slash = full ? strrchr(full, '/') : NULL;
	const char *base = slash ? slash + 1 : "";
	while (*base && !isalnum((unsigned char)*base))
		base++;
	char *name = xstrndup(base, 63);
	for (char *p = name; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
			*p = '-';
	}
	if (text_is_name(name))
		return name;
	free(name);
	return xstrdup("app");
}

int discovery_make(const char *dir, struct discovery *ret, struct err *err)
{
	AUTO_CLOSE int dirfd = open_dir(dir, err);
	if (dirfd < 0)
		return -1;
	struct discovery discovery = {.app = app_name(dir)};
	look_for_services(&discovery, dirfd);
	look_for_health(&discovery, dirfd);
	look_for_shared(&discovery, dirfd);
	look_for_others(&discovery, dir);
	*ret = discovery;
	return 0;
}

void discovery_release(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->service_count; i++) {
		free(discovery->services[i].name);
		free(discovery->services[i].origin);
		config_list_free(discovery->services[i].command);
	}
	free(discovery->services);
	free(discovery->app);
	free(discovery->health_url);
	free(discovery->health_origin);
	config_list_free(discovery->dirs);
	config_list_free(discovery->files);
	config_list_free(discovery->notes);
	*discovery = (struct discovery){0};
}
