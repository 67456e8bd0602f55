#include "common/base/digest.h"

void hasher_init(struct hasher *hasher)
{
	crypto_generichash_init(&hasher->state, NULL, 0, DIGEST_SIZE);
}

void hasher_update(struct hasher *hasher, const void *data, size_t len)
{
	if (len)
		crypto_generichash_update(&hasher->state, data, len);
}

struct digest hasher_final(struct hasher *hasher)
{
	struct digest d;
	crypto_generichash_final(&hasher->state, d.bytes, DIGEST_SIZE);
	return d;
}

struct digest digest_of(const void *data, size_t len)
{
	struct hasher hasher;
	hasher_init(&hasher);
	hasher_update(&hasher, data, len);
	return hasher_final(&hasher);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

bool digest_is_zero(const struct digest *d)
{
	return sodium_is_zero(d->bytes, DIGEST_SIZE);
}

char *digest_hex(const struct digest *d, char hex[static DIGEST_HEX_SIZE])
{
	return sodium_bin2hex(hex, DIGEST_HEX_SIZE, d->bytes, DIGEST_SIZE);
}

bool digest_from_hex(const char *hex, struct digest *ret)
{
	struct digest d;
	size_t len = 0;
	if (strlen(hex) != DIGEST_HEX_SIZE - 1 ||
		sodium_hex2bin(d.bytes, DIGEST_SIZE, hex, DIGEST_HEX_SIZE - 1, NULL, &len, NULL) ||
		len != DIGEST_SIZE)
		return false;
	*ret = d;
	return true;
}

bool digest_from_bytes(const uint8_t *data, size_t len, struct digest *ret)
{
	if (len != 0 && len != DIGEST_SIZE)
		return false;
	*ret = (struct digest){0};
	if (len)
		memcpy(ret->bytes, data, DIGEST_SIZE);
	return true;
}
