/* The plan: per file the rule that decided, per service the action, per host the steps.
 * A pure function of (config, trees, host states): same input, same bytes. No I/O here.
 * Immutable once made; it borrows the config, the hosts of the fleet and the rules. */
#pragma once

#include "common/release/manifest.h"
#include "coordinator/config/app_config.h"
#include "coordinator/config/fleet_config.h"

#include <cjson/cJSON.h>

enum plan_file_status { PLAN_FILE_ADDED, PLAN_FILE_CHANGED, PLAN_FILE_REMOVED };

struct plan_file {
	char *path;
	enum plan_file_status status;
	const struct app_rule *rule; /* borrowed: the config's or a built-in one; NULL: no rule */
	char *rule_text;             /* "built-in *.md", "no rule matches", file:line pattern */
	Fairlead__V1__ActionClass class;
};

/* What changes between two trees, judged. Shared by all hosts on the same base. (The tag is not
 * `change`: that is a row of two manifests' difference, common/release/changes.h.) */
struct plan_change {
	struct digest base;      /* zero: first deployment or base unknown */
	struct plan_file *files; /* in path order; none listed unless the base is known */
	size_t count;
	Fairlead__V1__ActionClass class; /* after --type */
	Fairlead__V1__ActionClass found; /* what auto found */
	char *reason;                    /* one line why; loud when the base is unknown */
	bool nothing;                    /* base == target and nothing forced */
};

enum plan_base { PLAN_BASE_KNOWN, PLAN_BASE_FIRST, PLAN_BASE_UNKNOWN };

/* forced: ACTION_CLASS_UNSPECIFIED for auto. base NULL unless PLAN_BASE_KNOWN; why says in words
 * why the base is unknown (coordinator/plan/base.h). ERR_CONFIG for a rule's pattern that does not
 * parse. */
int change_compute(const struct app_config *config, enum plan_base known,
	const struct manifest *base, const struct manifest *target, const char *why,
	Fairlead__V1__ActionClass forced, struct plan_change *ret, struct err *err);
void change_release(struct plan_change *change);

/* What the change asks of the service. NO_RESTART leaves all, FULL_RESTART restarts all; APP_ONLY
 * restarts those that the deciding rules name, and for a rule that names none every service but
 * those with `restart_on: FULL_RESTART`. */
Fairlead__V1__ServiceAction change_service_action(
	const struct plan_change *change, const struct app_service *service);
/* Whether this file alone would restart the service. */
bool plan_file_touches(const struct plan_file *file, const struct app_service *service);
/* Print one change as `fairlead plan` does: files by class with the rule that decided, services of
 * the config, class and reason. verbosity 0 shortens long lists. */
void change_print(const struct plan_change *change, const struct app_config *config,
	struct buf *out, unsigned verbosity);

struct plan_host {
	const struct fleet_host *host;    /* borrowed */
	const struct plan_change *change; /* borrowed */
	struct digest from, to;
	char *commit_from, *commit_to; /* labels; commit_from "" on a first deployment */
	/* The services whose selector matches the host, with their action; parallel arrays. */
	const struct app_service **services;
	Fairlead__V1__ServiceAction *actions;
	size_t service_count;
};

struct plan {
	const struct app_config *config; /* borrowed */
	struct plan_change *changes;     /* one per distinct base */
	size_t change_count;
	struct plan_host *hosts;
	size_t host_count;
	struct digest target;
	char *label;           /* of the target */
	uint64_t files, bytes; /* of the target tree */
	char *forced;          /* the --type given, "" for auto */
};

/* One host's state as it told. */
struct plan_host_state {
	const struct fleet_host *host;
	struct digest current; /* zero: none */
	const char *commit;    /* its label, "" if none */
	/* Which of `bases` it stands on; NULL: first or unknown. */
	const struct manifest *base;
	enum plan_base known;
	const char *why;
	/* Names of its services that do not run now, NULL-terminated, may be NULL: they are started
	 * even where nothing changed for them. */
	const char *const *down;
};

/* A host that has the target already is known to have it, whatever `known` says. A service that is
 * down is restarted (started) even where the change leaves it. Errors: ERR_CONFIG of rules and
 * selectors. Release with plan_release; states are borrowed during the call only, but for host. */
int plan_make(const struct app_config *config, const struct manifest *target, const char *label,
	const struct plan_host_state *states, size_t state_count, Fairlead__V1__ActionClass forced,
	struct plan *ret, struct err *err);
void plan_release(struct plan *plan);
bool plan_is_nothing(const struct plan *plan); /* no host has anything to do */
bool plan_host_is_nothing(const struct plan_host *host);
/* The strongest class over the hosts; NO_RESTART without hosts. */
Fairlead__V1__ActionClass plan_class(const struct plan *plan);

/* What `fairlead plan` prints, and its --json: class, and per file path, status, rule, class,
 * services; per host from, to, class, services with action. Foreign bytes are escaped in print; in
 * JSON only where a string would not be UTF-8. The caller frees the JSON with cJSON_Delete. */
void plan_print(const struct plan *plan, struct buf *out, unsigned verbosity);
cJSON *plan_json(const struct plan *plan);
cJSON *change_json(const struct plan_change *change, const struct app_config *config);
const char *plan_class_name(Fairlead__V1__ActionClass class); /* "NO_RESTART" … */
const char *plan_type_name(Fairlead__V1__ActionClass class); /* "no-restart" …, as --type has it */
/* "auto" -> UNSPECIFIED, "full", "app-only", "no-restart"; ERR_USAGE otherwise. */
int plan_parse_type(const char *text, Fairlead__V1__ActionClass *ret, struct err *err);
