#include "common/base/mem.h"
#include "coordinator/config/app_impl.h"
#include "coordinator/config/fleet_config.h"

#include <ctype.h>

int app_check_pattern(const char *text, struct err *err)
{
	if (text[0] != '\0')
		return 0;
	return err_set(err, ERR_CONFIG, "the pattern is empty; write for example \"docs/**\"");
}

static size_t env_name_length(const char *text)
{
	size_t n = 0;
	while (isalpha((unsigned char)text[n]) || text[n] == '_' ||
		(n > 0 && isdigit((unsigned char)text[n])))
		n++;
	return n;
}

int app_check_env_name(const char *text, struct err *err)
{
	if (text[0] != '\0' && text[env_name_length(text)] == '\0')
		return 0;
	return err_set(err, ERR_CONFIG,
		"not the name of an environment variable; write letters, digits and '_', not "
		"beginning with a digit");
}

int app_check_variables(const char *text, struct err *err)
{
	for (const char *p = text; *p; p++) {
		if (p[0] != '$')
			continue;
		if (p[1] == '$') {
			p++;
			continue;
		}
		if (p[1] != '{')
			continue;
		size_t n = env_name_length(p + 2);
		if (n == 0 || p[2 + n] != '}')
			return err_set(err, ERR_CONFIG,
				"\"${\" without a name and \"}\"; write for example ${PORT}, or "
				"$${ for a plain ${");
	}
	return 0;
}

int app_check_selector(const char *text, struct err *err)
{
	struct selector *selector = NULL;
	if (selector_parse(text, &selector, err) < 0)
		return -1;
	selector_free(selector);
	return 0;
}

int app_check_url(const char *text, struct err *err)
{
	static const char *const schemes[] = {"http://", "https://"};
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n = strlen(schemes[i]);
		if (strncmp(text, schemes[i], n) == 0 && text[n] != '\0' && text[n] != '/' &&
			!strpbrk(text, " \t\r\n"))
			return app_check_variables(text, err);
	}
	return err_set(err, ERR_CONFIG,
		"\"%.60s\" is not a URL; write for example http://127.0.0.1:8080/health", text);
}

int app_check_json_path(const char *text, struct err *err)
{
	const char separator[] = {text[0] == '/' ? '/' : '.', '\0'};
	const char *at = text + (text[0] == '/');
	for (;; at++) {
		size_t len = strcspn(at, separator);
		if (len == 0)
			return err_set(err, ERR_CONFIG,
				"\"%.60s\" has an empty key; write for example services.db, or a "
				"JSON "
				"pointer: /services/db",
				text);
		at += len;
		if (!*at)
			return 0;
	}
}

static bool is_component_refused(const char *p, size_t n)
{
	static const char *const words[] = {"", ".", "..", ".git"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strlen(words[i]) == n && strncmp(words[i], p, n) == 0)
			return true;
	return false;
}

int app_check_shared_path(const char *text, struct err *err)
{
	/* One '/' at the end is how people write a directory. */
	for (const char *p = text;; p++) {
		size_t n = strcspn(p, "/");
		bool end = p[n] == '\0';
		if (is_component_refused(p, n) && !(end && n == 0 && p != text))
			return err_set(err, ERR_CONFIG,
				"\"%.60s\" does not stay inside the release; write a relative path "
				"without \"..\", for example data",
				text);
		if (end)
			return 0;
		p += n;
	}
}

/* True when one path is the other, or a directory above it. */
static bool overlap(const char *a, const char *b)
{
	size_t alen = strlen(a), blen = strlen(b);
	size_t n = alen < blen ? alen : blen;
	if (strncmp(a, b, n) != 0)
		return false;
	return alen == blen || (alen < blen ? b : a)[n] == '/';
}

/* "data/" is "data". */
static void cut_slashes(char **paths)
{
	for (; *paths; paths++) {
		size_t len = strlen(*paths);
		if ((*paths)[len - 1] == '/')
			(*paths)[len - 1] = '\0';
	}
}

int app_check_shared_overlap(
	const struct app_file *file, const struct yaml_node *root, struct err *err)
{
	char **lists[] = {file->config.shared_dirs, file->config.shared_files};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		cut_slashes(lists[i]);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (char **p = lists[i]; *p; p++)
			for (size_t j = i; j < ARRAY_LEN(lists); j++)
				for (char **q = j == i ? p + 1 : lists[j]; *q; q++)
					if (overlap(*p, *q))
						return yaml_error(yaml_get(root, "shared"), err,
							"\"%s\" and \"%s\" overlap; share the "
							"upper "
							"one only",
							*p, *q);
	return 0;
}
