#include "coordinator/report/style.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <assert.h>
#include <unistd.h>

static const char *const sequences[] = {
	[COLOUR_NONE] = "",
	[COLOUR_RED] = "\x1b[31m",
	[COLOUR_GREEN] = "\x1b[32m",
	[COLOUR_YELLOW] = "\x1b[33m",
	[COLOUR_DIM] = "\x1b[2m",
};
static_assert(ARRAY_LEN(sequences) == COLOUR_COUNT, "a colour without a sequence");

enum colour_use colour_use_for(FILE *file)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	int fd = fileno(file); /* -1 for a memory stream */
	return fd >= 0 && isatty(fd) && !(no_color && *no_color) && term &&
			       strcmp(term, "dumb") != 0
		       ? COLOURS_ON
		       : COLOURS_OFF;
}

const char *colour_begin(enum colour_use use, enum colour colour)
{
	return use == COLOURS_ON ? sequences[colour] : "";
}

const char *colour_end(enum colour_use use)
{
	return use == COLOURS_ON ? "\x1b[0m" : "";
}

void print_escaped(FILE *file, const char *text)
{
	AUTO_FREE char *escaped = text_escaped(text);
	fputs(escaped, file);
}

void print_block(FILE *file, const char *indent, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		AUTO(buf) struct buf line = {0};
		text_escape(&line, BYTES(text, len));
		fprintf(file, "%s%s\n", indent, buf_str(&line));
		text += len;
		text += *text == '\n';
	}
}

void json_add_text(cJSON *object, const char *name, const char *text)
{
	AUTO(buf) struct buf escaped = {0};
	for (;;) {
		size_t len = strcspn(text, "\n");
		text_escape(&escaped, BYTES(text, len));
		if (text[len] == '\0')
			break;
		buf_append_str(&escaped, "\n");
		text += len + 1;
	}
	cJSON_AddStringToObject(object, name, buf_str(&escaped));
}

void json_print_line(FILE *file, cJSON *object)
{
	char *text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	if (!text)
		abort(); /* small, ours, and out of memory */
	fprintf(file, "%s\n", text);
	fflush(file);
	cJSON_free(text);
}

cJSON *json_error(const struct err *err)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "code", err_code_name(err->code));
	json_add_text(object, "message", err->message);
	if (err->hint[0])
		json_add_text(object, "hint", err->hint);
	cJSON_AddNumberToObject(object, "exit_status", err_code_exit_status(err->code));
	return object;
}

enum report_style report_style_choose(int json)
{
	const char *term = getenv("TERM");
	if (json)
		return REPORT_JSON;
	return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0 ? REPORT_TTY
									  : REPORT_PLAIN;
}
