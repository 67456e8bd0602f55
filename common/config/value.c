#include "common/config/value.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/units.h"

#include <assert.h>

typedef bool parse_number_fn(const char *text, uint64_t *ret);

static char *print_number(uint64_t value, char out[static UNITS_TEXT_SIZE])
{
	snprintf(out, UNITS_TEXT_SIZE, "%llu", (unsigned long long)value);
	return out;
}

/* `number` and `print` are there for the types that are a number in some notation. */
static const struct {
	const char *name;
	const char *write;
	bool is_scalar, is_string;
	parse_number_fn *number;
	char *(*print)(uint64_t value, char out[static UNITS_TEXT_SIZE]);
} types[] = {
	[CONFIG_TEXT] = {"text", "write it in quotes", true, true, NULL, NULL},
	[CONFIG_NAME] = {"a name",
		"write letters, digits, '.', '_' or '-', beginning with a letter or digit", true,
		true, NULL, NULL},
	[CONFIG_PATH] = {"an absolute path", "write for example /srv/fairlead", true, true, NULL,
		NULL},
	[CONFIG_BOOL] = {"true or false", "write true or false", true, false, NULL, NULL},
	[CONFIG_NUMBER] = {"a whole number", "write for example 3", true, false, units_parse_number,
		print_number},
	[CONFIG_DURATION] = {"a duration", "write for example 10s, 2m or 1h", true, false,
		units_parse_duration, units_duration},
	[CONFIG_SIZE] = {"a size", "write for example 512M, 10G or 1024", true, false,
		units_parse_size, units_size},
	[CONFIG_TIME] = {"a time", "write for example 2027-01-31T00:00:00Z or 2027-01-31", true,
		false, units_parse_time, print_number},
	[CONFIG_CHOICE] = {"a choice", NULL, true, false, NULL, NULL},
	[CONFIG_STATUS] = {"a status", "write for example 200, 200-299 or [200-299, 304]", true,
		false, NULL, NULL},
	[CONFIG_LIST] = {"a list", "write for example [a, b]", false, false, NULL, NULL},
	[CONFIG_FLAGS] = {"a list", NULL, false, false, NULL, NULL},
	[CONFIG_MAP] = {"a mapping", "write for example { name: value }", false, false, NULL, NULL},
	[CONFIG_SECTION] = {"a mapping", "write its keys below it, indented", false, false, NULL,
		NULL},
	[CONFIG_CUSTOM] = {"a section", "write its entries below it, indented", false, false, NULL,
		NULL},
	[CONFIG_LATER] = {"not available yet", "leave it out", false, false, NULL, NULL},
};
static_assert(ARRAY_LEN(types) == CONFIG_TYPE_COUNT, "a type without a row");

const char *config_type_name(enum config_type type)
{
	return types[type].name;
}

bool value_is_scalar(enum config_type type)
{
	return types[type].is_scalar;
}

static const struct config_choice *find_choice(
	const struct config_choice *choices, const char *text)
{
	for (; choices->name; choices++)
		if (strcmp(choices->name, text) == 0)
			return choices;
	return NULL;
}

const char *config_choice_name(const struct config_choice *choices, unsigned value)
{
	for (; choices->name; choices++)
		if (choices->value == value && choices->when == CONFIG_CHOICE_NOW)
			return choices->name;
	return NULL;
}

static enum value_outcome store_string(
	const struct config_field *field, const char *text, char **member)
{
	size_t len = strlen(text);
	if (field->type == CONFIG_NAME && !text_is_name(text))
		return VALUE_MALFORMED;
	if (field->type == CONFIG_PATH) {
		if (text[0] != '/')
			return VALUE_MALFORMED;
		while (len > 1 && text[len - 1] == '/')
			len--;
	}
	if (len < field->min)
		return VALUE_MALFORMED;
	free(*member);
	*member = xstrndup(text, len);
	return VALUE_DONE;
}

