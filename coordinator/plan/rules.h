/* The classification rules in force: the configuration's, then the built-in ones. The first rule
 * with a pattern that matches decides a path. Immutable once made, any thread. */
#pragma once

#include "coordinator/config/app_config.h"

/* The built-in rules in their order (builtin_rules.c); never freed. */
extern const struct app_rule builtin_rules[];
extern const size_t builtin_rule_count;

struct rules;
/* Borrows the configuration. ERR_CONFIG, naming file and line, for a pattern that does not parse.
 */
int rules_new(const struct app_config *config, struct rules **ret, struct err *err);
void rules_free(struct rules *rules);

struct decision {
	const struct app_rule *rule; /* borrowed; NULL: no rule matches */
	const char *pattern;         /* borrowed; the one that matched */
	Fairlead__V1__ActionClass class;
};
struct decision rules_decide(const struct rules *rules, const char *path);
