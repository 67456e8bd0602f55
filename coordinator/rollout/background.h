/* One piece of blocking work on a thread of its own, while the caller keeps its links alive.
 * The work touches nothing that the caller touches until background_finish. */
#pragma once

#include "common/link/link.h"

struct background;
/* 0 or -1 with *err, as any fallible function. */
typedef int background_fn(void *work, struct err *err);

int background_start(background_fn *fn, void *work, struct background **ret, struct err *err);
/* Run the loop (NULL: none) until the work is done; frees, and returns what the work returned. */
int background_finish(struct background *background, struct link_loop *loop, struct err *err);
