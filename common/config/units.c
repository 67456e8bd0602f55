#include "common/config/units.h"

#include <stddef.h>

struct unit {
	const char *suffix;
	uint64_t factor;
};

/* Smallest first; ends with a NULL suffix. */
static const struct unit durations[] = {
	{"ms", 1},
	{"s", 1000},
	{"m", UINT64_C(60) * 1000},
	{"h", UINT64_C(60) * 60 * 1000},
	{"d", UINT64_C(24) * 60 * 60 * 1000},
	{NULL, 0},
};

static const struct unit sizes[] = {
	{"", 1},
	{"K", UINT64_C(1) << 10},
	{"M", UINT64_C(1) << 20},
	{"G", UINT64_C(1) << 30},
	{"T", UINT64_C(1) << 40},
	{NULL, 0},
};

/* Reads at least one digit; returns what follows them, NULL if there is none or it overflows. */
static const char *read_number(const char *text, uint64_t *ret)
{
	const char *p = text;
	uint64_t value = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return NULL;
	*ret = value;
	return p == text ? NULL : p;
}

static bool parse_with_unit(const struct unit *units, const char *text, uint64_t *ret)
{
	uint64_t value = 0;
	const char *suffix = read_number(text, &value);
	if (!suffix)
		return false;
	for (; units->suffix; units++) {
		if (strcmp(units->suffix, suffix) != 0)
			continue;
		if (__builtin_mul_overflow(value, units->factor, &value))
			return false;
		*ret = value;
		return true;
	}
	return false;
}

bool units_parse_duration(const char *text, uint64_t *ret_ms)
{
	return parse_with_unit(durations, text, ret_ms);
}

bool units_parse_size(const char *text, uint64_t *ret_bytes)
{
	return parse_with_unit(sizes, text, ret_bytes);
}

bool units_parse_number(const char *text, uint64_t *ret)
{
	uint64_t value = 0;
	const char *end = read_number(text, &value);
	if (!end || *end != '\0')
		return false;
	*ret = value;
	return true;
}

/* Exactly `digits` digits with a value from min to max; moves *p behind them. */
static bool read_digits(const char **p, unsigned digits, unsigned min, unsigned max, unsigned *ret)
{
	unsigned value = 0;
	for (unsigned i = 0; i < digits; i++, ++*p) {
		if (**p < '0' || **p > '9')
			return false;
		value = value * 10 + (unsigned)(**p - '0');
	}
	*ret = value;
	return value >= min && value <= max;
}

static bool read_char(const char **p, const char *accepted)
{
	if (**p == '\0' || !strchr(accepted, **p))
		return false;
	++*p;
	return true;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return month == 2 && leap ? 29 : days[month - 1];
}

static bool read_date(const char **p, int64_t *ret_seconds)
{
	unsigned year, month, day;
	if (!read_digits(p, 4, 1970, 9999, &year) || !read_char(p, "-") ||
		!read_digits(p, 2, 1, 12, &month) || !read_char(p, "-") ||
		!read_digits(p, 2, 1, days_in_month(year, month), &day))
		return false;
	struct tm tm = {.tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day};
	*ret_seconds = timegm(&tm);
	return true;
}

static bool read_offset(const char **p, int64_t *ret_seconds)
{
	*ret_seconds = 0;
	if (read_char(p, "Zz"))
		return true;
	bool west = **p == '-';
	unsigned hours, minutes;
	if (!read_char(p, "+-") || !read_digits(p, 2, 0, 23, &hours) || !read_char(p, ":") ||
		!read_digits(p, 2, 0, 59, &minutes))
		return false;
	*ret_seconds = (int64_t)(hours * 3600 + minutes * 60) * (west ? -1 : 1);
	return true;
}

/* "T00:00:00.5+01:00", as seconds after midnight UTC. */
static bool read_time_of_day(const char **p, int64_t *ret_seconds)
{
	unsigned hour, minute, second;
	if (!read_char(p, "Tt ") || !read_digits(p, 2, 0, 23, &hour) || !read_char(p, ":") ||
		!read_digits(p, 2, 0, 59, &minute) || !read_char(p, ":") ||
		!read_digits(p, 2, 0, 59, &second))
		return false;
	if (read_char(p, ".")) {
		size_t digits = strspn(*p, "0123456789");
		if (digits == 0)
			return false;
		*p += digits;
	}
	int64_t offset;
	if (!read_offset(p, &offset))
		return false;
	*ret_seconds = (int64_t)(hour * 3600 + minute * 60 + second) - offset;
	return true;
}

bool units_parse_time(const char *text, uint64_t *ret_unix_ms)
{
	const char *p = text;
	int64_t date, time_of_day = 0;
	if (!read_date(&p, &date) || (*p != '\0' && !read_time_of_day(&p, &time_of_day)) ||
		*p != '\0' || date + time_of_day < 0)
		return false;
	*ret_unix_ms = (uint64_t)(date + time_of_day) * 1000;
	return true;
}

static char *print_with_unit(const struct unit *units, uint64_t value, char *out)
{
	const struct unit *best = units;
	for (const struct unit *unit = units; unit->suffix; unit++)
		if (value != 0 && value % unit->factor == 0)
			best = unit;
	snprintf(out, UNITS_TEXT_SIZE, "%llu%s", (unsigned long long)(value / best->factor),
		best->suffix);
	return out;
}

char *units_duration(uint64_t ms, char out[static UNITS_TEXT_SIZE])
{
	return print_with_unit(durations, ms, out);
}

char *units_size(uint64_t bytes, char out[static UNITS_TEXT_SIZE])
{
	return print_with_unit(sizes, bytes, out);
}
