/* Fields of a JSON text that somebody else wrote: found by a path, compared with a word.
 *
 * A path is keys and array indices between dots ("services.0.state"); one that begins with a slash
 * is a JSON pointer (RFC 6901), for keys that have dots. Pure. */
#pragma once

#include "common/base/buf.h"

#include <cjson/cJSON.h>

/* cJSON_Delete it. NULL: not JSON, or something behind it. */
cJSON *json_parse(struct bytes text);
/* NULL: there is none. Borrowed from root. */
const cJSON *json_field(const cJSON *root, const char *path);
/* Texts as they are, numbers by their value, true, false and null by these words. Lists and objects
 * equal nothing. */
int json_equals(const cJSON *item, const char *wanted);
/* Its value, escaped and cut, for an answer: 'degraded', 3, a list. NULL is "nothing". */
void json_show(const cJSON *item, struct buf *out);
