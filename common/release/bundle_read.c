#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/release/bundle.h"
#include "common/release/bundle_format.h"

#include <errno.h>
#include <zstd_errors.h>

enum { PIECE_SIZE = 128 * 1024 };

struct bundle {
	int fd;
	const struct manifest *base;
	struct manifest target;
	struct changes changes;
	off_t contents_at;
	/* the reading position: what is in `in` from in_pos on, then the file from `offset` on */
	off_t offset;
	size_t in_pos, in_len;
	ZSTD_DCtx *dctx;
	bool in_frame;
	uint8_t in[PIECE_SIZE];
	uint8_t out[PIECE_SIZE];
};

static int corrupt(struct err *err, const char *what)
{
	err_set(err, ERR_CORRUPT, "the bundle does not verify: %s", what);
	return err_hint(err, "Deploy again: it is then sent anew.");
}

/* Not the bundle's fault: to send it anew would change nothing. */
static int no_memory(struct err *err)
{
	return err_set(err, ERR_LIMIT, "no memory to read the bundle");
}

static off_t position(const struct bundle *b)
{
	return b->offset - (off_t)(b->in_len - b->in_pos);
}

static void seek(struct bundle *b, off_t to)
{
	b->offset = to;
	b->in_pos = b->in_len = 0;
}

