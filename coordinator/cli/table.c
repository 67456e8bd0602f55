#include "coordinator/cli/table.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <assert.h>

static struct table_row *add_row(struct table *table)
{
	table->rows = xrealloc(table->rows, (table->count + 1) * sizeof(table->rows[0]));
	struct table_row *row = &table->rows[table->count++];
	*row = (struct table_row){0};
	return row;
}

void table_init(struct table *table, const char *const *headings, size_t columns)
{
	assert(columns > 0 && columns <= TABLE_COLUMNS_MAX);
	*table = (struct table){.columns = columns};
	table_add(table, headings);
}

void table_release(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		for (size_t j = 0; j < table->columns; j++)
			free(table->rows[i].cells[j]);
	free(table->rows);
	*table = (struct table){0};
}

void table_add(struct table *table, const char *const *cells)
{
	struct table_row *row = add_row(table);
	for (size_t i = 0; i < table->columns; i++)
		row->cells[i] = text_escaped(cells[i]);
}

void table_note(struct table *table, const char *text)
{
	struct table_row *row = add_row(table);
	row->is_note = 1;
	row->cells[0] = text_escaped(text);
}

/* In characters: the continuation bytes of UTF-8 take no column. */
static size_t text_width(const char *text)
{
	size_t width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void print_row(
	const struct table *table, const struct table_row *row, const size_t *widths, FILE *out)
{
	size_t pending = 0; /* blanks are printed only when something follows */
	for (size_t i = 0; i < table->columns; i++) {
		const char *cell = row->cells[i];
		if (*cell)
			fprintf(out, "%*s%s", (int)pending, "", cell);
		pending = (*cell ? 0 : pending) + widths[i] - text_width(cell) + 2;
	}
	fputc('\n', out);
}

void table_print(const struct table *table, FILE *out)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};
	for (size_t i = 0; i < table->count; i++) {
		for (size_t j = 0; j < table->columns && !table->rows[i].is_note; j++) {
			size_t width = text_width(table->rows[i].cells[j]);
			widths[j] = width > widths[j] ? width : widths[j];
		}
	}
	for (size_t i = 0; i < table->count; i++) {
		if (table->rows[i].is_note)
			fprintf(out, "    %s\n", table->rows[i].cells[0]);
		else
			print_row(table, &table->rows[i], widths, out);
	}
}
