/* Colours, foreign text and JSON lines, for the report room and the verbs. Pure but for the
 * environment. */
#pragma once

#include "coordinator/report/report.h"

enum colour { COLOUR_NONE, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_DIM, COLOUR_COUNT };

/* Colours are for a terminal, unless NO_COLOR is set (https://no-color.org) or TERM is "dumb". */
enum colour_use { COLOURS_OFF, COLOURS_ON };
enum colour_use colour_use_for(FILE *file);
/* The escape sequence, "" for COLOURS_OFF. */
const char *colour_begin(enum colour_use use, enum colour colour);
const char *colour_end(enum colour_use use);

/* `text` on one line, escaped (common/base/text.h). */
void print_escaped(FILE *file, const char *text);
/* `text` escaped line by line, each behind `indent`. */
void print_block(FILE *file, const char *indent, const char *text);
/* Add a string escaped line by line, so that the JSON is valid UTF-8 and safe on a terminal. */
void json_add_text(cJSON *object, const char *name, const char *text);
/* Print the object on a line of its own and flush; frees it. */
void json_print_line(FILE *file, cJSON *object);
/* {"code", "message", "hint" if any, "exit_status"}. */
cJSON *json_error(const struct err *err);
