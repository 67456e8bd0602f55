/* Private to common/release: the bundle format, version 1. Integers are little-endian.
 *
 *     8   "FLBUNDL" and the version byte 1
 *     32  digest of the base manifest; zero: none
 *     32  digest of the target manifest
 *     4   size of the encoded target manifest
 *     n   the encoded target manifest, one zstd frame, with the encoded base manifest as prefix
 *         (none when there is no base or either is larger than BUNDLE_PREFIX_MAX)
 *
 * then the carried contents (changes.h) in path order, in groups:
 *
 *     1   0: whole    4  number of contents, at least 1
 *                     n  these contents one after the other, one zstd frame
 *     1   1: patch    8  size of the frame
 *                     n  one content, one zstd frame with the file of base at the same path as
 *                        prefix; both at most BUNDLE_PREFIX_MAX
 *
 * Nothing follows the last group. Contents share a frame because thousands of small files
 * compress far better together; the size of each is in the manifest. A patch has its size
 * in front so that a host that has no use for it can pass over it. Frames need a window of at
 * most 2^27 bytes (zstd's default limit for readers), have no dictionary id and no checksum: the
 * manifest's digests check more. */
#pragma once

#include "common/base/digest.h"

#include <stdint.h>
#include <zstd.h>

enum {
	BUNDLE_MAGIC_SIZE = 8,
	BUNDLE_HEADER_SIZE = BUNDLE_MAGIC_SIZE + 2 * DIGEST_SIZE + 4,
	BUNDLE_WHOLE = 0,
	BUNDLE_PATCH = 1,
	BUNDLE_WINDOW_LOG_MAX = 27,
};

static const uint8_t bundle_magic[BUNDLE_MAGIC_SIZE] = {'F', 'L', 'B', 'U', 'N', 'D', 'L', 1};
