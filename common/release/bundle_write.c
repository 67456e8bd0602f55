#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"
#include "common/release/bundle.h"
#include "common/release/bundle_format.h"

/* Level 3 is where zstd still outruns a disk; long-distance matching pays from about here. */
enum { LEVEL = 3, LONG_DISTANCE_FROM = 512 * 1024, OUT_SIZE = 256 * 1024 };

struct writer {
	struct hasher hasher;
	const struct bundle_source *old_source, *new_source;
	ZSTD_CCtx *cctx;
	uint64_t bytes;
	struct buf out;
	int fd;
};

static void writer_release(struct writer *w)
{
	ZSTD_freeCCtx(w->cctx);
	buf_release(&w->out);
}

static int flush(struct writer *w, struct err *err)
{
	hasher_update(&w->hasher, w->out.data, w->out.len);
	w->bytes += w->out.len;
	if (fd_write_all(w->fd, w->out.data, w->out.len, err) < 0)
		return err_wrap(err, "writing the bundle");
	buf_clear(&w->out);
	return 0;
}

static int put(struct writer *w, const void *data, size_t len, struct err *err)
{
	buf_append(&w->out, data, len);
	return w->out.len < OUT_SIZE ? 0 : flush(w, err);
}

static int zstd_fault(size_t code, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "cannot compress: %s", ZSTD_getErrorName(code));
}

static int window_log(size_t size)
{
	int log = 10; /* ZSTD_WINDOWLOG_MIN */
	while (log < BUNDLE_WINDOW_LOG_MAX && (size_t)1 << log < size)
		log++;
	return log;
}

