/* A growable byte buffer, and a borrowed view of bytes.
 *
 * Invariant: len <= cap; bytes beyond len are undefined. Growth of our own data aborts when
 * memory is out; buf_reserve_max is for sizes that somebody else chose. Not thread-safe. */
#pragma once

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct bytes { /* borrowed */
	const uint8_t *data;
	size_t len;
};

struct buf { /* owned */
	uint8_t *data;
	size_t len;
	size_t cap;
};

#define BYTES(p, n) ((struct bytes){.data = (const uint8_t *)(p), .len = (n)})
#define BYTES_STR(s) BYTES((s), strlen(s))

void buf_release(struct buf *buf); /* frees, leaves an empty buffer */
void buf_clear(struct buf *buf);   /* length 0, memory kept */
/* Room for `extra` more bytes; returns where they go. The caller raises len. */
uint8_t *buf_reserve(struct buf *buf, size_t extra);
/* The same, but fails with ERR_LIMIT when len + extra > max or memory is out. */
int buf_reserve_max(struct buf *buf, size_t extra, size_t max, struct err *err);
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_str(struct buf *buf, const char *s);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drop the first n (<= len) bytes. */
void buf_consume(struct buf *buf, size_t n);
/* The content as a C string: a NUL is kept behind len. Borrowed until the next change. */
const char *buf_str(struct buf *buf);
static inline struct bytes buf_bytes(const struct buf *buf)
{
	return (struct bytes){buf->data, buf->len};
}

/* Fixed-width integers of wire and disk formats, little-endian. */
void put_u16(uint8_t *p, uint16_t v);
void put_u32(uint8_t *p, uint32_t v);
void put_u64(uint8_t *p, uint64_t v);
uint16_t get_u16(const uint8_t *p);
uint32_t get_u32(const uint8_t *p);
uint64_t get_u64(const uint8_t *p);
