/* Every message of proto/, so that none can be forgotten (messages.cmake lists them as MESSAGES),
 * and bytes of each that unpack. */
#pragma once

#include "common/base/buf.h"
#include "common/base/mem.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "messages-generated.h"

/* A message with something in every field; its own sub-messages only so deep. */
static inline void message_fill(
	const ProtobufCMessageDescriptor *desc, struct buf *out, unsigned depth)
{
	for (unsigned i = 0; i < desc->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &desc->fields[i];
		AUTO(buf) struct buf inner = {0};
		bool message = field->type == PROTOBUF_C_TYPE_MESSAGE;
		bool sized = message || field->type == PROTOBUF_C_TYPE_STRING ||
			     field->type == PROTOBUF_C_TYPE_BYTES;
		if (message && depth > 0)
			message_fill(field->descriptor, &inner, depth - 1);
		else if (sized && !message)
			buf_append_str(&inner, "x");
		unsigned key = field->id << 3 | (sized ? 2 : 0);
		if (key >= 0x80)
			buf_append(out, &(uint8_t){(uint8_t)(key | 0x80)}, 1);
		buf_append(out, &(uint8_t){(uint8_t)(key >= 0x80 ? key >> 7 : key)}, 1);
		if (inner.len >= 0x80)
			buf_append(out, &(uint8_t){(uint8_t)(inner.len | 0x80)}, 1);
		uint8_t last = (uint8_t)(!sized              ? 1
					 : inner.len >= 0x80 ? inner.len >> 7
							     : inner.len);
		buf_append(out, &last, 1);
		buf_append(out, inner.data, inner.len);
	}
}
