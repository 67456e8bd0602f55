/* A table of text for people: columns as wide as their widest cell, foreign bytes escaped. */
#pragma once

#include <stddef.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 12 };

struct table_row {
	char *cells[TABLE_COLUMNS_MAX]; /* a note: only the first */
	int is_note;
};

struct table {
	size_t columns;
	struct table_row *rows;
	size_t count;
};

/* headings: `columns` (<= TABLE_COLUMNS_MAX) strings, printed in capitals as given. */
void table_init(struct table *table, const char *const *headings, size_t columns);
void table_release(struct table *table);
/* `columns` strings, copied and escaped. */
void table_add(struct table *table, const char *const *cells);
/* A line of its own below the row added last, indented. */
void table_note(struct table *table, const char *text);
void table_print(const struct table *table, FILE *out);
