/* What the files of an application tell about how it runs: the facts behind `fairlead init`.
 * Only looks, at a bounded number of named files; guesses are marked as such by where they came
 * from. Owned by the caller, immutable once made. May block on disk. */
#pragma once

#include "common/base/err.h"

#include <stddef.h>

struct discovery_service {
	char *name;
	char **command; /* argv, NULL-terminated */
	char *origin;   /* for a comment: "Procfile", "package.json" */
};

struct discovery {
	char *app; /* a name that text_is_name accepts, from the folder's */
	struct discovery_service *services;
	size_t service_count; /* 0: nothing was found that starts the app */
	char *health_url;     /* NULL: none found */
	char *health_origin;
	char **dirs, **files; /* that should survive releases */
	char **notes;         /* what was found and is not used yet, a line each */
};

/* `dir` is the application's folder. ERR_IO, ERR_NOT_FOUND when it cannot be read. */
int discovery_make(const char *dir, struct discovery *ret, struct err *err);
void discovery_release(struct discovery *discovery);