/* More input; in_len 0 at the end of the file. */
static int refill(struct bundle *b, struct err *err)
{
	ssize_t n;
	do {
		n = pread(b->fd, b->in, sizeof(b->in), b->offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, ERR_IO, errno, "cannot read the bundle");
	b->offset += n;
	b->in_pos = 0;
	b->in_len = (size_t)n;
	return 0;
}

static int read_exact(struct bundle *b, uint8_t *p, size_t len, struct err *err)
{
	while (len > 0) {
		if (b->in_pos == b->in_len && refill(b, err) < 0)
			return -1;
		if (b->in_len == 0)
			return corrupt(err, "it ends too early");
		size_t n = b->in_len - b->in_pos < len ? b->in_len - b->in_pos : len;
		memcpy(p, b->in + b->in_pos, n);
		b->in_pos += n;
		p += n;
		len -= n;
	}
	return 0;
}

/* Only memory can be missing. */
static int begin_frame(struct bundle *b, struct bytes prefix, struct err *err)
{
	ZSTD_DCtx_reset(b->dctx, ZSTD_reset_session_and_parameters);
	if (ZSTD_isError(
		    ZSTD_DCtx_setParameter(b->dctx, ZSTD_d_windowLogMax, BUNDLE_WINDOW_LOG_MAX)) ||
		ZSTD_isError(ZSTD_DCtx_refPrefix(b->dctx, prefix.data, prefix.len)))
		return no_memory(err);
	b->in_frame = true;
	return 0;
}

/* Decompress up to len bytes of the frame into b->out; fewer only at the frame's end. */
static int inflate_some(struct bundle *b, size_t len, size_t *ret, struct err *err)
{
	ZSTD_outBuffer out = {b->out, len, 0};
	while (b->in_frame && out.pos < out.size) {
		ZSTD_inBuffer in = {b->in, b->in_len, b->in_pos};
		size_t left = ZSTD_decompressStream(b->dctx, &out, &in);
		b->in_pos = in.pos;
		if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
			return no_memory(err);
		if (ZSTD_isError(left))
			return corrupt(err, ZSTD_getErrorName(left));
		if (left == 0)
			b->in_frame = false;
		if (left == 0 || out.pos == out.size || b->in_pos < b->in_len)
			continue;
		if (refill(b, err) < 0)
			return -1;
		if (b->in_len == 0)
			return corrupt(err, "it ends too early");
	}
	*ret = out.pos;
	return 0;
}

/* The frame must hold nothing more: a bomb shows itself with one byte. */
static int end_frame(struct bundle *b, struct err *err)
{
	size_t n = 0;
	if (inflate_some(b, 1, &n, err) < 0)
		return -1;
	return n ? corrupt(err, "a content is larger than the manifest says") : 0;
}

static int read_manifest(
	struct bundle *b, size_t size, const struct digest *digest, struct err *err)
{
	AUTO(buf) struct buf old = {0};
	AUTO(buf) struct buf wire = {0};
	size_t old_size = b->base ? manifest_encoded_size(b->base) : 0;
	if (old_size > 0 && old_size <= BUNDLE_PREFIX_MAX && size <= BUNDLE_PREFIX_MAX) {
		if (buf_reserve_max(&old, old_size, old_size, err) < 0)
			return -1;
		manifest_encode(b->base, &old);
	}
	if (begin_frame(b, buf_bytes(&old), err) < 0)
		return -1;
	while (wire.len < size) {
		size_t n = 0, want = size - wire.len < PIECE_SIZE ? size - wire.len : PIECE_SIZE;
		if (inflate_some(b, want, &n, err) < 0 || buf_reserve_max(&wire, n, size, err) < 0)
			return -1;
		if (n == 0)
			return corrupt(err, "the manifest is too short");
		buf_append(&wire, b->out, n);
	}
	if (end_frame(b, err) < 0)
		return -1;
	struct digest is = digest_of(wire.data, wire.len);
	if (!digest_equal(&is, digest))
		return corrupt(err, "its manifest has another digest than it names");
	return manifest_decode(buf_bytes(&wire), &b->target, err);
}

static int read_head(struct bundle *b, const struct digest *target, struct err *err)
{
	static const struct digest none = {0};
	uint8_t head[BUNDLE_HEADER_SIZE];
	if (read_exact(b, head, sizeof(head), err) < 0)
		return -1;
	if (memcmp(head, bundle_magic, BUNDLE_MAGIC_SIZE) != 0)
		return corrupt(err, "it is no bundle of version 1");
	const uint8_t *p = head + BUNDLE_MAGIC_SIZE;
	if (memcmp(p, b->base ? b->base->digest.bytes : none.bytes, DIGEST_SIZE) != 0)
		return corrupt(err, "it was made for another base release");
	p += DIGEST_SIZE;
	if (memcmp(p, target->bytes, DIGEST_SIZE) != 0)
		return corrupt(err, "it makes another release than the command names");
	size_t size = get_u32(p + DIGEST_SIZE);
	if (size > MANIFEST_WIRE_MAX)
		return corrupt(err, "its manifest is too large");
	return read_manifest(b, size, target, err);
}

int bundle_open(int fd, const struct manifest *base, const struct digest *target,
	struct bundle **ret, struct err *err)
{
	struct bundle *b = xmalloc(sizeof(*b));
	memset(b, 0, offsetof(struct bundle, in));
	b->fd = fd;
	b->base = base;
	b->dctx = ZSTD_createDCtx();
	int rc = b->dctx ? read_head(b, target, err) : no_memory(err);
	if (rc == 0) {
		b->contents_at = position(b);
		rc = changes_find(base, &b->target, &b->changes, err);
	}
	if (rc < 0) {
		bundle_free(b);
		return -1;
	}
	*ret = b;
	return 0;
}

void bundle_free(struct bundle *bundle)
{
	if (!bundle)
		return;
	ZSTD_freeDCtx(bundle->dctx);
	changes_release(&bundle->changes);
	manifest_release(&bundle->target);
	free(bundle);
}

const struct manifest *bundle_manifest(const struct bundle *bundle)
{
	return &bundle->target;
}

const struct changes *bundle_changes(const struct bundle *bundle)
{
	return &bundle->changes;
}

static int wrap(const struct manifest_entry *entry, struct err *err)
{
	AUTO_FREE char *shown = text_escaped(entry->path);
	return err_wrap(err, "'%s'", shown);
}

static int extract_content(struct bundle *b, const struct manifest_entry *entry,
	const struct bundle_sink *sink, struct err *err)
{
	struct hasher hasher;
	hasher_init(&hasher);
	if (sink->begin(sink->user, entry, err) < 0)
		return -1;
	for (uint64_t left = entry->size; left > 0;) {
		size_t n = 0, want = left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;
		if (inflate_some(b, want, &n, err) < 0)
			return wrap(entry, err);
		if (n == 0) {
			corrupt(err, "a content is shorter than the manifest says");
			return wrap(entry, err);
		}
		hasher_update(&hasher, b->out, n);
		if (sink->write(sink->user, b->out, n, err) < 0)
			return wrap(entry, err);
		left -= n;
	}
	struct digest digest = hasher_final(&hasher);
	if (!digest_equal(&digest, &entry->digest)) {
		corrupt(err, "a content has another digest than the manifest says");
		return wrap(entry, err);
	}
	return sink->done(sink->user, entry, err);
}

/* Reads one group: `count` contents of the carried list, from *next on. */
static int extract_whole(struct bundle *b, const struct manifest_change **next, size_t carried_left,
	const struct bundle_sink *sink, size_t *ret_count, struct err *err)
{
	uint8_t head[4];
	if (read_exact(b, head, sizeof(head), err) < 0)
		return -1;
	size_t count = get_u32(head);
	if (count == 0 || count > carried_left)
		return corrupt(err, "a group has an impossible count");
	if (begin_frame(b, (struct bytes){0}, err) < 0)
		return -1;
	for (size_t i = 0; i < count; (*next)++) {
		if ((*next)->from != CHANGE_CARRIED)
			continue;
		if (extract_content(b, (*next)->new_, sink, err) < 0)
			return -1;
		i++;
	}
	*ret_count = count;
	return end_frame(b, err);
}

static int old_content(const struct manifest_change *change, const struct bundle_sink *sink,
	struct buf *ret, struct err *err)
{
	int rc = sink->old(sink->user, change->old, ret, err);
	if (rc != 0)
		return rc;
	struct digest digest = digest_of(ret->data, ret->len);
	if (digest_equal(&digest, &change->old->digest))
		return 0;
	AUTO_FREE char *shown = text_escaped(change->old->path);
	err_set(err, ERR_CORRUPT, "'%s' of the base release was changed on this host", shown);
	return err_hint(err, "The whole release has to be sent.");
}

static int extract_patch(struct bundle *b, const struct manifest_change *change,
	const struct bundle_sink *sink, struct err *err)
{
	uint8_t head[8];
	if (read_exact(b, head, sizeof(head), err) < 0)
		return -1;
	uint64_t size = get_u64(head);
	const struct manifest_entry *old = change->old;
	if (!old || old->mode == MANIFEST_LINK || change->new_->mode == MANIFEST_LINK ||
		old->size > BUNDLE_PREFIX_MAX || change->new_->size > BUNDLE_PREFIX_MAX ||
		size > ZSTD_COMPRESSBOUND((uint64_t)BUNDLE_PREFIX_MAX))
		return corrupt(err, "a difference where there can be none");
	off_t end = position(b) + (off_t)size;
	AUTO(buf) struct buf prefix = {0};
	int rc = old_content(change, sink, &prefix, err);
	if (rc < 0)
		return -1;
	if (rc == BUNDLE_SKIP) {
		seek(b, end);
		return 0;
	}
	if (begin_frame(b, buf_bytes(&prefix), err) < 0 ||
		extract_content(b, change->new_, sink, err) < 0 || end_frame(b, err) < 0)
		return -1;
	return position(b) == end ? 0 : corrupt(err, "a difference has another size than it says");
}

static int expect_end(struct bundle *b, struct err *err)
{
	if (b->in_pos == b->in_len && refill(b, err) < 0)
		return -1;
	return b->in_pos == b->in_len ? 0 : corrupt(err, "something follows its end");
}

int bundle_extract(struct bundle *bundle, const struct bundle_sink *sink, struct err *err)
{
	struct bundle *b = bundle;
	seek(b, b->contents_at);
	const struct manifest_change *next = b->changes.list;
	for (size_t left = b->changes.carried; left > 0;) {
		uint8_t kind = 0;
		size_t count = 1;
		if (read_exact(b, &kind, 1, err) < 0)
			return -1;
		if (kind == BUNDLE_WHOLE) {
			if (extract_whole(b, &next, left, sink, &count, err) < 0)
				return -1;
		} else if (kind == BUNDLE_PATCH) {
			while (next->from != CHANGE_CARRIED)
				next++;
			if (extract_patch(b, next++, sink, err) < 0)
				return -1;
		} else {
			return corrupt(err, "a group of an unknown kind");
		}
		left -= count;
	}
	return expect_end(b, err);
}
