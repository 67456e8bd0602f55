#include "agent/core/journal.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

enum {
	MAGIC = 0x314a4c46,
	CHECK_AT = 4 + 4 + 8 + DIGEST_SIZE,
	CHECK_SIZE = 8,
	HEAD_SIZE = CHECK_AT + CHECK_SIZE,
};

struct journal {
	int fd;
	uint64_t number; /* of the newest record */
	struct digest head;
	off_t end;
	enum { JOURNAL_ALIVE, JOURNAL_DEAD } life;
};

static void encode(const struct journal *journal, const Fairlead__V1__JournalRecord *record,
	struct buf *out, struct digest *ret_digest)
{
	buf_reserve(out, HEAD_SIZE);
	out->len = HEAD_SIZE;
	PB_PACK(record, out);
	put_u32(out->data, MAGIC);
	put_u32(out->data + 4, (uint32_t)(out->len - HEAD_SIZE));
	put_u64(out->data + 8, journal->number + 1);
	memcpy(out->data + 16, journal->head.bytes, DIGEST_SIZE);
	struct digest check = digest_of(out->data, CHECK_AT);
	memcpy(out->data + CHECK_AT, check.bytes, CHECK_SIZE);
	*ret_digest = digest_of(out->data, out->len);
	buf_append(out, ret_digest->bytes, DIGEST_SIZE);
}

int journal_append(
	struct journal *journal, const Fairlead__V1__JournalRecord *record, struct err *err)
{
	if (journal->life == JOURNAL_DEAD) {
		err_set(err, ERR_IO, "the journal failed before and takes no more records");
		return err_hint(err, "Restart the agent: it recovers from what is on the disk.");
	}
	AUTO(buf) struct buf bytes = {0};
	struct digest digest;
	encode(journal, record, &bytes, &digest);
	if (fd_pwrite_all(journal->fd, bytes.data, bytes.len, journal->end, err) < 0) {
		journal->life = JOURNAL_DEAD;
		return err_wrap(err, "journal");
	}
	if (fdatasync(journal->fd) < 0) {
		journal->life = JOURNAL_DEAD;
		return err_errno(err, ERR_IO, errno, "cannot sync the journal");
	}
	journal->end += (off_t)bytes.len;
	journal->number++;
	journal->head = digest;
	return 0;
}

struct digest journal_head(const struct journal *journal)
{
	return journal->head;
}

enum record_kind { RECORD_OK, RECORD_END, RECORD_TORN, RECORD_DAMAGED };

static bool is_head(const uint8_t *head)
{
	struct digest check = digest_of(head, CHECK_AT);
	return get_u32(head) == MAGIC && memcmp(head + CHECK_AT, check.bytes, CHECK_SIZE) == 0;
}

/* What does not verify at journal->end: a torn end, unless a whole head follows later. */
static enum record_kind torn_or_damaged(const struct journal *journal, off_t size)
{
	AUTO(buf) struct buf rest = {0};
	if (size - journal->end > (off_t)2 * PB_WIRE_MAX)
		return RECORD_DAMAGED; /* more than one append can have left */
	size_t len = (size_t)(size - journal->end);
	buf_reserve(&rest, len);
	if (fd_pread_exact(journal->fd, rest.data, len, journal->end, NULL) < 0)
		return RECORD_DAMAGED;
	for (size_t at = 1; at + HEAD_SIZE <= len; at++)
		if (is_head(rest.data + at))
			return RECORD_DAMAGED;
	return RECORD_TORN;
}

/* Reads the record at journal->end and judges it; the record lands in bytes. */
static enum record_kind read_record(struct journal *journal, off_t size, struct buf *bytes)
{
	off_t left = size - journal->end;
	uint8_t head[HEAD_SIZE];
	if (left == 0)
		return RECORD_END;
	if (left < HEAD_SIZE + DIGEST_SIZE)
		return RECORD_TORN;
	if (fd_pread_exact(journal->fd, head, HEAD_SIZE, journal->end, NULL) < 0)
		return RECORD_DAMAGED;
	off_t length = get_u32(head + 4);
	off_t total = HEAD_SIZE + length + DIGEST_SIZE;
	if (!is_head(head) || length > PB_WIRE_MAX || total > left)
		return torn_or_damaged(journal, size);
	buf_clear(bytes);
	buf_reserve(bytes, (size_t)total);
	if (fd_pread_exact(journal->fd, bytes->data, (size_t)total, journal->end, NULL) < 0)
		return RECORD_DAMAGED;
	bytes->len = (size_t)total;
	size_t covered = bytes->len - DIGEST_SIZE;
	struct digest digest = digest_of(bytes->data, covered);
	if (memcmp(digest.bytes, bytes->data + covered, DIGEST_SIZE) != 0)
		return torn_or_damaged(journal, size);
	/* The checksum holds, so a break of the chain here is no torn write. */
	if (get_u64(head + 8) != journal->number + 1 ||
		memcmp(head + 16, journal->head.bytes, DIGEST_SIZE) != 0)
		return RECORD_DAMAGED;
	journal->number++;
	journal->head = digest;
	return RECORD_OK;
}

static int replay_record(const struct journal *journal, const struct buf *bytes,
	journal_replay_fn *replay, void *user, struct err *err)
{
	Fairlead__V1__JournalRecord *record = NULL;
	struct bytes payload = BYTES(bytes->data + HEAD_SIZE, bytes->len - HEAD_SIZE - DIGEST_SIZE);
	if (PB_UNPACK(fairlead__v1__journal_record, payload, &record, err) < 0)
		return err_wrap(err, "journal record %llu", (unsigned long long)journal->number);
	int rc = replay(user, journal->number, record, err);
	pb_free(&record->base);
	return rc;
}

static int damaged(const struct journal *journal, const char *name, struct err *err)
{
	err_set(err, ERR_CORRUPT, "journal '%s' is damaged at byte %lld, after record %llu", name,
		(long long)journal->end, (unsigned long long)journal->number);
	return err_hint(err,
		"Nothing was changed. Restore the file from a backup, or check which "
		"release 'current' points to and move the journal away to start anew.");
}

static int replay_all(struct journal *journal, const char *name, journal_replay_fn *replay,
	void *user, struct err *err)
{
	struct stat st;
	if (fstat(journal->fd, &st) < 0)
		return err_errno(err, ERR_IO, errno, "cannot stat the journal");
	AUTO(buf) struct buf bytes = {0};
	for (;;) {
		enum record_kind kind = read_record(journal, st.st_size, &bytes);
		if (kind == RECORD_END)
			return 0;
		if (kind == RECORD_DAMAGED)
			return damaged(journal, name, err);
		if (kind == RECORD_TORN) {
			if (ftruncate(journal->fd, journal->end) < 0 || fdatasync(journal->fd) < 0)
				return err_errno(err, ERR_IO, errno,
					"cannot cut the torn end of the journal");
			return 0;
		}
		journal->end += (off_t)bytes.len;
		int rc = replay_record(journal, &bytes, replay, user, err);
		if (rc != 0)
			return rc;
	}
}

int journal_open(int dirfd, const char *name, journal_replay_fn *replay, void *user,
	struct journal **ret, struct err *err)
{
	int fd = open_beneath(dirfd, name, O_RDWR | O_CREAT, 0600, err);
	if (fd < 0)
		return -1;
	struct journal *journal = xcalloc(1, sizeof(*journal));
	journal->fd = fd;
	int rc = dir_sync(dirfd, err);
	if (rc == 0)
		rc = replay_all(journal, name, replay, user, err);
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
	close(journal->fd);
	free(journal);
}
