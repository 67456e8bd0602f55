#include "coordinator/cli/environments.h"

#include "common/base/mem.h"
#include "common/config/config.h"

int environments_list(const char *path, char ***ret, struct err *err)
{
	AUTO_YAML struct yaml *yaml = NULL;
	if (yaml_load_file(path, &yaml, err) < 0)
		return -1;
	const struct yaml_node *section = yaml_get(yaml_root(yaml), "environments");
	size_t count = section && section->kind == YAML_MAPPING ? section->count : 0;
	char **names = xcalloc(count + 1, sizeof(*names));
	const struct yaml_node *node = count > 0 ? section->first : NULL;
	for (size_t i = 0; i < count; i++, node = node->next)
		names[i] = xstrdup(node->key);
	*ret = names;
	return 0;
}

int environments_load_any(
	const char *path, const char *environment, struct app_config *ret, struct err *err)
{
	struct err first = ERR_INIT;
	if (app_config_load(path, environment, ret, &first) == 0)
		return 0;
	/* ERR_USAGE without a name: there are several to choose from. */
	if (environment || first.code != ERR_USAGE) {
		*err = first;
		return -1;
	}
	char **names = NULL;
	if (environments_list(path, &names, err) < 0)
		return -1;
	int rc = app_config_load(path, names[0], ret, err);
	config_list_free(names);
	return rc;
}
