/* What the fuzz targets share. A target is one file with fuzz_one, which asserts properties with
 * MUST, and fuzz_seeds, which makes its first inputs (tests/fuzz/corpus/<target>).
 *
 *     ./dev fuzz TARGET [SECONDS]                      looks for inputs that break a property
 *     build/fuzz/fuzz/fuzz_TARGET FILE                 runs one input again
 *     build/fuzz/fuzz/fuzz_TARGET --seeds DIRECTORY    writes the seeds
 *
 * Everything is a function of the input: "random" bytes are made from its digest. */
#pragma once

#include "common/base/buf.h"
#include "common/base/mem.h"

#include <stdbool.h>
#include <string.h>

/* ---- what a target defines ---- */
void fuzz_one(struct bytes in);
/* Calls fuzz_seed for each. */
void fuzz_seeds(void);

/* ---- what it may use ---- */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fuzz_fail(__FILE__, __LINE__, #condition);                                 \
	} while (0)
_Noreturn void fuzz_fail(const char *file, int line, const char *condition);

void fuzz_seed(const char *name, struct bytes bytes);

/* Taken from the front of the input; what is not there any more is zero, or shorter. */
uint8_t fuzz_u8(struct bytes *in);
uint16_t fuzz_u16(struct bytes *in);
struct bytes fuzz_take(struct bytes *in, size_t len);

static inline bool fuzz_same(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* How one message is changed on its way, as the input says; false when it is as it was. The
 * result is never empty. */
bool fuzz_change(struct bytes *in, struct bytes original, struct buf *ret);

/* A directory in memory, removed when the program ends. */
int fuzz_scratch(void);
const char *fuzz_scratch_path(void);
/* The file `name` there has this content now. */
void fuzz_scratch_write(const char *name, struct bytes content);
