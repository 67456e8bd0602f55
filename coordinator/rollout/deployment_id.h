/* The id of a deployment: 16 random bytes, the same on all its hosts, by which everyone knows it.
 *
 * To a host an id stands for one command for ever. When a host must be asked to prepare a second
 * time (its upload broke off, or everything is sent instead of a difference), the command gets an
 * id that is derived from the first, so that whoever knows the one recognises the other. Pure. */
#pragma once

#include "common/base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

enum {
	DEPLOYMENT_ID_SIZE = 16,
	DEPLOYMENT_ID_HEX_SIZE = 2 * DEPLOYMENT_ID_SIZE + 1,
	DEPLOYMENT_ATTEMPTS_MAX = 8, /* on one host */
};

/* The id of an attempt below DEPLOYMENT_ATTEMPTS_MAX; attempt 0 has the deployment's own. */
void deployment_id_of_attempt(const uint8_t id[static DEPLOYMENT_ID_SIZE], unsigned attempt,
	uint8_t ret[static DEPLOYMENT_ID_SIZE]);
/* Which attempt `said` is; DEPLOYMENT_ATTEMPTS_MAX when it is none of this deployment. */
unsigned deployment_id_attempt(
	const uint8_t id[static DEPLOYMENT_ID_SIZE], const ProtobufCBinaryData *said);
char *deployment_id_hex(
	const uint8_t id[static DEPLOYMENT_ID_SIZE], char hex[static DEPLOYMENT_ID_HEX_SIZE]);
/* Can this be the beginning of an id, as people write it? ERR_USAGE says what form one has. NULL,
 * for whoever named none, is fine. */
int deployment_id_check(const char *prefix, struct err *err);
