/* An audit of a journal that comes in pieces, as a host sends it: file after file, oldest first.
 * The bytes are foreign, and bounded before they are kept: one file at a time, none larger than any
 * agent writes. Pure. */
#pragma once

#include "common/evidence/audit.h"

struct audit_feed {
	struct audit audit; /* initialised by the user */
	char *file;         /* being received; NULL before the first */
	struct buf content; /* of it, so far */
};

/* A piece of the file; a name that differs from the last one's ends the file before. */
void audit_feed_take(struct audit_feed *feed, const Fairlead__V1__AuditChunk *chunk);
/* All has come: the last file is judged too. */
void audit_feed_end(struct audit_feed *feed);
void audit_feed_release(struct audit_feed *feed);
