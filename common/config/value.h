/* The scalar types of common/config/config.h: from the text of a value into a struct member. */
#pragma once

#include "common/config/config.h"

/* Why a text is not taken. */
enum value_outcome { VALUE_DONE = 0, VALUE_MALFORMED = 1, VALUE_OUT_OF_RANGE = 2 };

/* True for the types that are written as one plain value. */
bool value_is_scalar(enum config_type type);
/* Parse `text` as the field's type into `member`; nothing is stored unless VALUE_DONE. */
enum value_outcome value_parse(const struct config_field *field, const char *text, void *member);
/* Append the codes and ranges between commas; half of them may be appended on failure. */
enum value_outcome value_add_status(const char *text, struct config_status *status);
void value_release(const struct config_field *field, void *member);
/* Parse a node into the member, with the field's check; errors as in yaml.h. */
int value_load(const struct config_field *field, const struct yaml_node *node, void *member,
	struct err *err);
/* The error of an outcome that is not VALUE_DONE. */
int value_judge(const struct config_field *field, const struct yaml_node *node,
	enum value_outcome outcome, struct err *err);
/* The row of `choices` with the node's text, or the error that lists them. */
int value_load_choice(const struct config_field *field, const struct yaml_node *node, unsigned *ret,
	struct err *err);
/* Append what to write: "write for example 10s, 2m or 1h". */
void value_advice(const struct config_field *field, struct buf *out);
/* The error for a node of the wrong kind; returns -1. */
int value_wrong_kind(
	const struct config_field *field, const struct yaml_node *node, struct err *err);
