/* The journal of one app+environment: what the host decided, durable before it acts.
 *
 * An append-only file of hash-chained records. On disk, little-endian, one after another:
 *
 *     u32 magic "FLJ1" | u32 payload length | u64 number | 32 bytes digest of the record before
 *     8 bytes: the head's own check, the first of its BLAKE2b-256
 *     payload: a packed JournalRecord (proto/fairlead/v1/record.proto)
 *     32 bytes BLAKE2b-256 over all of the above
 *
 * so the digest is the record's checksum and the chain's link at once; the first record follows
 * the zero digest, numbers start at 1. A torn record at the very end is cut when the journal is
 * opened: its act was never begun. Damage before another whole record's head is ERR_CORRUPT, and
 * nothing is changed.
 * An append that fails makes the journal dead: a failed fsync is never tried again. */
#pragma once

#include "common/base/digest.h"
#include "common/base/err.h"
#include "fairlead/v1/record.pb-c.h"

struct journal;

/* One record of the past, in order. Non-zero stops the replay and is returned by journal_open. */
typedef int journal_replay_fn(
	void *user, uint64_t number, const Fairlead__V1__JournalRecord *record, struct err *err);

/* Opens (creates, 0600) `name` in dirfd and replays it. May block on disk. */
int journal_open(int dirfd, const char *name, journal_replay_fn *replay, void *user,
	struct journal **ret, struct err *err);
void journal_close(struct journal *journal); /* NULL is fine */
/* Durable when it returns 0. */
int journal_append(
	struct journal *journal, const Fairlead__V1__JournalRecord *record, struct err *err);
/* Digest of the newest record: the head of the chain. */
struct digest journal_head(const struct journal *journal);
