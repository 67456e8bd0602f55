/* Ed25519 signing keys (RFC 8032, libsodium crypto_sign): of hosts, operators and CI.
 *
 * Secrets live in sodium_malloc memory and in files of mode 0600 that are refused when group or
 * others can read them. A public key is written "ed25519:" + base64 (standard alphabet, padded).
 * Callers have run sodium_init(). Any thread; a struct signing_key is immutable once made. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"

#include <sodium.h>
#include <stdbool.h>

enum {
	KEY_PUBLIC_SIZE = crypto_sign_PUBLICKEYBYTES,
	KEY_SIGNATURE_SIZE = crypto_sign_BYTES,
	KEY_ID_SIZE = 8,
	KEY_TEXT_SIZE = 64, /* "ed25519:" + 44 + NUL, rounded up */
};

struct public_key {
	uint8_t bytes[KEY_PUBLIC_SIZE];
};

struct signature {
	uint8_t bytes[KEY_SIGNATURE_SIZE];
};

/* BLAKE2b-256 of the public key, its first 8 bytes. */
struct key_id {
	uint8_t bytes[KEY_ID_SIZE];
};

struct signing_key; /* secret */

/* What a signature is for: each purpose signs "<context>\0" || data, so that no signature can be
 * used for another purpose. The strings stand in key.c and docs/protocol.md. */
enum key_context {
	KEY_CONTEXT_LINK_INITIATOR, /* fairlead/link/initiator/v1 */
	KEY_CONTEXT_LINK_RESPONDER, /* fairlead/link/responder/v1 */
	KEY_CONTEXT_COMMAND,        /* fairlead/command/v1 */
	KEY_CONTEXT_RECEIPT,        /* fairlead/receipt/v1 */
	KEY_CONTEXT_COUNT
};

struct signing_key *signing_key_new(void);
struct signing_key *signing_key_from_seed(const uint8_t seed[static crypto_sign_SEEDBYTES]);
void signing_key_free(struct signing_key *key); /* zeroes; NULL is fine */
void cleanup_signing_key(struct signing_key **key);
#define AUTO_SIGNING_KEY __attribute__((cleanup(cleanup_signing_key)))

/* The file holds one line "fairlead-ed25519-seed:" + base64 and a comment line with the public key.
 * Load: ERR_NOT_FOUND, ERR_DENIED (readable by group or others, or not a plain file), ERR_CONFIG.
 * Save: creates with O_EXCL, mode 0600; ERR_EXISTS when there is one. Both may block on disk. */
int signing_key_load(const char *path, struct signing_key **ret, struct err *err);
int signing_key_save(const struct signing_key *key, const char *path, struct err *err);

const struct public_key *signing_key_public(const struct signing_key *key);
struct signature signing_key_sign(
	const struct signing_key *key, enum key_context context, struct bytes data);
bool public_key_verify(const struct public_key *key, enum key_context context, struct bytes data,
	const struct signature *signature);

struct key_id public_key_id(const struct public_key *key);
bool public_key_equal(const struct public_key *a, const struct public_key *b);
char *public_key_text(const struct public_key *key, char text[static KEY_TEXT_SIZE]);
/* "ed25519:…"; ERR_CONFIG with what is wrong otherwise. */
int public_key_parse(const char *text, struct public_key *ret, struct err *err);
