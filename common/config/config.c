#include "common/config/config.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/value.h"

#include <assert.h>

static void *member_of(const struct config_field *field, void *target)
{
	return (char *)target + field->offset;
}

static const struct config_field *find_field(const struct config_field *fields, const char *key)
{
	for (; fields->key; fields++)
		if (strcmp(fields->key, key) == 0)
			return fields;
	return NULL;
}

void config_list_free(char **list)
{
	for (char **item = list; item && *item; item++)
		free(*item);
	free(list);
}

static void map_release(struct config_map *map)
{
	for (size_t i = 0; i < map->count; i++) {
		free(map->pairs[i].name);
		free(map->pairs[i].value);
	}
	free(map->pairs);
	*map = (struct config_map){0};
}

static struct config_pair *map_find(const struct config_map *map, const char *name)
{
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->pairs[i].name, name) == 0)
			return &map->pairs[i];
	return NULL;
}

const char *config_map_get(const struct config_map *map, const char *name)
{
	const struct config_pair *pair = map_find(map, name);
	return pair ? pair->value : NULL;
}

static void map_set(struct config_map *map, const char *name, const char *value)
{
	struct config_pair *pair = map_find(map, name);
	if (!pair) {
		map->pairs = xrealloc(map->pairs, (map->count + 1) * sizeof(*map->pairs));
		pair = &map->pairs[map->count++];
		*pair = (struct config_pair){.name = xstrdup(name)};
	}
	free(pair->value);
	pair->value = xstrdup(value);
}

void config_release(const struct config_field *fields, void *target)
{
	for (const struct config_field *field = fields; field->key; field++) {
		void *member = member_of(field, target);
		if (field->type == CONFIG_SECTION) {
			config_release(field->fields, member);
		} else if (field->type == CONFIG_MAP) {
			map_release(member);
		} else if (field->type == CONFIG_LIST) {
			config_list_free(*(char ***)member);
			*(char ***)member = NULL;
		} else {
			value_release(field, member);
		}
	}
}

void config_defaults(const struct config_field *fields, void *target)
{
	for (const struct config_field *field = fields; field->key; field++) {
		void *member = member_of(field, target);
		if (field->type == CONFIG_SECTION) {
			config_defaults(field->fields, member);
		} else if (field->type == CONFIG_LIST) {
			*(char ***)member = xcalloc(1, sizeof(char *));
		} else if (field->preset && value_is_scalar(field->type)) {
			enum value_outcome outcome = value_parse(field, field->preset, member);
			assert(outcome == VALUE_DONE); /* a wrong table is our own bug */
			(void)outcome;
		}
	}
}

static int load_item(
	const struct config_field *field, const struct yaml_node *node, char **ret, struct err *err)
{
	if (node->kind != YAML_SCALAR)
		return yaml_error(node, err, "expected text, found %s; write it in quotes",
			yaml_kind_name(node->kind));
	if (field->check && field->check(node->text, err) < 0)
		return yaml_error_wrap(node, err);
	*ret = xstrdup(node->text);
	return 0;
}

static int load_list(const struct config_field *field, const struct yaml_node *node, void *member,
	struct err *err)
{
	if (node->kind != YAML_LIST && node->kind != YAML_SCALAR)
		return value_wrong_kind(field, node, err);
	bool is_list = node->kind == YAML_LIST;
	if (is_list && node->count < field->min) {
		AUTO(buf) struct buf advice = {0};
		value_advice(field, &advice);
		return yaml_error(node, err, "the list is empty; %s", buf_str(&advice));
	}
	size_t count = 0;
	char **list = xcalloc((is_list ? node->count : 1) + 1, sizeof(*list));
	for (const struct yaml_node *item = is_list ? node->first : node; item;
		item = is_list ? item->next : NULL)
		if (load_item(field, item, &list[count++], err) < 0) {
			config_list_free(list);
			return -1;
		}
	config_list_free(*(char ***)member);
	*(char ***)member = list;
	return 0;
}

static int load_flags(const struct config_field *field, const struct yaml_node *node, void *member,
	struct err *err)
{
	if (node->kind != YAML_LIST && node->kind != YAML_SCALAR)
		return value_wrong_kind(field, node, err);
	unsigned all = 0;
	bool is_list = node->kind == YAML_LIST;
	for (const struct yaml_node *item = is_list ? node->first : node; item;
		item = is_list ? item->next : NULL) {
		unsigned one = 0;
		if (value_load_choice(field, item, &one, err) < 0)
			return -1;
		all |= one;
	}
	if (is_list && node->count < field->min) {
		AUTO(buf) struct buf advice = {0};
		value_advice(field, &advice);
		return yaml_error(node, err, "the list is empty; %s", buf_str(&advice));
	}
	memcpy(member, &all, sizeof(all));
	return 0;
}

/* One text, or a list of them. */
static int load_status(const struct config_field *field, const struct yaml_node *node,
	struct config_status *member, struct err *err)
{
	struct config_status status = {0};
	if (node->kind != YAML_LIST)
		return value_load(field, node, member, err);
	if (node->count == 0)
		return value_wrong_kind(field, node, err);
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		if (item->kind != YAML_SCALAR)
			return value_wrong_kind(field, item, err);
		if (value_judge(field, item, value_add_status(item->text, &status), err) < 0)
			return -1;
	}
	*member = status;
	return 0;
}