/* One content, one frame, appended to `frame`. */
static int compress_patch(struct writer *w, struct bytes prefix, struct bytes content,
	struct buf *frame, struct err *err)
{
	size_t larger = prefix.len > content.len ? prefix.len : content.len;
	ZSTD_CCtx_reset(w->cctx, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(w->cctx, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(w->cctx, ZSTD_c_windowLog, window_log(larger));
	ZSTD_CCtx_setParameter(
		w->cctx, ZSTD_c_enableLongDistanceMatching, larger >= LONG_DISTANCE_FROM);
	ZSTD_CCtx_refPrefix(w->cctx, prefix.data, prefix.len);
	size_t bound = ZSTD_compressBound(content.len);
	uint8_t *p = buf_reserve(frame, bound);
	size_t n = ZSTD_compress2(w->cctx, p, bound, content.data, content.len);
	if (ZSTD_isError(n))
		return zstd_fault(n, err);
	frame->len += n;
	return 0;
}

static int stream(struct writer *w, struct bytes content, ZSTD_EndDirective end, struct err *err)
{
	ZSTD_inBuffer in = {content.data, content.len, 0};
	for (;;) {
		size_t room = ZSTD_CStreamOutSize();
		ZSTD_outBuffer out = {buf_reserve(&w->out, room), room, 0};
		size_t left = ZSTD_compressStream2(w->cctx, &out, &in, end);
		if (ZSTD_isError(left))
			return zstd_fault(left, err);
		w->out.len += out.pos;
		if (w->out.len >= OUT_SIZE && flush(w, err) < 0)
			return -1;
		if (end == ZSTD_e_end ? left == 0 : in.pos == in.size)
			return 0;
	}
}

static int fetch_new(
	struct writer *w, const struct manifest_entry *entry, struct buf *ret, struct err *err)
{
	AUTO_FREE char *shown = text_escaped(entry->path);
	if (w->new_source->fetch(w->new_source->user, entry, ret, err) < 0)
		return err_wrap(err, "'%s'", shown);
	struct digest digest = digest_of(ret->data, ret->len);
	if (ret->len == entry->size && digest_equal(&digest, &entry->digest))
		return 0;
	err_set(err, ERR_PREFLIGHT, "'%s' changed while it was read", shown);
	return err_hint(err, "Deploy again when nothing writes to the source any more.");
}

/* May this content travel as a difference? What the reader accepts follows the same rule. */
static bool may_patch(const struct manifest_change *change)
{
	return change->old && change->old->mode != MANIFEST_LINK &&
	       change->new_->mode != MANIFEST_LINK && change->old->size > 0 &&
	       change->old->size <= BUNDLE_PREFIX_MAX && change->new_->size <= BUNDLE_PREFIX_MAX;
}

/* `list`: changes from the first of the group on, count of them carried. */
static int write_whole(
	struct writer *w, const struct manifest_change *list, uint32_t count, struct err *err)
{
	uint8_t head[5] = {BUNDLE_WHOLE};
	put_u32(head + 1, count);
	if (put(w, head, sizeof(head), err) < 0)
		return -1;
	ZSTD_CCtx_reset(w->cctx, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(w->cctx, ZSTD_c_compressionLevel, LEVEL);
	uint64_t total = 0;
	uint32_t seen = 0;
	for (const struct manifest_change *change = list; seen < count; change++) {
		if (change->from != CHANGE_CARRIED)
			continue;
		total += change->new_->size;
		seen++;
	}
	ZSTD_CCtx_setPledgedSrcSize(w->cctx, total);
	for (; count > 0; list++) {
		if (list->from != CHANGE_CARRIED)
			continue;
		AUTO(buf) struct buf content = {0};
		if (fetch_new(w, list->new_, &content, err) < 0)
			return -1;
		count--;
		if (stream(w, buf_bytes(&content), count ? ZSTD_e_continue : ZSTD_e_end, err) < 0)
			return -1;
	}
	return 0;
}

static int write_patch(struct writer *w, const struct manifest_change *change, struct err *err)
{
	AUTO(buf) struct buf old = {0};
	struct err why = ERR_INIT;
	if (w->old_source->fetch(w->old_source->user, change->old, &old, &why) < 0) {
		if (why.code == ERR_NOT_FOUND)
			return write_whole(w, change, 1, err);
		if (err)
			*err = why;
		return -1;
	}
	struct digest digest = digest_of(old.data, old.len);
	if (!digest_equal(&digest, &change->old->digest))
		return write_whole(w, change, 1, err);
	AUTO(buf) struct buf content = {0};
	AUTO(buf) struct buf frame = {0};
	if (fetch_new(w, change->new_, &content, err) < 0 ||
		compress_patch(w, buf_bytes(&old), buf_bytes(&content), &frame, err) < 0)
		return -1;
	uint8_t head[9] = {BUNDLE_PATCH};
	put_u64(head + 1, frame.len);
	return put(w, head, sizeof(head), err) < 0 ? -1 : put(w, frame.data, frame.len, err);
}

static int write_contents(struct writer *w, const struct changes *changes, struct err *err)
{
	for (size_t i = 0; i < changes->count;) {
		const struct manifest_change *change = &changes->list[i];
		if (change->from != CHANGE_CARRIED) {
			i++;
		} else if (w->old_source && may_patch(change)) {
			if (write_patch(w, change, err) < 0)
				return -1;
			i++;
		} else {
			uint32_t count = 0;
			for (; i < changes->count; i++) {
				const struct manifest_change *next = &changes->list[i];
				if (next->from != CHANGE_CARRIED)
					continue;
				if (w->old_source && may_patch(next))
					break;
				count++;
			}
			if (write_whole(w, change, count, err) < 0)
				return -1;
		}
	}
	return 0;
}

static int write_head(struct writer *w, const struct manifest *base, const struct manifest *target,
	struct err *err)
{
	AUTO(buf) struct buf old = {0};
	AUTO(buf) struct buf wire = {0};
	AUTO(buf) struct buf frame = {0};
	manifest_encode(target, &wire);
	if (base)
		manifest_encode(base, &old);
	if (old.len > BUNDLE_PREFIX_MAX || wire.len > BUNDLE_PREFIX_MAX)
		buf_clear(&old);
	uint8_t head[BUNDLE_HEADER_SIZE] = {0};
	memcpy(head, bundle_magic, BUNDLE_MAGIC_SIZE);
	if (base)
		memcpy(head + BUNDLE_MAGIC_SIZE, base->digest.bytes, DIGEST_SIZE);
	memcpy(head + BUNDLE_MAGIC_SIZE + DIGEST_SIZE, target->digest.bytes, DIGEST_SIZE);
	put_u32(head + BUNDLE_HEADER_SIZE - 4, (uint32_t)wire.len);
	if (compress_patch(w, buf_bytes(&old), buf_bytes(&wire), &frame, err) < 0 ||
		put(w, head, sizeof(head), err) < 0)
		return -1;
	return put(w, frame.data, frame.len, err);
}

int bundle_write(const struct manifest *base, const struct manifest *target,
	const struct bundle_source *old_source, const struct bundle_source *new_source, int fd,
	struct bundle_info *ret, struct err *err)
{
	AUTO(writer)
	struct writer w = {.fd = fd, .old_source = old_source, .new_source = new_source};
	AUTO(changes) struct changes changes = {0};
	hasher_init(&w.hasher);
	w.cctx = ZSTD_createCCtx();
	if (!w.cctx)
		return err_set(err, ERR_LIMIT, "no memory to compress the bundle");
	if (changes_find(base, target, &changes, err) < 0 ||
		write_head(&w, base, target, err) < 0 || write_contents(&w, &changes, err) < 0 ||
		flush(&w, err) < 0)
		return -1;
	*ret = (struct bundle_info){
		.digest = hasher_final(&w.hasher),
		.bytes = w.bytes,
		.files_changed = (uint32_t)changes.count,
		.content_bytes = changes.carried_bytes,
	};
	return 0;
}
