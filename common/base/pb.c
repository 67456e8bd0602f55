#include "common/base/pb.h"

#include "common/base/mem.h"

#include <stdbool.h>

struct capped {
	ProtobufCAllocator allocator;
	size_t left;
	bool refused; /* it had no memory to give, ours or the system's */
};

/* Freed memory is not given back to the cap: unpacking frees next to nothing. */
static void *capped_alloc(void *data, size_t size)
{
	struct capped *capped = data;
	void *p = size > capped->left ? NULL : malloc(size ? size : 1);
	if (p)
		capped->left -= size;
	else
		capped->refused = true;
	return p;
}

static void capped_free(void *data, void *p)
{
	(void)data;
	free(p);
}

/* What a message, or one inside of it however deep, has that its descriptor does not know. */
enum unknown { UNKNOWN_NONE, UNKNOWN_SOME, UNKNOWN_ZERO /* one of them is number 0 */ };

static enum unknown unknown_fields(const ProtobufCMessage *message);

static enum unknown worse(enum unknown a, enum unknown b)
{
	return a > b ? a : b;
}

static enum unknown unknown_in_field(
	const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const char *base = (const char *)message;
	enum unknown found = UNKNOWN_NONE;
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return UNKNOWN_NONE;
	if (field->label != PROTOBUF_C_LABEL_REPEATED) {
		const ProtobufCMessage *child;
		memcpy(&child, base + field->offset, sizeof(child));
		return child ? unknown_fields(child) : UNKNOWN_NONE;
	}
	ProtobufCMessage *const *children;
	size_t count;
	memcpy(&children, base + field->offset, sizeof(children));
	memcpy(&count, base + field->quantifier_offset, sizeof(count));
	for (size_t i = 0; i < count; i++)
		found = worse(found, unknown_fields(children[i]));
	return found;
}

static enum unknown unknown_fields(const ProtobufCMessage *message)
{
	enum unknown found = UNKNOWN_NONE;
	for (unsigned i = 0; i < message->n_unknown_fields; i++)
		found = worse(
			found, message->unknown_fields[i].tag == 0 ? UNKNOWN_ZERO : UNKNOWN_SOME);
	for (unsigned i = 0; i < message->descriptor->n_fields; i++)
		found = worse(found, unknown_in_field(message, &message->descriptor->fields[i]));
	return found;
}

int pb_unpack(const ProtobufCMessageDescriptor *desc, struct bytes in, ProtobufCMessage **ret,
	struct err *err)
{
	if (in.len > PB_WIRE_MAX)
		return err_set(err, ERR_LIMIT, "%s of %zu bytes, at most %d are accepted",
			desc->short_name, in.len, PB_WIRE_MAX);
	struct capped capped = {{capped_alloc, capped_free, NULL}, PB_HEAP_MAX, false};
	capped.allocator.allocator_data = &capped;
	ProtobufCMessage *message =
		protobuf_c_message_unpack(desc, &capped.allocator, in.len, in.data);
	if (!message && capped.refused)
		return err_set(err, ERR_LIMIT, "no memory for a %s message of %zu bytes",
			desc->short_name, in.len);
	/* protobuf-c takes field number 0 when it is spelled long, and then refuses to unpack what
	 * it packs of it. */
	if (!message || unknown_fields(message) == UNKNOWN_ZERO) {
		pb_free(message);
		return err_set(err, ERR_INVALID, "malformed %s message of %zu bytes",
			desc->short_name, in.len);
	}
	*ret = message;
	return 0;
}

/* Packed again it is `in`; no memory to see that is ERR_LIMIT. */
enum spelling { SPELLING_SAME = 0, SPELLING_OTHER = 1 };
static int compare_spelling(const ProtobufCMessage *message, struct bytes in, struct err *err)
{
	AUTO(buf) struct buf again = {0};
	if (protobuf_c_message_get_packed_size(message) != in.len)
		return SPELLING_OTHER;
	if (buf_reserve_max(&again, in.len, in.len, err) < 0)
		return -1;
	pb_pack(message, &again);
	return in.len == 0 || memcmp(again.data, in.data, in.len) == 0 ? SPELLING_SAME
								       : SPELLING_OTHER;
}

int pb_unpack_canonical(const ProtobufCMessageDescriptor *desc, struct bytes in,
	ProtobufCMessage **ret, struct err *err)
{
	ProtobufCMessage *message = NULL;
	if (pb_unpack(desc, in, &message, err) < 0)
		return -1;
	int rc = compare_spelling(message, in, err);
	/* Unknown fields are re-emitted where protobuf-c kept them, so look for them too. */
	if (rc == SPELLING_SAME && !unknown_fields(message)) {
		*ret = message;
		return 0;
	}
	pb_free(message);
	return rc < 0 ? -1
		      : err_set(err, ERR_INVALID, "%s is not in canonical form", desc->short_name);
}

void pb_free(ProtobufCMessage *message)
{
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}

void pb_pack(const ProtobufCMessage *message, struct buf *out)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	out->len += protobuf_c_message_pack(message, buf_reserve(out, size));
}

void pb_set_str(char **field, const char *value)
{
	if (*field && *field != &protobuf_c_empty_string[0])
		free(*field);
	*field = xstrdup(value);
}

void pb_set_bytes(ProtobufCBinaryData *field, const void *data, size_t len)
{
	free(field->data);
	field->data = xmemdup(data, len);
	field->len = len;
}

ProtobufCMessage *pb_copy(const ProtobufCMessage *message)
{
	AUTO(buf) struct buf packed = {0};
	pb_pack(message, &packed);
	ProtobufCMessage *copy =
		protobuf_c_message_unpack(message->descriptor, NULL, packed.len, packed.data);
	if (!copy)
		abort();
	return copy;
}
