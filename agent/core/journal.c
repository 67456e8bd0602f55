#include "agent/core/journal.h"

#include "agent/core/journal_files.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

struct journal {
	int dirfd; /* borrowed */
	char *name;
	int fd;
	struct chain chain;
	off_t end;
	uint64_t segment; /* of the newest file */
	enum { JOURNAL_ALIVE, JOURNAL_DEAD } life;
};

struct chain journal_chain(const struct journal *journal)
{
	return journal->chain;
}

struct digest journal_head(const struct journal *journal)
{
	return journal->chain.head;
}

uint64_t journal_size(const struct journal *journal)
{
	return (uint64_t)journal->end;
}

uint64_t journal_segment(const struct journal *journal)
{
	return journal->segment;
}

/* ---- writing ---- */

static int check_alive(const struct journal *journal, struct err *err)
{
	if (journal->life == JOURNAL_ALIVE)
		return 0;
	err_set(err, ERR_IO, "the journal failed before and takes no more records");
	return err_hint(err, "Restart the agent: it recovers from what is on the disk.");
}

static int dead(struct journal *journal, struct err *err)
{
	journal->life = JOURNAL_DEAD;
	return err_wrap(err, "journal");
}

int journal_append(
	struct journal *journal, const Fairlead__V1__JournalRecord *record, struct err *err)
{
	AUTO(buf) struct buf bytes = {0};
	struct chain after;
	if (check_alive(journal, err) < 0)
		return -1;
	chain_encode(&journal->chain, &record->base, &bytes, &after);
	if (fd_pwrite_all(journal->fd, bytes.data, bytes.len, journal->end, err) < 0)
		return dead(journal, err);
	if (fdatasync(journal->fd) < 0) {
		err_errno(err, ERR_IO, errno, "cannot sync");
		return dead(journal, err);
	}
	journal->end += (off_t)bytes.len;
	journal->chain = after;
	return 0;
}

/* ---- turning to a new file ---- */

struct turn {
	char *new, *old; /* names */
	int fd;          /* of the new file, -1 before */
	off_t size;
};

static void turn_release(struct turn *turn)
{
	free(turn->new);
	free(turn->old);
	if (turn->fd >= 0)
		close(turn->fd);
}

/* Nothing has taken its place yet: as if it had not been tried. */
static int keep_old(struct journal *journal, const struct turn *turn, struct err *err)
{
	unlinkat(journal->dirfd, turn->new, 0);
	err_wrap(err, "the journal was not turned");
	return JOURNAL_KEPT;
}

