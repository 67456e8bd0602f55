/* A log file that is moved aside when it is full: log, log.1 … log.<keep>, the oldest dropped.
 *
 * Appends only, so that what an earlier shim wrote stays. A log that cannot be written (disk full)
 * loses lines and never holds the service up; the next write tries again. May block on disk. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"

struct rotate {
	int dirfd;
	char *name;
	int fd; /* -1: could not be opened again */
	uint64_t size;
	uint64_t max_bytes; /* 0: never rotated */
	unsigned keep;      /* full ones kept */
};

int rotate_open(struct rotate *rotate, const char *path, uint64_t max_bytes, unsigned keep,
	struct err *err);
void rotate_write(struct rotate *rotate, struct bytes data);
/* One line of our own among those of the service: "<time> [fairlead] …". */
void rotate_note(struct rotate *rotate, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rotate_release(struct rotate *rotate);
