/* Private to agent/store: the content of one file or link, by the open directory it is in and its
 * name there. Links are never followed, and nothing that is no regular file is ever read. */
#pragma once

#include "common/release/manifest.h"

#include <sys/stat.h>

enum content_verdict { CONTENT_SAME = 0, CONTENT_DIFFERS = 1 };

/* Hash it: type, mode, size and digest against the entry. CONTENT_DIFFERS also when it is not
 * there. Fills *ret_st with what was hashed. */
int content_check(int dirfd, const char *name, const struct manifest_entry *entry,
	struct stat *ret_st, struct err *err);
/* All of it into memory; ERR_CORRUPT when it is no file of the entry's size. */
int content_read(int dirfd, const char *name, const struct manifest_entry *entry, struct buf *ret,
	struct err *err);
/* Copy into an open new file and check size and digest on the way: ERR_CORRUPT. */
int content_copy(int dirfd, const char *name, const struct manifest_entry *entry, int to_fd,
	struct err *err);
/* ERR_CORRUPT, saying that this file of a release is not what was installed. */
int content_corrupt(const struct manifest_entry *entry, const char *what, struct err *err);
/* The folder of an entry could not be opened: corrupt when it is not there, else why. */
int content_missing(const struct manifest_entry *entry, const struct err *why, struct err *err);
