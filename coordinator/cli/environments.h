/* The environments of a fairlead.yaml, for verbs that deploy to none of them. A struct app_config
 * holds only the one it was loaded for. May block on disk. */
#pragma once

#include "coordinator/config/app_config.h"

/* app_config_load for `environment`, or for the first one of the file if that is NULL: what is
 * asked of the config is the same in all of them. Every environment has been checked then. */
int environments_load_any(
	const char *path, const char *environment, struct app_config *ret, struct err *err);
/* The names, NULL-terminated, in the order of the file; { NULL } when it has none. Free with
 * config_list_free (common/config/config.h). Errors are those of common/config/yaml.h. */
int environments_list(const char *path, char ***ret, struct err *err);
