/* The wire and disk form of a manifest, version 1. Integers are little-endian and of fixed width,
 * paths are written whole: there is one spelling only, and what it unpacks to is bounded by
 * what it takes. (Bundles compress it against the manifest before, where repetition costs
 * nothing.)
 *
 *     8   "FLMANIF" and the version byte 1
 *     4   number of entries
 *     then each entry, paths strictly ascending as unsigned bytes:
 *     2   length of the path
 *     1   mode: 0 file (0644), 1 executable (0755), 2 symbolic link
 *     8   size of the content; of a link, of its target
 *     32  BLAKE2b-256 of the content; of a link, of its target
 *     n   the path
 *
 * Nothing follows the last entry. The digest of the manifest is the BLAKE2b-256 of all of it. */
#include "common/base/mem.h"
#include "common/release/arena.h"
#include "common/release/manifest.h"

static const uint8_t magic[8] = {'F', 'L', 'M', 'A', 'N', 'I', 'F', 1};
enum { HEADER_SIZE = 12, RECORD_SIZE = 2 + 1 + 8 + DIGEST_SIZE };

static const enum manifest_mode wire_modes[] = {MANIFEST_FILE, MANIFEST_EXEC, MANIFEST_LINK};

static uint8_t mode_to_wire(enum manifest_mode mode)
{
	return mode == MANIFEST_FILE ? 0 : mode == MANIFEST_EXEC ? 1 : 2;
}

size_t manifest_encoded_size(const struct manifest *m)
{
	size_t size = HEADER_SIZE;
	for (size_t i = 0; i < m->count; i++)
		size += RECORD_SIZE + m->entries[i].path_len;
	return size;
}

void manifest_encode(const struct manifest *m, struct buf *out)
{
	size_t size = manifest_encoded_size(m);
	uint8_t *p = buf_reserve(out, size);
	memcpy(p, magic, sizeof(magic));
	put_u32(p + sizeof(magic), (uint32_t)m->count);
	p += HEADER_SIZE;
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_entry *entry = &m->entries[i];
		put_u16(p, (uint16_t)entry->path_len);
		p[2] = mode_to_wire(entry->mode);
		put_u64(p + 3, entry->size);
		memcpy(p + 11, entry->digest.bytes, DIGEST_SIZE);
		memcpy(p + RECORD_SIZE, entry->path, entry->path_len);
		p += RECORD_SIZE + entry->path_len;
	}
	out->len += size;
}

static int decode_entry(struct bytes *in, struct manifest *m, struct err *err)
{
	if (in->len < RECORD_SIZE)
		return err_set(err, ERR_INVALID, "the manifest ends within entry %zu", m->count);
	size_t path_len = get_u16(in->data);
	uint8_t mode = in->data[2];
	if (mode >= ARRAY_LEN(wire_modes))
		return err_set(err, ERR_INVALID,
			"entry %zu of the manifest has the unknown mode %u", m->count, mode);
	if (path_len > in->len - RECORD_SIZE)
		return err_set(err, ERR_INVALID, "the manifest ends within the path of entry %zu",
			m->count);
	struct digest digest;
	memcpy(digest.bytes, in->data + 11, DIGEST_SIZE);
	if (manifest_add(m, (const char *)in->data + RECORD_SIZE, path_len, wire_modes[mode],
		    get_u64(in->data + 3), &digest, err) < 0)
		return -1;
	in->data += RECORD_SIZE + path_len;
	in->len -= RECORD_SIZE + path_len;
	return 0;
}

int manifest_decode(struct bytes in, struct manifest *ret, struct err *err)
{
	if (in.len < HEADER_SIZE || in.len > MANIFEST_WIRE_MAX ||
		memcmp(in.data, magic, sizeof(magic)) != 0)
		return err_set(err, ERR_INVALID, "not a manifest of version %u", magic[7]);
	struct bytes all = in;
	size_t count = get_u32(in.data + sizeof(magic));
	in.data += HEADER_SIZE;
	in.len -= HEADER_SIZE;
	AUTO(manifest) struct manifest m = {0};
	while (m.count < count)
		if (decode_entry(&in, &m, err) < 0)
			return -1;
	if (in.len)
		return err_set(err, ERR_INVALID, "%zu bytes follow the manifest", in.len);
	if (manifest_check(&m, err) < 0)
		return -1;
	m.digest = digest_of(all.data, all.len);
	manifest_release(ret);
	*ret = m;
	m = (struct manifest){0};
	return 0;
}
