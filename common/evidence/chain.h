/* Records in a chain: each names the digest of the one before, so that none can be changed, left
 * out or moved without all that follow telling.
 *
 * One after another, little-endian:
 *
 *     u32 magic "FLJ1" | u32 payload length | u64 number | 32 bytes digest of the record before
 *     8 bytes: the head's own check, the first of its BLAKE2b-256
 *     payload: a packed JournalRecord (proto/fairlead/v1/record.proto)
 *     32 bytes BLAKE2b-256 over all of the above
 *
 * so the digest is the record's checksum and the chain's link at once; the first record follows
 * the zero digest, numbers start at 1. The chain alone shows damage; who could write the file can
 * also write the chain anew. What he cannot is a receipt (receipt.h). Pure, any thread. */
#pragma once

#include "common/base/buf.h"
#include "common/base/digest.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* The newest record; zero before the first. */
struct chain {
	uint64_t number;
	struct digest head;
};

/* Append the record that follows `chain` to out; *chain is not changed, *ret is where it then is.
 */
void chain_encode(const struct chain *chain, const ProtobufCMessage *payload, struct buf *out,
	struct chain *ret);

enum chain_verdict {
	CHAIN_RECORD,  /* *ret is filled */
	CHAIN_END,     /* nothing is left */
	CHAIN_TORN,    /* the end of an append that was cut short; nothing whole follows */
	CHAIN_DAMAGED, /* does not verify, and it is no torn end */
	CHAIN_BROKEN,  /* verifies, but does not follow: ret->before says what it would follow */
};

struct chain_record {
	struct chain before, after;
	struct bytes payload; /* borrowed from `in` */
	size_t size;          /* of the whole record */
};

/* The record at the front of `in`. It has to follow `chain`; with NULL whatever it follows will
 * do. */
enum chain_verdict chain_next(struct bytes in, const struct chain *chain, struct chain_record *ret);
