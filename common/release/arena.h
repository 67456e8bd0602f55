/* Private to common/release: the memory of a manifest's paths, in chunks that never move. */
#pragma once

#include "common/release/manifest.h"

struct arena_chunk;
struct manifest_arena {
	struct arena_chunk *chunks;
	size_t entries_cap; /* of manifest.entries */
};

struct manifest_arena *arena_new(void);
void arena_free(struct manifest_arena *arena);
/* A NUL-terminated copy that lives as long as the arena; NULL when memory is out, for how many
 * there are is a peer's choice. */
const char *arena_path(struct manifest_arena *arena, const char *path, size_t len);

/* The invariants between entries: strictly ascending, no path a directory of another. */
int manifest_check(const struct manifest *m, struct err *err);
