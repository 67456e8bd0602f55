/* How far the numbers of events may have been used: what keeps a number from being used twice when
 * the events themselves are lost.
 *
 * The file `events.mark` of the state directory, replaced atomically and durable:
 *
 *     u64 reserved | u8 whole | 16 bytes boot id | 8 bytes: first of the BLAKE2b-256 of all before
 *
 * Invariant: no event has a number above `reserved`. `whole` says that the file of events ends with
 * the newest one, as far as the kernel knows: after a power loss it may not, so a mark of another
 * boot is as one that is not whole. Loop thread only; writing blocks on the disk. */
#pragma once

#include "common/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { EVENT_MARK_BLOCK = 4096 }; /* so many numbers are reserved at once */

struct event_mark {
	uint64_t reserved;
	bool whole;
	bool same_boot; /* as read; what is written is always of this boot */
};

/* There; not there (a first start, or an agent of an older version); there but not readable. */
enum event_mark_found { EVENT_MARK_FOUND, EVENT_MARK_NONE, EVENT_MARK_LOST };
enum event_mark_found event_mark_read(int dirfd, struct event_mark *ret);
int event_mark_write(int dirfd, const struct event_mark *mark, struct err *err);
