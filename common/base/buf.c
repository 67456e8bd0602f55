#include "common/base/buf.h"

#include "common/base/mem.h"

#include <stdint.h>

void buf_release(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
}

static size_t grown(const struct buf *buf, size_t want)
{
	size_t cap = buf->cap ? buf->cap : 64;
	while (cap < want)
		cap = cap > SIZE_MAX / 2 ? want : cap * 2;
	return cap;
}

uint8_t *buf_reserve(struct buf *buf, size_t extra)
{
	if (extra > SIZE_MAX - buf->len)
		abort();
	size_t want = buf->len + extra;
	if (want > buf->cap || !buf->data) {
		size_t cap = grown(buf, want);
		buf->data = xrealloc(buf->data, cap);
		buf->cap = cap;
	}
	return buf->data + buf->len;
}

int buf_reserve_max(struct buf *buf, size_t extra, size_t max, struct err *err)
{
	if (buf->len > max || extra > max - buf->len)
		return err_set(err, ERR_LIMIT, "more than %zu bytes", max);
	size_t want = buf->len + extra;
	if (want <= buf->cap && buf->data)
		return 0;
	size_t cap = grown(buf, want);
	uint8_t *data = realloc(buf->data, cap < max ? cap : max ? max : 1);
	if (!data)
		return err_set(err, ERR_LIMIT, "no memory for %zu bytes", want);
	buf->data = data;
	buf->cap = cap < max ? cap : max;
	return 0;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
	uint8_t *p = buf_reserve(buf, len);
	if (len)
		memcpy(p, data, len);
	buf->len += len;
}

void buf_append_str(struct buf *buf, const char *s)
{
	buf_append(buf, s, strlen(s));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	buf_append(buf, s, (size_t)n);
	free(s);
}

void buf_consume(struct buf *buf, size_t n)
{
	if (n >= buf->len) {
		buf->len = 0;
		return;
	}
	memmove(buf->data, buf->data + n, buf->len - n);
	buf->len -= n;
}

const char *buf_str(struct buf *buf)
{
	*buf_reserve(buf, 1) = 0;
	return (const char *)buf->data;
}

void put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

void put_u32(uint8_t *p, uint32_t v)
{
	put_u16(p, (uint16_t)v);
	put_u16(p + 2, (uint16_t)(v >> 16));
}

void put_u64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)v);
	put_u32(p + 4, (uint32_t)(v >> 32));
}

uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | (uint16_t)(p[1] << 8));
}

uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

uint64_t get_u64(const uint8_t *p)
{
	return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}
