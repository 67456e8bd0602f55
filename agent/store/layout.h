/* Private to agent/store: names within the store. */
#pragma once

#include "agent/store/store.h"

/* "releases", "meta", "tmp", "shared": an fd, or -1. */
int layout_open(const struct store *store, const char *name, struct err *err);
/* The tree of a release: an fd, or -1 (ERR_NOT_FOUND). */
int layout_open_release(const struct store *store, const struct digest *release, struct err *err);
int layout_has_release(const struct store *store, const struct digest *release, struct err *err);

/* "<hex><suffix>", suffix "" for the record, ".manifest", ".stat". Returns out. */
enum { META_NAME_SIZE = DIGEST_HEX_SIZE + 16 };
char *meta_name(const struct digest *release, const char *suffix, char out[static META_NAME_SIZE]);
/* Remove all three; not being there is fine. */
int meta_remove(const struct store *store, const struct digest *release, struct err *err);

/* Each name in a directory but "." and "..", in no order; stops at the first non-zero return. */
typedef int layout_each_fn(void *user, int dirfd, const char *name, struct err *err);
int layout_each(int dirfd, layout_each_fn *fn, void *user, struct err *err);

bool digest_in(const struct digest *digest, const struct digest *list, size_t count);