static int load_map(const struct config_field *field, const struct yaml_node *node, void *member,
	struct err *err)
{
	if (node->kind != YAML_MAPPING)
		return value_wrong_kind(field, node, err);
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		if (child->kind == YAML_EMPTY)
			return yaml_error(child, err,
				"has no value; write \"\" if it shall be empty, or leave it out");
		if (child->kind != YAML_SCALAR)
			return yaml_error(child, err, "expected text, found %s; write one value",
				yaml_kind_name(child->kind));
		if ((field->check_key && field->check_key(child->key, err) < 0) ||
			(field->check && field->check(child->text, err) < 0))
			return yaml_error_wrap(child, err);
		map_set(member, child->key, child->text);
	}
	return 0;
}

static int load_section(const struct yaml_node *node, const struct config_field *fields,
	void *target, enum config_mode mode, struct err *err);

static int load_field(const struct config_field *field, const struct yaml_node *node, void *target,
	enum config_mode mode, struct err *err)
{
	void *member = member_of(field, target);
	switch (field->type) {
	case CONFIG_LIST:
		return load_list(field, node, member, err);
	case CONFIG_FLAGS:
		return load_flags(field, node, member, err);
	case CONFIG_MAP:
		return load_map(field, node, member, err);
	case CONFIG_STATUS:
		return load_status(field, node, member, err);
	case CONFIG_SECTION:
		if (node->kind != YAML_MAPPING)
			return value_wrong_kind(field, node, err);
		return load_section(node, field->fields, member, mode, err);
	case CONFIG_CUSTOM:
		return field->load(node, member, mode, err);
	case CONFIG_LATER:
		return yaml_error(node, err, "the key is not available in this version; %s",
			field->write ? field->write : "leave it out");
	case CONFIG_TEXT:
	case CONFIG_NAME:
	case CONFIG_PATH:
	case CONFIG_BOOL:
	case CONFIG_NUMBER:
	case CONFIG_DURATION:
	case CONFIG_SIZE:
	case CONFIG_TIME:
	case CONFIG_CHOICE:
	case CONFIG_TYPE_COUNT:
		break;
	}
	return value_load(field, node, member, err);
}

static int unknown_key(
	const struct config_field *fields, const struct yaml_node *node, struct err *err)
{
	size_t count = 0;
	while (fields[count].key)
		count++;
	AUTO_FREE const char **known = xcalloc(count + 1, sizeof(*known));
	size_t available = 0;
	for (size_t i = 0; i < count; i++)
		if (fields[i].type != CONFIG_LATER)
			known[available++] = fields[i].key;
	return config_unknown(node, known, err);
}

/* The section's own required keys; one that is left out altogether is not looked into. */
static int insist_on_required(
	const struct yaml_node *node, const struct config_field *fields, struct err *err)
{
	for (const struct config_field *field = fields; field->key; field++) {
		if (field->need != CONFIG_REQUIRED || yaml_get(node, field->key))
			continue;
		AUTO(buf) struct buf advice = {0};
		value_advice(field, &advice);
		return yaml_error_missing(
			node, field->key, err, "is missing; %s", buf_str(&advice));
	}
	return 0;
}

/* The defaults of the whole tree of sections are in the target already. */
static int load_section(const struct yaml_node *node, const struct config_field *fields,
	void *target, enum config_mode mode, struct err *err)
{
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		const struct config_field *field = find_field(fields, child->key);
		if (!field)
			return unknown_key(fields, child, err);
		if (load_field(field, child, target, mode, err) < 0)
			return -1;
	}
	return mode == CONFIG_NEW ? insist_on_required(node, fields, err) : 0;
}

int config_load(const struct yaml_node *node, const struct config_field *fields, void *target,
	enum config_mode mode, struct err *err)
{
	if (mode == CONFIG_NEW)
		config_defaults(fields, target);
	if (config_expect(node, YAML_MAPPING, "write keys and values", err) < 0)
		return -1;
	return load_section(node, fields, target, mode, err);
}

int config_expect(
	const struct yaml_node *node, enum yaml_kind kind, const char *write, struct err *err)
{
	if (node->kind == kind)
		return 0;
	if (node->kind == YAML_EMPTY)
		return yaml_error(node, err, "has no value; %s", write);
	return yaml_error(node, err, "expected %s, found %s; %s", yaml_kind_name(kind),
		yaml_kind_name(node->kind), write);
}

int config_unknown(const struct yaml_node *node, const char *const *known, struct err *err)
{
	const char *nearest = text_nearest(node->key, known);
	if (nearest)
		return yaml_error(node, err, "unknown key; did you mean \"%s\"?", nearest);
	AUTO(buf) struct buf list = {0};
	for (const char *const *word = known; *word; word++)
		buf_printf(&list, "%s%s", word == known ? "" : ", ", *word);
	return yaml_error(node, err, "unknown key; write one of %s", buf_str(&list));
}
