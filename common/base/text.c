#include "common/base/text.h"

#include "common/base/mem.h"

#include <ctype.h>

/* Decodes one UTF-8 sequence (RFC 3629); returns its length, 0 if invalid. */
static size_t utf8_decode(const uint8_t *p, size_t len, uint32_t *ret)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t min;
	} forms[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t n = 0; n < ARRAY_LEN(forms) && n < len; n++) {
		if ((p[0] & forms[n].mask) != forms[n].lead)
			continue;
		uint32_t c = p[0] & (uint8_t)~forms[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < forms[n].min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
		*ret = c;
		return n + 1;
	}
	return 0;
}

/* Characters that reorder or hide other text. */
static bool is_deceptive(uint32_t c)
{
	return (c >= 0x80 && c < 0xa0) || c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

void text_escape(struct buf *out, struct bytes in)
{
	for (size_t i = 0; i < in.len;) {
		uint32_t c = 0;
		size_t n = utf8_decode(in.data + i, in.len - i, &c);
		if (n == 0 || (n == 1 && (c < 0x20 || c == 0x7f) && c != '\n')) {
			buf_printf(out, "\\x%02x", in.data[i]);
			i++;
			continue;
		}
		if (c == '\n')
			buf_append_str(out, "\\n");
		else if (c == '\\')
			buf_append_str(out, "\\\\");
		else if (is_deceptive(c))
			buf_printf(out, "\\u{%04x}", c);
		else
			buf_append(out, in.data + i, n);
		i += n;
	}
}

char *text_escaped(const char *s)
{
	struct buf out = {0};
	text_escape(&out, BYTES_STR(s));
	buf_str(&out);
	return (char *)out.data;
}

char *text_bytes(uint64_t bytes, char out[static TEXT_UNIT_SIZE])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double value = (double)bytes;
	size_t unit = 0;
	while (value >= 999.95 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(out, TEXT_UNIT_SIZE, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return out;
}

char *text_duration(uint64_t ms, char out[static TEXT_UNIT_SIZE])
{
	unsigned long long s = ms / 1000;
	if (ms < 1000)
		snprintf(out, TEXT_UNIT_SIZE, "%llums", (unsigned long long)ms);
	else if (s < 10)
		snprintf(out, TEXT_UNIT_SIZE, "%llu.%llus", s,
			(unsigned long long)(ms % 1000 / 100));
	else if (s < 60)
		snprintf(out, TEXT_UNIT_SIZE, "%llus", s);
	else if (s < 3600)
		snprintf(out, TEXT_UNIT_SIZE, "%llum%02llus", s / 60, s % 60);
	else
		snprintf(out, TEXT_UNIT_SIZE, "%lluh%02llum", s / 3600, s / 60 % 60);
	return out;
}

char *text_time(uint64_t unix_ms, char out[static TEXT_TIME_SIZE])
{
	time_t t = (time_t)(unix_ms / 1000);
	struct tm tm;
	if (!gmtime_r(&t, &tm) || !strftime(out, TEXT_TIME_SIZE, "%Y-%m-%dT%H:%M:%S+00:00", &tm))
		snprintf(out, TEXT_TIME_SIZE, "?");
	return out;
}

bool text_is_name(const char *s)
{
	if (!isalnum((unsigned char)s[0]))
		return false;
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	return s[n] == '\0' && n <= 63;
}

/* Levenshtein distance, one row at a time; words longer than the row are "far". */
static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 64 };
	size_t row[LONGEST + 1];
	size_t blen = strlen(b);
	if (blen > LONGEST)
		return SIZE_MAX;
	for (size_t j = 0; j <= blen; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);
			size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
			diagonal = row[j];
			row[j] = change < shorter + 1 ? change : shorter + 1;
		}
	}
	return row[blen];
}

const char *text_nearest(const char *word, const char *const *candidates)
{
	const char *best = NULL;
	size_t best_distance = strlen(word) / 3 + 2;
	for (; *candidates; candidates++) {
		size_t d = distance(word, *candidates);
		if (d < best_distance) {
			best_distance = d;
			best = *candidates;
		}
	}
	return best;
}
