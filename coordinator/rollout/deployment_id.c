#include "coordinator/rollout/deployment_id.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static const char context[] = "fairlead/attempt/v1";

void deployment_id_of_attempt(const uint8_t id[static DEPLOYMENT_ID_SIZE], unsigned attempt,
	uint8_t ret[static DEPLOYMENT_ID_SIZE])
{
	crypto_generichash_state state;
	const uint8_t number = (uint8_t)attempt;
	assert(attempt < DEPLOYMENT_ATTEMPTS_MAX);
	if (attempt == 0) {
		memcpy(ret, id, DEPLOYMENT_ID_SIZE);
		return;
	}
	crypto_generichash_init(&state, NULL, 0, DEPLOYMENT_ID_SIZE);
	crypto_generichash_update(&state, (const uint8_t *)context, sizeof(context));
	crypto_generichash_update(&state, id, DEPLOYMENT_ID_SIZE);
	crypto_generichash_update(&state, &number, 1);
	crypto_generichash_final(&state, ret, DEPLOYMENT_ID_SIZE);
}

unsigned deployment_id_attempt(
	const uint8_t id[static DEPLOYMENT_ID_SIZE], const ProtobufCBinaryData *said)
{
	unsigned attempt = 0;
	uint8_t own[DEPLOYMENT_ID_SIZE];
	if (said->len != DEPLOYMENT_ID_SIZE)
		return DEPLOYMENT_ATTEMPTS_MAX;
	for (; attempt < DEPLOYMENT_ATTEMPTS_MAX; attempt++) {
		deployment_id_of_attempt(id, attempt, own);
		if (memcmp(own, said->data, sizeof(own)) == 0)
			break;
	}
	return attempt;
}

char *deployment_id_hex(
	const uint8_t id[static DEPLOYMENT_ID_SIZE], char hex[static DEPLOYMENT_ID_HEX_SIZE])
{
	return sodium_bin2hex(hex, DEPLOYMENT_ID_HEX_SIZE, id, DEPLOYMENT_ID_SIZE);
}

int deployment_id_check(const char *prefix, struct err *err)
{
	size_t len = prefix ? strlen(prefix) : 1;
	if (!prefix || (len > 0 && len < DEPLOYMENT_ID_HEX_SIZE &&
			       strspn(prefix, "0123456789abcdef") == len))
		return 0;
	err_set(err, ERR_USAGE, "'%.80s' is not the id of a deployment", prefix);
	return err_hint(err,
		"An id has %d hex digits, 0-9 and a-f; the first of them will do. `fairlead "
		"deploy` says it when it begins, `fairlead history --json` afterwards.",
		DEPLOYMENT_ID_HEX_SIZE - 1);
}