static enum value_outcome store_number(
	const struct config_field *field, const char *text, void *member)
{
	uint64_t value = 0;
	if (!types[field->type].number(text, &value))
		return VALUE_MALFORMED;
	if (value < field->min || (field->max != 0 && value > field->max) ||
		(field->size == sizeof(uint32_t) && value > UINT32_MAX))
		return VALUE_OUT_OF_RANGE;
	uint32_t narrow = (uint32_t)value;
	assert(field->size == sizeof(value) || field->size == sizeof(narrow));
	if (field->size == sizeof(narrow))
		memcpy(member, &narrow, sizeof(narrow));
	else
		memcpy(member, &value, sizeof(value));
	return VALUE_DONE;
}

static enum value_outcome parse_range(const char *text, size_t len, struct config_range *ret)
{
	AUTO_FREE char *first = xstrndup(text, len);
	char *dash = strchr(first, '-');
	uint64_t min, max;
	if (dash)
		*dash = '\0';
	if (!units_parse_number(first, &min) || !units_parse_number(dash ? dash + 1 : first, &max))
		return VALUE_MALFORMED;
	if (min < 100 || max > 599 || min > max)
		return VALUE_OUT_OF_RANGE;
	*ret = (struct config_range){(unsigned)min, (unsigned)max};
	return VALUE_DONE;
}

enum value_outcome value_add_status(const char *text, struct config_status *status)
{
	for (const char *at = text;; at++) {
		size_t len = strcspn(at, ",");
		if (status->count == CONFIG_RANGES_MAX)
			return VALUE_OUT_OF_RANGE;
		enum value_outcome outcome = parse_range(at, len, &status->ranges[status->count++]);
		at += len;
		if (outcome != VALUE_DONE || !*at)
			return outcome;
	}
}

static enum value_outcome store_status(const char *text, struct config_status *member)
{
	struct config_status status = {0};
	enum value_outcome outcome = value_add_status(text, &status);
	if (outcome == VALUE_DONE)
		*member = status;
	return outcome;
}

static enum value_outcome store_bool(const char *text, bool *member)
{
	bool value = strcmp(text, "true") == 0;
	if (!value && strcmp(text, "false") != 0)
		return VALUE_MALFORMED;
	*member = value;
	return VALUE_DONE;
}

enum value_outcome value_parse(const struct config_field *field, const char *text, void *member)
{
	if (types[field->type].is_string)
		return store_string(field, text, member);
	if (types[field->type].number)
		return store_number(field, text, member);
	if (field->type == CONFIG_BOOL)
		return store_bool(text, member);
	if (field->type == CONFIG_STATUS)
		return store_status(text, member);

	const struct config_choice *choice =
		field->choices ? find_choice(field->choices, text) : NULL;
	if (!choice || choice->when != CONFIG_CHOICE_NOW)
		return VALUE_MALFORMED;
	assert(field->size == sizeof(choice->value));
	memcpy(member, &choice->value, sizeof(choice->value));
	return VALUE_DONE;
}

void value_release(const struct config_field *field, void *member)
{
	if (!types[field->type].is_string)
		return;
	char **string = member;
	free(*string);
	*string = NULL;
}

/* "all, rolling or canary", those of this version. */
static void append_choices(const struct config_choice *choices, struct buf *out)
{
	size_t left = 0;
	for (const struct config_choice *c = choices; c->name; c++)
		left += c->when == CONFIG_CHOICE_NOW;
	for (const char *separator = ""; choices->name; choices++) {
		if (choices->when != CONFIG_CHOICE_NOW)
			continue;
		buf_printf(out, "%s%s", separator, choices->name);
		separator = --left == 1 ? " or " : ", ";
	}
}

