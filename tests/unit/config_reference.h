/* The reference table of a configuration file, printed from its schema table, and the check that
 * docs/configuration.md holds exactly that. A failing test prints what belongs there. */
#pragma once

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/config/config.h"
#include "common/os/file.h"

#include <setjmp.h>

#include <cmocka.h>

struct reference {
	struct buf text;
	const struct config_field *seen[64]; /* a table that is used twice is described once */
	size_t seen_count;
};

static inline void reference_type(struct reference *reference, const struct config_field *field)
{
	const char *name = config_type_name(field->type);
	if (strncmp(name, "an ", 3) == 0)
		name += 3;
	else if (strncmp(name, "a ", 2) == 0)
		name += 2;
	if (!field->choices || field->type == CONFIG_FLAGS)
		buf_append_str(&reference->text, name);
	if (!field->choices)
		return;
	const char *separator = field->type == CONFIG_FLAGS ? " of " : "";
	for (const struct config_choice *choice = field->choices; choice->name; choice++) {
		if (choice->when == CONFIG_CHOICE_LATER)
			continue;
		buf_printf(&reference->text, "%s`%s`", separator, choice->name);
		separator = ", ";
	}
}

static inline void reference_rows(
	struct reference *reference, const struct config_field *fields, const char *prefix)
{
	for (size_t i = 0; i < reference->seen_count; i++)
		if (reference->seen[i] == fields)
			return;
	assert_true(reference->seen_count < ARRAY_LEN(reference->seen));
	reference->seen[reference->seen_count++] = fields;
	for (const struct config_field *field = fields; field->key; field++) {
		assert_non_null(field->doc);
		buf_printf(&reference->text, "| `%s%s` | ", prefix, field->key);
		reference_type(reference, field);
		if (field->need == CONFIG_REQUIRED)
			buf_append_str(&reference->text, " | required");
		else if (field->preset)
			buf_printf(&reference->text, " | `%s`",
				field->preset[0] ? field->preset : "\"\"");
		else
			buf_append_str(&reference->text, " | ");
		buf_printf(&reference->text, " | %s |\n", field->doc);
		if (!field->fields)
			continue;
		AUTO_FREE char *below =
			xasprintf("%s%s%s.", prefix, field->key, field->entry ? field->entry : "");
		reference_rows(reference, field->fields, below);
	}
}

static inline void assert_documented(const struct config_field *fields)
{
	struct reference reference = {0};
	buf_append_str(&reference.text, "| key | type | default | meaning |\n|---|---|---|---|\n");
	reference_rows(&reference, fields, "");
	struct buf docs = {0};
	assert_int_equal(
		file_read(AT_FDCWD, FIXTURES "/../../docs/configuration.md", 1 << 20, &docs, NULL),
		0);
	bool documented = strstr(buf_str(&docs), buf_str(&reference.text)) != NULL;
	if (!documented)
		fprintf(stderr, "docs/configuration.md must hold this table:\n%s",
			buf_str(&reference.text));
	buf_release(&docs);
	buf_release(&reference.text);
	assert_true(documented);
}
