/* The pieces of a bundle, written to the file the core has handed over. Blocks on disk: the file
 * is in the page cache's reach, and the gateway has nothing better to do than to be slowed down
 * by a slow disk. One thread. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"

struct spool {
	int fd; /* owned; -1: not granted, or done */
	uint64_t granted_bytes, written_bytes;
};

#define SPOOL_INIT ((struct spool){.fd = -1})

/* Takes the fd. */
void spool_begin(struct spool *spool, int fd, uint64_t granted_bytes);
/* One packed PrepareChunk after the first. ERR_INVALID: not one, or with a second command;
 * ERR_LIMIT: more than was granted; ERR_NOSPACE, ERR_IO. */
int spool_write(struct spool *spool, struct bytes chunk, struct err *err);
void spool_release(struct spool *spool); /* closes the file */