void value_advice(const struct config_field *field, struct buf *out)
{
	if (field->write) {
		buf_append_str(out, field->write);
	} else if (field->choices) {
		buf_append_str(out, field->type == CONFIG_FLAGS ? "write a list of " : "write ");
		append_choices(field->choices, out);
	} else {
		buf_append_str(out, types[field->type].write);
	}
}

int value_wrong_kind(
	const struct config_field *field, const struct yaml_node *node, struct err *err)
{
	AUTO(buf) struct buf advice = {0};
	value_advice(field, &advice);
	if (node->kind == YAML_EMPTY)
		return yaml_error(
			node, err, "has no value; %s, or leave the key out", buf_str(&advice));
	return yaml_error(node, err, "expected %s, found %s; %s", types[field->type].name,
		yaml_kind_name(node->kind), buf_str(&advice));
}

static int malformed(
	const struct config_field *field, const struct yaml_node *node, struct err *err)
{
	AUTO_FREE char *shown = yaml_shown(node);
	AUTO(buf) struct buf advice = {0};
	value_advice(field, &advice);
	if (types[field->type].is_string && node->text[0] == '\0')
		return yaml_error(node, err, "is empty; %s", buf_str(&advice));
	return yaml_error(node, err, "\"%s\" is not %s; %s", shown, types[field->type].name,
		buf_str(&advice));
}

static int out_of_range(
	const struct config_field *field, const struct yaml_node *node, struct err *err)
{
	AUTO_FREE char *shown = yaml_shown(node);
	char min[UNITS_TEXT_SIZE], max[UNITS_TEXT_SIZE];
	if (field->type == CONFIG_STATUS)
		return yaml_error(node, err,
			"\"%s\" is out of range; write codes from 100 to 599, the lower one first, "
			"at most %d ranges",
			shown, CONFIG_RANGES_MAX);
	if (field->min == field->max)
		return yaml_error(node, err, "\"%s\" is not available in this version; write %s",
			shown, types[field->type].print(field->min, min));
	uint64_t highest = field->max ? field->max : UINT32_MAX;
	return yaml_error(node, err, "\"%s\" is out of range; write %s from %s to %s", shown,
		types[field->type].name, types[field->type].print(field->min, min),
		types[field->type].print(highest, max));
}

int value_load_choice(const struct config_field *field, const struct yaml_node *node, unsigned *ret,
	struct err *err)
{
	if (node->kind != YAML_SCALAR)
		return value_wrong_kind(field, node, err);
	const struct config_choice *choice = find_choice(field->choices, node->text);
	if (choice && choice->when == CONFIG_CHOICE_NOW) {
		*ret = choice->value;
		return 0;
	}
	AUTO(buf) struct buf known = {0};
	append_choices(field->choices, &known);
	if (choice)
		return yaml_error(node, err, "%s '%s' is not available in this version; use %s",
			field->key, choice->name, buf_str(&known));
	AUTO_FREE char *shown = yaml_shown(node);
	return yaml_error(node, err, "\"%s\" is not known here; write %s", shown, buf_str(&known));
}

int value_judge(const struct config_field *field, const struct yaml_node *node,
	enum value_outcome outcome, struct err *err)
{
	switch (outcome) {
	case VALUE_DONE:
		return 0;
	case VALUE_MALFORMED:
		return malformed(field, node, err);
	case VALUE_OUT_OF_RANGE:
		return out_of_range(field, node, err);
	}
	return 0;
}

int value_load(const struct config_field *field, const struct yaml_node *node, void *member,
	struct err *err)
{
	if (field->type == CONFIG_CHOICE) {
		unsigned value;
		if (value_load_choice(field, node, &value, err) < 0)
			return -1;
		memcpy(member, &value, sizeof(value));
		return 0;
	}
	if (node->kind != YAML_SCALAR)
		return value_wrong_kind(field, node, err);
	if (field->check && field->check(node->text, err) < 0)
		return yaml_error_wrap(node, err);
	return value_judge(field, node, value_parse(field, node->text, member), err);
}