static int write_new(
	struct journal *journal, struct turn *turn, struct bytes content, struct err *err)
{
	turn->fd = openat(journal->dirfd, turn->new,
		O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (turn->fd < 0) {
		err_errno(err, ERR_IO, errno, "cannot make '%s'", turn->new);
		return keep_old(journal, turn, err);
	}
	if (fd_pwrite_all(turn->fd, content.data, content.len, 0, err) < 0)
		return keep_old(journal, turn, err);
	turn->size = (off_t)content.len;
	if (fsync(turn->fd) < 0) {
		err_errno(err, ERR_IO, errno, "cannot sync '%s'", turn->new);
		return dead(journal, err);
	}
	return JOURNAL_TURNED;
}

/* The old file gets its number first, durably: from then on it has two names, and the rename takes
 * away only one of them. */
static int replace(struct journal *journal, const struct turn *turn, struct err *err)
{
	if (linkat(journal->dirfd, journal->name, journal->dirfd, turn->old, 0) < 0) {
		err_errno(err, ERR_IO, errno, "cannot link '%s'", turn->old);
		return keep_old(journal, turn, err);
	}
	if (dir_sync(journal->dirfd, err) < 0)
		return dead(journal, err);
	if (renameat(journal->dirfd, turn->new, journal->dirfd, journal->name) < 0) {
		err_errno(err, ERR_IO, errno, "cannot rename '%s'", turn->new);
		unlinkat(journal->dirfd, turn->old, 0);
		return keep_old(journal, turn, err);
	}
	if (dir_sync(journal->dirfd, err) < 0)
		return dead(journal, err);
	return JOURNAL_TURNED;
}

int journal_turn(struct journal *journal, const Fairlead__V1__JournalRecord *first, unsigned keep,
	struct err *err)
{
	AUTO(turn) struct turn turn = {.fd = -1};
	AUTO(buf) struct buf bytes = {0};
	struct chain after;
	if (check_alive(journal, err) < 0)
		return -1;
	turn.new = journal_new_name(journal->name);
	turn.old = journal_old_name(journal->name, journal->segment);
	chain_encode(&journal->chain, &first->base, &bytes, &after);
	int rc = write_new(journal, &turn, buf_bytes(&bytes), err);
	if (rc == JOURNAL_TURNED)
		rc = replace(journal, &turn, err);
	if (rc != JOURNAL_TURNED)
		return rc;
	close(journal->fd);
	journal->fd = TAKE_FD(turn.fd);
	journal->end = turn.size;
	journal->chain = after;
	journal->segment++;
	journal_files_prune(journal->dirfd, journal->name, keep);
	return JOURNAL_TURNED;
}

/* ---- opening ---- */

struct opening {
	struct journal *journal;
	journal_replay_fn *replay;
	void *user;
	bool anchored; /* journal->chain is where the next record belongs */
	bool newest;
	const char *file;
};

static int damaged(
	const struct opening *opening, enum chain_verdict verdict, size_t at, struct err *err)
{
	static const char *const how[] = {
		[CHAIN_TORN] = "ends in the middle of",
		[CHAIN_DAMAGED] = "is damaged at",
		[CHAIN_BROKEN] = "has another record in the place of",
		[CHAIN_RECORD] = "cannot be what it is at",
		[CHAIN_END] = "has lost",
	};
	err_set(err, ERR_CORRUPT, "ALARM: the journal file '%s' %s record %llu (byte %zu)",
		opening->file, how[verdict], (unsigned long long)opening->journal->chain.number + 1,
		at);
	return err_hint(err,
		"Nothing was changed. Restore that file from a backup, or check by "
		"`fairlead audit` of its copy what is lost and move the app's journal away to "
		"start anew: docs/journal.md says how.");
}

/* Whether this record may begin its file. */
static bool begins_well(const struct opening *opening, const struct chain_record *at,
	const Fairlead__V1__JournalRecord *record)
{
	if (at->after.number == 1)
		return digest_is_zero(&at->before.head) && !record->segment;
	return record->segment &&
	       (!opening->newest || record->segment->number == opening->journal->segment);
}

static int take_record(struct opening *opening, const struct chain_record *at, bool first,
	size_t offset, struct err *err)
{
	struct journal *journal = opening->journal;
	Fairlead__V1__JournalRecord *record = NULL;
	if (!first && !opening->newest) {
		journal->chain = at->after;
		return 0;
	}
	if (PB_UNPACK(fairlead__v1__journal_record, at->payload, &record, err) < 0)
		return err_wrap(err, "journal file '%s', record %llu", opening->file,
			(unsigned long long)at->after.number);
	int rc = 0;
	if (!opening->anchored)
		journal->chain = at->before;
	if (first && opening->newest && record->segment && !opening->anchored)
		journal->segment = record->segment->number; /* no older file is kept */
	if (first && !begins_well(opening, at, record))
		rc = damaged(opening, CHAIN_RECORD, offset, err);
	else
		journal->chain = at->after;
	if (rc == 0 && opening->newest)
		rc = opening->replay(opening->user, at->after.number, record, err);
	pb_free(&record->base);
	return rc;
}

/* Cut what an append that was interrupted left. */
static int cut(struct journal *journal, size_t at, struct err *err)
{
	if (ftruncate(journal->fd, (off_t)at) < 0 || fdatasync(journal->fd) < 0)
		return err_errno(err, ERR_IO, errno, "cannot cut the torn end of the journal");
	return 0;
}

/* One file from its beginning; *ret_end is where its last whole record ends. */
static int read_segment(
	struct opening *opening, struct bytes content, size_t *ret_end, struct err *err)
{
	struct journal *journal = opening->journal;
	struct chain_record at;
	size_t offset = 0;
	for (bool first = true;; first = false) {
		struct bytes rest = BYTES(content.data + offset, content.len - offset);
		bool anchored = opening->anchored;
		enum chain_verdict verdict =
			chain_next(rest, anchored ? &journal->chain : NULL, &at);
		if (verdict == CHAIN_END && first && anchored)
			return damaged(opening, verdict, offset, err);
		if (verdict == CHAIN_TORN && opening->newest && !(first && anchored))
			verdict = CHAIN_END;
		*ret_end = offset;
		if (verdict == CHAIN_END)
			return 0;
		if (verdict != CHAIN_RECORD)
			return damaged(opening, verdict, offset, err);
		int rc = take_record(opening, &at, first, offset, err);
		if (rc != 0)
			return rc;
		opening->anchored = true;
		offset += at.size;
	}
}

static int read_old(struct opening *opening, char *const *files, size_t count, struct err *err)
{
	struct journal *journal = opening->journal;
	for (size_t i = 0; i < count; i++) {
		AUTO(buf) struct buf content = {0};
		size_t end = 0;
		uint64_t number = journal_old_number(journal->name, files[i]);
		opening->file = files[i];
		if (i > 0 && number != journal->segment)
			return damaged(opening, CHAIN_END, 0, err);
		if (file_read(journal->dirfd, files[i], JOURNAL_FILE_MAX, &content, err) < 0 ||
			read_segment(opening, buf_bytes(&content), &end, err) < 0)
			return -1;
		if (content.len == 0)
			return damaged(opening, CHAIN_END, 0, err);
		journal->segment = number + 1;
	}
	return 0;
}

static int read_newest(struct opening *opening, struct err *err)
{
	struct journal *journal = opening->journal;
	AUTO(buf) struct buf content = {0};
	size_t end = 0;
	opening->newest = true;
	opening->file = journal->name;
	if (file_read(journal->dirfd, journal->name, JOURNAL_FILE_MAX, &content, err) < 0)
		return -1;
	int rc = read_segment(opening, buf_bytes(&content), &end, err);
	journal->end = (off_t)end;
	if (rc == 0 && end < content.len)
		rc = cut(journal, end, err);
	return rc;
}

static int read_all(struct opening *opening, struct err *err)
{
	struct journal *journal = opening->journal;
	char **files = NULL;
	size_t count = 0;
	if (journal_files(journal->dirfd, journal->name, &files, &count, err) < 0)
		return -1;
	int rc = read_old(opening, files, count ? count - 1 : 0, err);
	journal_files_free(files, count);
	return rc == 0 ? read_newest(opening, err) : rc;
}

static int open_newest(struct journal *journal, struct err *err)
{
	struct err why = ERR_INIT;
	journal->fd = open_beneath(journal->dirfd, journal->name, O_RDWR, 0, &why);
	if (journal->fd >= 0)
		return 0;
	if (why.code != ERR_NOT_FOUND || journal_has_old(journal->dirfd, journal->name)) {
		*err = why;
		if (why.code == ERR_NOT_FOUND)
			err_hint(err, "The newest file of a journal is gone, older ones are there: "
				      "see docs/journal.md.");
		return err_wrap(err, "ALARM: journal");
	}
	journal->fd = open_beneath(journal->dirfd, journal->name, O_RDWR | O_CREAT, 0600, err);
	return journal->fd < 0 ? -1 : 0;
}

int journal_open(int dirfd, const char *name, journal_replay_fn *replay, void *user,
	struct journal **ret, struct err *err)
{
	struct journal *journal = xcalloc(1, sizeof(*journal));
	struct opening opening = {.journal = journal, .replay = replay, .user = user};
	*journal = (struct journal){.dirfd = dirfd, .name = xstrdup(name), .fd = -1, .segment = 1};
	int rc = journal_undo_turn(dirfd, name, err);
	if (rc == 0)
		rc = open_newest(journal, err);
	if (rc == 0)
		rc = dir_sync(dirfd, err);
	if (rc == 0)
		rc = read_all(&opening, err);
	if (rc != 0) {
		journal_close(journal);
		return rc;
	}
	*ret = journal;
	return 0;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		close(journal->fd);
	free(journal->name);
	free(journal);
}
