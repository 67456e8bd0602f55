#include "coordinator/fleet/fleet.h"

#include "common/base/mem.h"

static bool in_environment(const struct fleet_host *host, const char *environment)
{
	for (size_t i = 0; environment && i < host->label_count; i++)
		if (strcmp(host->labels[i].name, "env") == 0)
			return strcmp(host->labels[i].value, environment) == 0;
	return true;
}

static int nobody(const char *path, const char *environment, const char *limit, struct err *err)
{
	err_set(err, ERR_NOT_FOUND, "%s: no host%s%s%s%s%s%s", path,
		environment ? " of the environment '" : "", environment ? environment : "",
		environment ? "'" : "", limit ? " matches '" : "", limit ? limit : "",
		limit ? "'" : "");
	return err_hint(err, "`fairlead hosts list` shows the hosts and their labels.");
}

int fleet_open(const char *path, const char *environment, const char *limit, struct fleet *ret,
	struct err *err)
{
	struct fleet fleet = {0};
	struct selector *selector = NULL;
	if (selector_parse(limit ? limit : "", &selector, err) < 0)
		return -1;
	if (fleet_config_load(path, &fleet.config, err) < 0) {
		selector_free(selector);
		return -1;
	}
	fleet.hosts = xcalloc(fleet.config.count + 1, sizeof(struct fleet_host *));
	for (size_t i = 0; i < fleet.config.count; i++) {
		const struct fleet_host *host = &fleet.config.hosts[i];
		if (in_environment(host, environment) && selector_matches(selector, host))
			fleet.hosts[fleet.count++] = host;
	}
	selector_free(selector);
	if (fleet.count == 0) {
		fleet_release(&fleet);
		return nobody(path, environment, limit, err);
	}
	*ret = fleet;
	return 0;
}

void fleet_release(struct fleet *fleet)
{
	free(fleet->hosts);
	fleet_config_release(&fleet->config);
	*fleet = (struct fleet){0};
}
