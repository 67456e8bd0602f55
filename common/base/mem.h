/* Memory and cleanup: allocations that cannot fail, and scope-bound ownership.
 *
 * x* functions abort when memory is out: use them for small sizes of our own choosing (the
 * journal makes a restart safe). A size that a peer chose goes through a bounded allocation
 * that returns an error: struct buf with a cap, or pb_unpack. */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
void *xmemdup(const void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

/* errno stays what the failure before the end of the scope has set. */
static inline void cleanup_close(const int *fd)
{
	int errnum = errno;
	if (*fd >= 0)
		close(*fd);
	errno = errnum;
}

/* AUTO_FREE char *s = …;  AUTO_CLOSE int fd = -1;  AUTO(release) struct release r = {0};
 * AUTO(type) calls type_release(&variable). */
#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close)))
#define AUTO(type) __attribute__((cleanup(type##_release)))

/* Hand over a pointer or fd held by an AUTO variable. */
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) take_ = (p);                                                         \
		(p) = 0;                                                                           \
		take_;                                                                             \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int take_ = (fd);                                                                  \
		(fd) = -1;                                                                         \
		take_;                                                                             \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
