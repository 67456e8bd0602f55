/* Protobuf messages from outside, unpacked within limits.
 *
 * One MiB of wire can cost 72 times as much heap, so every foreign message goes through a
 * capped allocator. Not thread-safe per message; no shared state. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"

#include <protobuf-c/protobuf-c.h>

/* Control messages: at most this much wire, and at most this much heap once unpacked. */
enum { PB_WIRE_MAX = 256 * 1024, PB_HEAP_MAX = 4 * 1024 * 1024 };

/* Unpack `in` as a `desc`; ERR_LIMIT if it is over the limits, ERR_INVALID if it does not parse.
 * Own the result; free with pb_free. Unknown fields are kept (a newer peer). */
int pb_unpack(const ProtobufCMessageDescriptor *desc, struct bytes in, ProtobufCMessage **ret,
	struct err *err);
/* The same, but ERR_INVALID unless packing the message again gives the very same bytes: rejects
 * unknown fields, duplicate scalars, and every other second spelling. For signed payloads. */
int pb_unpack_canonical(const ProtobufCMessageDescriptor *desc, struct bytes in,
	ProtobufCMessage **ret, struct err *err);
void pb_free(ProtobufCMessage *message);
/* Append the packed message. */
void pb_pack(const ProtobufCMessage *message, struct buf *out);

/* PB_UNPACK(fairlead__v1__command, bytes, &command, err), with Fairlead__V1__Command *command. */
#define PB_UNPACK(type, in, ret, err)                                                              \
	pb_unpack(&type##__descriptor, (in), (ProtobufCMessage **)(void *)(ret), (err))
#define PB_PACK(message, out) pb_pack(&(message)->base, (out))
#define PB_BYTES(field) ((struct bytes){.data = (field).data, .len = (field).len})
/* A bytes field that borrows memory; protobuf-c never writes through it when packing. */
static inline ProtobufCBinaryData pb_borrow(const void *data, size_t len)
{
	union {
		const void *in;
		uint8_t *out;
	} borrowed = {.in = data};
	return (ProtobufCBinaryData){.len = len, .data = borrowed.out};
}
/* A string field that borrows memory, likewise. */
static inline char *pb_str(const char *s)
{
	union {
		const char *in;
		char *out;
	} borrowed = {.in = s};
	return borrowed.out;
}

/* Fields of messages made by hand that pb_free will free: *_init the message on the heap, then
 * replace its fields with copies. */
void pb_set_str(char **field, const char *value);
void pb_set_bytes(ProtobufCBinaryData *field, const void *data, size_t len);
/* A deep copy, through the packed form; never fails for messages of our own. */
ProtobufCMessage *pb_copy(const ProtobufCMessage *message);
#define PB_COPY(type, message) ((type *)(void *)pb_copy(&(message)->base))
