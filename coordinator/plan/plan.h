/* The plan: per file the rule that decided, per service the action, per host the steps.
 * A pure function of (config, trees, host states): same input, same bytes. No I/O here. */
#pragma once

#include "common/release/manifest.h"
#include "coordinator/config/app_config.h"
#include "coordinator/config/fleet_config.h"

#include <cjson/cJSON.h>

enum plan_file_status { PLAN_FILE_ADDED, PLAN_FILE_CHANGED, PLAN_FILE_REMOVED };

struct plan_file {
	char *path;
	enum plan_file_status status;
	const struct app_rule *rule;       /* borrowed: the config's or a built-in one; NULL: no rule */
	char *rule_text;                   /* "fairlead.yaml:12 docs/**", "built-in *.md", "no rule matches" */
	Fairlead__V1__ActionClass class;
};

/* What changes between two trees, judged. Shared by all hosts on the same base. */
struct change {
	struct digest base;                /* zero: first deployment or base unknown */
	struct plan_file *files;           /* in path order; all files on a first deployment: none listed */
	size_t count;
	Fairlead__V1__ActionClass class;   /* after --type */
	Fairlead__V1__ActionClass found;   /* what auto found */
	char *reason;                      /* one line why; loud when the base is unknown */
	bool nothing;                      /* base == target and nothing forced */
};

enum plan_base { PLAN_BASE_KNOWN, PLAN_BASE_FIRST, PLAN_BASE_UNKNOWN };

/* forced: ACTION_CLASS_UNSPECIFIED for auto. base NULL unless PLAN_BASE_KNOWN; why says in words why
 * the base is unknown. */
int change_compute(const struct app_config *config, enum plan_base known,
	const struct manifest *base, const struct manifest *target, const char *why,
	Fairlead__V1__ActionClass forced, struct change *ret, struct err *err);
void change_release(struct change *change);

/* May this change restart the service, and if so why not left alone. */
Fairlead__V1__ServiceAction change_service_action(const struct change *change,
	const struct app_service *service);

struct plan_host {
	const struct fleet_host *host;     /* borrowed */
	const struct change *change;       /* borrowed */
	struct digest from, to;
	char *commit_from, *commit_to;     /* labels; commit_from "" on a first deployment */
	/* The services whose selector matches the host, with their action; parallel arrays. */
	const struct app_service **services;
	Fairlead__V1__ServiceAction *actions;
	size_t service_count;
};

struct plan {
	const struct app_config *config;   /* borrowed */
	struct change *changes;            /* one per distinct base */
	size_t change_count;
	struct plan_host *hosts;
	size_t host_count;
	struct digest target;
	char *label;                       /* of the target */
	uint64_t files, bytes;             /* of the target tree */
	char *forced;                      /* the --type given, "" for auto */
};

/* One host's state as it told. */
struct plan_host_state {
	const struct fleet_host *host;
	struct digest current;             /* zero: none */
	const char *commit;                /* its label, "" if none */
	/* Which of `bases` it stands on; NULL: first or unknown. */
	const struct manifest *base;
	enum plan_base known;
	const char *why;
	/* Names of its services that do not run now, NULL-terminated, may be NULL: they are started even
	 * where nothing changed for them. */
	const char *const *down;
};

int plan_make(const struct app_config *config, const struct manifest *target, const char *label,
	const struct plan_host_state *states, size_t state_count,
	Fairlead__V1__ActionClass forced, struct plan *ret, struct err *err);
void plan_release(struct plan *plan);
bool plan_is_nothing(const struct plan *plan); /* no host has anything to do */

/* What `fairlead plan` prints, and its --json: class, and per file path, status, rule, class,
 * services; per host from, to, class, services with action. */
void plan_print(const struct plan *plan, struct buf *out, unsigned verbosity);
cJSON *plan_json(const struct plan *plan);
cJSON *change_json(const struct change *change, const struct app_config *config);
const char *plan_class_name(Fairlead__V1__ActionClass class); /* "NO_RESTART" … */
/* "auto" -> UNSPECIFIED, "full", "app-only", "no-restart"; ERR_USAGE otherwise. */
int plan_parse_type(const char *text, Fairlead__V1__ActionClass *ret, struct err *err);
