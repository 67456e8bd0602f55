/* BLAKE2b-256 digests (RFC 7693, through libsodium's crypto_generichash): the names of files,
 * manifests and bundles. Callers have run sodium_init(). Plain data, any thread. */
#pragma once

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_SIZE = 32, DIGEST_HEX_SIZE = 2 * DIGEST_SIZE + 1 };

struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

struct hasher {
	crypto_generichash_state state;
};

void hasher_init(struct hasher *hasher);
void hasher_update(struct hasher *hasher, const void *data, size_t len);
struct digest hasher_final(struct hasher *hasher);
struct digest digest_of(const void *data, size_t len);

bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *d); /* zero stands for "none" */
/* 64 lower-case hex digits and a NUL; returns hex. */
char *digest_hex(const struct digest *d, char hex[static DIGEST_HEX_SIZE]);
/* Exactly 64 hex digits; false otherwise, *ret untouched. */
bool digest_from_hex(const char *hex, struct digest *ret);
/* From a protobuf bytes field: true for 32 bytes; an empty field gives the zero digest. */
bool digest_from_bytes(const uint8_t *data, size_t len, struct digest *ret);
