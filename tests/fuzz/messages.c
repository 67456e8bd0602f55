/* Every protobuf message, through the capped allocator.
 *
 * Input: the message's index, then its bytes. What unpacks keeps its bytes from the second
 * packing on; what is canonical packs to the very bytes it came in, and has no unknown field,
 * however deep. */
#include "tests/messages.h"
#include "common/base/pb.h"
#include "tests/fuzz/fuzz.h"

static const ProtobufCMessageDescriptor *const descriptors[] = {MESSAGES};

static bool has_unknown(const ProtobufCMessage *message);

static bool field_has_unknown(
	const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const char *base = (const char *)message;
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return false;
	ProtobufCMessage *const *list;
	memcpy(&list, base + field->offset, sizeof(list));
	if (field->label != PROTOBUF_C_LABEL_REPEATED)
		return list && has_unknown((const ProtobufCMessage *)(const void *)list);
	size_t count;
	memcpy(&count, base + field->quantifier_offset, sizeof(count));
	for (size_t i = 0; i < count; i++)
		if (has_unknown(list[i]))
			return true;
	return false;
}

static bool has_unknown(const ProtobufCMessage *message)
{
	if (message->n_unknown_fields)
		return true;
	for (unsigned i = 0; i < message->descriptor->n_fields; i++)
		if (field_has_unknown(message, &message->descriptor->fields[i]))
			return true;
	return false;
}

static void check_stable(const ProtobufCMessageDescriptor *desc, const ProtobufCMessage *message)
{
	AUTO(buf) struct buf once = {0}, twice = {0};
	ProtobufCMessage *copy = pb_copy(message), *again = NULL;
	pb_pack(message, &once);
	pb_pack(copy, &twice);
	pb_free(copy);
	MUST(fuzz_same(buf_bytes(&once), buf_bytes(&twice)));
	struct err err = ERR_INIT;
	if (pb_unpack(desc, buf_bytes(&once), &again, &err) == 0)
		pb_free(again);
	else
		MUST(err.code == ERR_LIMIT);
}

static void check_canonical(const ProtobufCMessageDescriptor *desc, struct bytes in)
{
	ProtobufCMessage *message = NULL;
	struct err err = ERR_INIT;
	if (pb_unpack_canonical(desc, in, &message, &err) < 0) {
		MUST(err.code == ERR_INVALID || err.code == ERR_LIMIT);
		return;
	}
	AUTO(buf) struct buf again = {0};
	pb_pack(message, &again);
	MUST(fuzz_same(buf_bytes(&again), in));
	MUST(!has_unknown(message));
	pb_free(message);
}

void fuzz_one(struct bytes in)
{
	const ProtobufCMessageDescriptor *desc = descriptors[fuzz_u8(&in) % ARRAY_LEN(descriptors)];
	ProtobufCMessage *message = NULL;
	if (pb_unpack(desc, in, &message, NULL) == 0) {
		check_stable(desc, message);
		pb_free(message);
	}
	check_canonical(desc, in);
}

void fuzz_seeds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(descriptors); i++) {
		AUTO(buf) struct buf seed = {0};
		buf_append(&seed, &(uint8_t){(uint8_t)i}, 1);
		message_fill(descriptors[i], &seed, 2);
		fuzz_seed(descriptors[i]->short_name, buf_bytes(&seed));
	}
}
