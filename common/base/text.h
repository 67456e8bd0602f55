/* Text that is shown or written: escaping of foreign bytes, units, identifiers. Pure. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Append `in` so that it is safe on a terminal and in a log line: control characters, DEL,
 * invalid UTF-8 and bidirectional or zero-width format characters (Unicode TR36 2.10) become
 * \xNN or \u{NNNN}; a newline becomes \n in letters; a backslash is doubled. */
void text_escape(struct buf *out, struct bytes in);
/* The same into a new string. */
char *text_escaped(const char *s);

/* "1.2 MB", "345 B" (powers of 1000); "45s", "1m05s", "340ms". Returns out. */
enum { TEXT_UNIT_SIZE = 24 };
char *text_bytes(uint64_t bytes, char out[static TEXT_UNIT_SIZE]);
char *text_duration(uint64_t ms, char out[static TEXT_UNIT_SIZE]);
/* RFC 3339 in UTC with +00:00, seconds precision: "2025-01-08T14:30:15+00:00". Returns out. */
enum { TEXT_TIME_SIZE = 32 };
char *text_time(uint64_t unix_ms, char out[static TEXT_TIME_SIZE]);

/* A name of an app, environment, service or host: [A-Za-z0-9][A-Za-z0-9._-]{0,62}. They
 * become path components, so this is also a security check. */
bool text_is_name(const char *s);

/* The candidate nearest to `word` by edit distance, or NULL if none is near enough to suggest.
 * `candidates` ends with NULL; borrowed result. */
const char *text_nearest(const char *word, const char *const *candidates);
