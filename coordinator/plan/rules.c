#include "coordinator/plan/rules.h"

#include "common/base/mem.h"
#include "coordinator/plan/pattern.h"

struct compiled {
	struct pattern *pattern;
	const struct app_rule *rule;
	const char *text;
};

struct rules {
	struct compiled *rows; /* one per pattern, in order */
	size_t count;
};

static int add(struct rules *rules, const struct app_rule *rule, const struct app_config *config,
	struct err *err)
{
	for (char **text = rule->match; text && *text; text++) {
		struct pattern *pattern = NULL;
		if (pattern_new(*text, &pattern, err) < 0) {
			err_wrap(err, "%s:%u: classify.rules", config->path, rule->line);
			if (err)
				err->code = ERR_CONFIG;
			return -1;
		}
		rules->rows = xrealloc(rules->rows, (rules->count + 1) * sizeof(*rules->rows));
		rules->rows[rules->count++] = (struct compiled){pattern, rule, *text};
	}
	return 0;
}

int rules_new(const struct app_config *config, struct rules **ret, struct err *err)
{
	struct rules *rules = xcalloc(1, sizeof(*rules));
	int rc = 0;
	for (size_t i = 0; i < config->rule_count && rc == 0; i++)
		rc = add(rules, &config->rules[i], config, err);
	for (size_t i = 0; config->builtin_rules && i < builtin_rule_count && rc == 0; i++)
		rc = add(rules, &builtin_rules[i], config, err);
	if (rc < 0)
		rules_free(rules);
	else
		*ret = rules;
	return rc;
}

void rules_free(struct rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->count; i++)
		pattern_free(rules->rows[i].pattern);
	free(rules->rows);
	free(rules);
}

struct decision rules_decide(const struct rules *rules, const char *path)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct compiled *row = &rules->rows[i];
		if (pattern_matches(row->pattern, path))
			return (struct decision){row->rule, row->text, row->rule->class};
	}
	/* What nobody described may be loaded by the app. */
	return (struct decision){NULL, NULL, FAIRLEAD__V1__ACTION_CLASS__APP_ONLY};
}
