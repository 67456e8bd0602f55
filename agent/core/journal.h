/* The journal of one app+environment: what the host decided, durable before it acts.
 *
 * Records in a chain (common/evidence/chain.h), appended to the file `<name>`. When that has grown
 * to its size and no deployment runs, a new file takes its place: the old one stays as
 * `<name>.000001` and so on, and the new one begins with a record that follows the last of the old
 * one in the chain and holds all that is needed of the past. Only the newest file is replayed, and
 * so many of the old ones are kept; all that are kept are verified when the journal is opened.
 *
 * A torn record at the very end of the newest file is cut: its act was never begun. Any other
 * damage is ERR_CORRUPT, naming the file and the record, and nothing is changed (docs/journal.md).
 * A new file is put in place by: write `<name>.new`, sync, link the old one to its number, sync the
 * directory, rename, sync the directory. So `<name>` is whole at every moment, and a turn that was
 * interrupted is undone when the journal is opened.
 * A sync that fails, in an append or a turn, makes the journal dead: it is never tried again. */
#pragma once

#include "common/base/err.h"
#include "common/evidence/chain.h"
#include "fairlead/v1/record.pb-c.h"

struct journal;

/* One record of the newest file, in order. Non-zero stops the replay and is returned by
 * journal_open. */
typedef int journal_replay_fn(
	void *user, uint64_t number, const Fairlead__V1__JournalRecord *record, struct err *err);

/* Opens (creates, 0600) `name` in dirfd, which is borrowed until it is closed, and replays it. May
 * block on disk. */
int journal_open(int dirfd, const char *name, journal_replay_fn *replay, void *user,
	struct journal **ret, struct err *err);
void journal_close(struct journal *journal); /* NULL is fine */
/* Durable when it returns 0. */
int journal_append(
	struct journal *journal, const Fairlead__V1__JournalRecord *record, struct err *err);

/* The newest record: the head of the chain. */
struct chain journal_chain(const struct journal *journal);
struct digest journal_head(const struct journal *journal);
/* Bytes of the newest file, and its number, from 1. */
uint64_t journal_size(const struct journal *journal);
uint64_t journal_segment(const struct journal *journal);

/* Turn the page: `first` (its `segment` filled, numbered journal_segment() + 1) begins the new
 * file; of the old ones the newest `keep` (at least 1) stay. <0: the journal is dead, recover from
 * the disk. JOURNAL_KEPT: there was no room or the like; *err says why, and the journal goes on in
 * the old file. */
enum journal_turn { JOURNAL_TURNED = 0, JOURNAL_KEPT = 1 };
int journal_turn(struct journal *journal, const Fairlead__V1__JournalRecord *first, unsigned keep,
	struct err *err);

/* The files of the journal in dirfd, oldest first, by their names: for whoever reads it as it is.
 * Free each, and the list. */
int journal_files(int dirfd, const char *name, char ***ret, size_t *ret_count, struct err *err);
void journal_files_free(char **files, size_t count);
