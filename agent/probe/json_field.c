#include "agent/probe/json_field.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <ctype.h>
#include <string.h>

enum { SHOWN_MAX = 80, INDEX_DIGITS_MAX = 9 };

cJSON *json_parse(struct bytes text)
{
	const char *end = NULL;
	if (text.len == 0)
		return NULL;
	cJSON *root = cJSON_ParseWithLengthOpts((const char *)text.data, text.len, &end, 0);
	if (!root)
		return NULL;
	const char *behind = (const char *)text.data + text.len;
	while (end < behind && isspace((unsigned char)*end))
		end++;
	if (end == behind)
		return root;
	cJSON_Delete(root);
	return NULL;
}

/* "~1" is a slash and "~0" a tilde (RFC 6901, 4). */
static void unescape(char *key)
{
	char *out = key;
	for (const char *in = key; *in; in++) {
		*out = *in;
		if (in[0] == '~' && (in[1] == '0' || in[1] == '1'))
			*out = *++in == '0' ? '~' : '/';
		out++;
	}
	*out = '\0';
}

static const cJSON *element(const cJSON *list, const char *key)
{
	size_t digits = strspn(key, "0123456789");
	if (digits == 0 || key[digits] || digits > INDEX_DIGITS_MAX)
		return NULL;
	return cJSON_GetArrayItem(list, (int)strtol(key, NULL, 10));
}

const cJSON *json_field(const cJSON *root, const char *path)
{
	int is_pointer = path[0] == '/';
	const char separator[] = {is_pointer ? '/' : '.', '\0'};
	const cJSON *item = root;
	if (is_pointer)
		path++;
	for (;;) {
		size_t len = strcspn(path, separator);
		AUTO_FREE char *key = xstrndup(path, len);
		if (is_pointer)
			unescape(key);
		item = cJSON_IsArray(item) ? element(item, key)
					   : cJSON_GetObjectItemCaseSensitive(item, key);
		if (!item || !path[len])
			return item;
		path += len + 1;
	}
}

static int equals_number(double value, const char *wanted)
{
	char *end;
	/* strtod takes blanks, "inf" and "0x" as well; JSON has none of these. */
	if (!isdigit((unsigned char)wanted[wanted[0] == '-']) || strpbrk(wanted, "xX"))
		return 0;
	double number = strtod(wanted, &end);
	return *end == '\0' && number >= value && number <= value;
}

int json_equals(const cJSON *item, const char *wanted)
{
	if (cJSON_IsString(item))
		return strcmp(item->valuestring, wanted) == 0;
	if (cJSON_IsNumber(item))
		return equals_number(item->valuedouble, wanted);
	return (cJSON_IsTrue(item) && strcmp(wanted, "true") == 0) ||
	       (cJSON_IsFalse(item) && strcmp(wanted, "false") == 0) ||
	       (cJSON_IsNull(item) && strcmp(wanted, "null") == 0);
}

static void show_text(const char *text, struct buf *out)
{
	size_t len = strlen(text), shown = len < SHOWN_MAX ? len : SHOWN_MAX;
	while (shown < len && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80)
		shown--;
	buf_append_str(out, "'");
	text_escape(out, BYTES(text, shown));
	buf_append_str(out, shown < len ? "…'" : "'");
}

void json_show(const cJSON *item, struct buf *out)
{
	if (!item)
		buf_append_str(out, "nothing");
	else if (cJSON_IsString(item))
		show_text(item->valuestring, out);
	else if (cJSON_IsNumber(item))
		buf_printf(out, "%.15g", item->valuedouble);
	else if (cJSON_IsArray(item) || cJSON_IsObject(item))
		buf_append_str(out, cJSON_IsArray(item) ? "a list" : "an object");
	else
		buf_append_str(out, cJSON_IsNull(item)   ? "null"
				    : cJSON_IsTrue(item) ? "true"
							 : "false");
}
