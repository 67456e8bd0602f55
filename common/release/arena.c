#include "common/release/arena.h"

#include "common/base/mem.h"

enum { CHUNK_SIZE = 64 * 1024 }; /* holds any path */

struct arena_chunk {
	struct arena_chunk *next;
	size_t used;
	char text[CHUNK_SIZE];
};

struct manifest_arena *arena_new(void)
{
	return xcalloc(1, sizeof(struct manifest_arena));
}

void arena_free(struct manifest_arena *arena)
{
	if (!arena)
		return;
	for (struct arena_chunk *chunk = arena->chunks; chunk;) {
		struct arena_chunk *next = chunk->next;
		free(chunk);
		chunk = next;
	}
	free(arena);
}

const char *arena_path(struct manifest_arena *arena, const char *path, size_t len)
{
	struct arena_chunk *chunk = arena->chunks;
	if (!chunk || chunk->used + len + 1 > CHUNK_SIZE) {
		chunk = malloc(sizeof(*chunk));
		if (!chunk)
			return NULL;
		chunk->next = arena->chunks;
		chunk->used = 0;
		arena->chunks = chunk;
	}
	char *copy = chunk->text + chunk->used;
	memcpy(copy, path, len);
	copy[len] = '\0';
	chunk->used += len + 1;
	return copy;
}
