#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/config/app_impl.h"

static const struct config_choice classes[] = {
	{"NO_RESTART", FAIRLEAD__V1__ACTION_CLASS__NO_RESTART, CONFIG_CHOICE_NOW},
	{"APP_ONLY", FAIRLEAD__V1__ACTION_CLASS__APP_ONLY, CONFIG_CHOICE_NOW},
	{"FULL_RESTART", FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART, CONFIG_CHOICE_NOW},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

const struct config_field app_rule_fields[] = {
	{.key = "match",
		.type = CONFIG_LIST,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct app_rule, match),
		.min = 1,
		.check = app_check_pattern,
		.write = "write for example [\"docs/**\", \"*.md\"]",
		.doc = "Patterns in the manner of .gitignore; one that matches is enough"},
	{.key = "class",
		.type = CONFIG_CHOICE,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct app_rule, class),
		.choices = classes,
		.doc = "What a change of such a file asks for"},
	{.key = "services",
		.type = CONFIG_LIST,
		CONFIG_MEMBER(struct app_rule, services),
		.min = 1,
		.write = "write the names of the services, or leave the key out for all",
		.doc = "The services it concerns. Left out: all"},
	{0},
};

static int check_service(
	const struct yaml_node *node, const struct app_service_files *services, struct err *err)
{
	AUTO_FREE const char **names = xcalloc(services->count + 1, sizeof(*names));
	for (size_t i = 0; i < services->count; i++) {
		names[i] = services->services[i].name;
		if (strcmp(names[i], node->text) == 0)
			return 0;
	}
	AUTO_FREE char *shown = yaml_shown(node);
	const char *nearest = text_nearest(node->text, names);
	if (nearest)
		return yaml_error(
			node, err, "no service \"%s\"; did you mean \"%s\"?", shown, nearest);
	return yaml_error(
		node, err, "no service \"%s\"; name one that stands under services", shown);
}

static int check_services(
	const struct yaml_node *rule, const struct app_service_files *services, struct err *err)
{
	const struct yaml_node *node = yaml_get(rule, "services");
	if (!node)
		return 0;
	if (node->kind == YAML_SCALAR)
		return check_service(node, services, err);
	for (const struct yaml_node *item = node->first; item; item = item->next)
		if (check_service(item, services, err) < 0)
			return -1;
	return 0;
}

int app_rules_load(const struct yaml_node *rules, const struct app_service_files *services,
	struct app_rule **ret, size_t *ret_count, struct err *err)
{
	if (config_expect(rules, YAML_LIST,
		    "write a list of rules, for example [ { match: [\"*.md\"], class: NO_RESTART } "
		    "]",
		    err) < 0)
		return -1;
	struct app_rule *loaded = xcalloc(rules->count, sizeof(*loaded));
	size_t count = 0;
	for (const struct yaml_node *node = rules->first; node; node = node->next) {
		struct app_rule *rule = &loaded[count++];
		rule->line = node->line;
		if (config_load(node, app_rule_fields, rule, CONFIG_NEW, err) < 0 ||
			check_services(node, services, err) < 0) {
			app_rules_release(loaded, count);
			return -1;
		}
	}
	*ret = loaded;
	*ret_count = count;
	return 0;
}

void app_rules_release(struct app_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		config_release(app_rule_fields, &rules[i]);
	free(rules);
}
