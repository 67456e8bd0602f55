/* Durations, sizes and times as people write them in a configuration file. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* "500ms", "10s", "2m", "1h", "30d": a whole number and one unit. False otherwise, *ret_ms
 * untouched; also when it does not fit. */
bool units_parse_duration(const char *text, uint64_t *ret_ms);
/* "1024", "64K", "512M", "10G", "2T": bytes, units are powers of 1024. */
bool units_parse_size(const char *text, uint64_t *ret_bytes);
/* RFC 3339 ("2027-01-31T00:00:00Z", "2027-01-31T01:00:00+01:00", fractions are dropped), or a date
 * alone, which means its first second in UTC. Years 1970 to 9999. */
bool units_parse_time(const char *text, uint64_t *ret_unix_ms);
/* Decimal digits only. */
bool units_parse_number(const char *text, uint64_t *ret);

/* The same values back in the largest unit that is exact: "10s", "512M". Returns out. */
enum { UNITS_TEXT_SIZE = 32 };
char *units_duration(uint64_t ms, char out[static UNITS_TEXT_SIZE]);
char *units_size(uint64_t bytes, char out[static UNITS_TEXT_SIZE]);
