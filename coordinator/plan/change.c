#include "coordinator/plan/plan.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/plan/rules.h"

static const char *file_name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Where the rule stands, as a person would look it up. */
static char *rule_text(const struct decision *decision, const struct app_config *config)
{
	if (!decision->rule)
		return xstrdup("no rule matches");
	if (decision->rule->line == 0)
		return xasprintf("built-in %s", decision->pattern);
	return xasprintf(
		"%s:%u %s", file_name_of(config->path), decision->rule->line, decision->pattern);
}

struct collector {
	const struct app_config *config;
	const struct rules *rules;
	struct plan_change *change;
	size_t capacity;
};

/* A manifest_diff_fn. */
static int collect(const struct manifest_entry *old, const struct manifest_entry *new_, void *user)
{
	struct collector *c = user;
	struct plan_change *change = c->change;
	if (change->count == c->capacity) {
		c->capacity = c->capacity ? 2 * c->capacity : 64;
		change->files = xrealloc(change->files, c->capacity * sizeof(*change->files));
	}
	const char *path = new_ ? new_->path : old->path;
	struct decision decision = rules_decide(c->rules, path);
	change->files[change->count++] = (struct plan_file){
		.path = xstrdup(path),
		.status = !old    ? PLAN_FILE_ADDED
			  : !new_ ? PLAN_FILE_REMOVED
				  : PLAN_FILE_CHANGED,
		.rule = decision.rule,
		.rule_text = rule_text(&decision, c->config),
		.class = decision.class,
	};
	if (decision.class > change->found)
		change->found = decision.class;
	return 0;
}

/* "'src/a.py' (built-in src/) and 2 more files": the first of the strongest class. */
static void say_deciding_files(const struct plan_change *change, struct buf *out)
{
	const struct plan_file *first = NULL;
	size_t more = 0;
	for (size_t i = 0; i < change->count; i++) {
		if (change->files[i].class != change->found)
			continue;
		if (first)
			more++;
		else
			first = &change->files[i];
	}
	if (!first) {
		buf_append_str(out, "nothing changed");
		return;
	}
	buf_append_str(out, "'");
	text_escape(out, BYTES_STR(first->path));
	buf_append_str(out, "' (");
	text_escape(out, BYTES_STR(first->rule_text));
	buf_append_str(out, ")");
	if (more > 0)
		buf_printf(out, " and %zu more %s", more, more == 1 ? "file" : "files");
}

static char *reason(const struct plan_change *change, enum plan_base known, const char *why)
{
	struct buf out = {0};
	switch (known) {
	case PLAN_BASE_KNOWN:
		say_deciding_files(change, &out);
		break;
	case PLAN_BASE_FIRST:
		buf_append_str(&out, "first deployment, no release is installed");
		break;
	case PLAN_BASE_UNKNOWN:
		buf_append_str(&out, "BASE UNKNOWN, so nothing can be left out: ");
		text_escape(&out, BYTES_STR(why ? why : "the host did not say what it runs"));
		break;
	}
	if (change->class != change->found)
		buf_printf(&out, "; forced %s although auto found %s",
			plan_class_name(change->class), plan_class_name(change->found));
	buf_str(&out);
	return (char *)out.data;
}

int change_compute(const struct app_config *config, enum plan_base known,
	const struct manifest *base, const struct manifest *target, const char *why,
	Fairlead__V1__ActionClass forced, struct plan_change *ret, struct err *err)
{
	struct rules *rules = NULL;
	if (rules_new(config, &rules, err) < 0)
		return -1;
	struct plan_change change = {.found = FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART};
	if (known == PLAN_BASE_KNOWN) {
		struct collector collector = {config, rules, &change, 0};
		change.found = FAIRLEAD__V1__ACTION_CLASS__NO_RESTART;
		change.base = base->digest;
		manifest_diff(base, target, collect, &collector);
	}
	rules_free(rules);
	change.class = forced != FAIRLEAD__V1__ACTION_CLASS__ACTION_CLASS_UNSPECIFIED
			       ? forced
			       : change.found;
	change.nothing = known == PLAN_BASE_KNOWN && change.count == 0 &&
			 forced == FAIRLEAD__V1__ACTION_CLASS__ACTION_CLASS_UNSPECIFIED;
	change.reason = reason(&change, known, why);
	*ret = change;
	return 0;
}

void change_release(struct plan_change *change)
{
	for (size_t i = 0; i < change->count; i++) {
		free(change->files[i].path);
		free(change->files[i].rule_text);
	}
	free(change->files);
	free(change->reason);
	*change = (struct plan_change){0};
}

static bool is_named(char **names, const char *name)
{
	for (; names && *names; names++) {
		if (strcmp(*names, name) == 0)
			return true;
	}
	return false;
}

/* A rule that names services means exactly these, one that does not all but those that asked to
 * be left alone. */
static bool app_rule_touches(const struct app_rule *rule, const struct app_service *service)
{
	if (rule && rule->services && rule->services[0])
		return is_named(rule->services, service->name);
	return service->restart_on != FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART;
}

bool plan_file_touches(const struct plan_file *file, const struct app_service *service)
{
	if (file->class == FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART)
		return true;
	return file->class == FAIRLEAD__V1__ACTION_CLASS__APP_ONLY &&
	       app_rule_touches(file->rule, service);
}

/* The files that ask for a restart name the services; where none does (the class was forced, or
 * the files are not known), all app services are meant. */
static bool app_only_touches(const struct plan_change *change, const struct app_service *service)
{
	bool asked = false;
	for (size_t i = 0; i < change->count; i++) {
		if (change->files[i].class < FAIRLEAD__V1__ACTION_CLASS__APP_ONLY)
			continue;
		if (app_rule_touches(change->files[i].rule, service))
			return true;
		asked = true;
	}
	return !asked && app_rule_touches(NULL, service);
}

Fairlead__V1__ServiceAction change_service_action(
	const struct plan_change *change, const struct app_service *service)
{
	bool restart = change->class == FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART ||
		       (change->class == FAIRLEAD__V1__ACTION_CLASS__APP_ONLY && !change->nothing &&
			       app_only_touches(change, service));
	return restart ? FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART
		       : FAIRLEAD__V1__SERVICE_ACTION__SERVICE_LEAVE;
}
