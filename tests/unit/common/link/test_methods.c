/* The table of methods against what protoc itself says about agent.proto: a FileDescriptorSet
 * (google/protobuf/descriptor.proto), of which only the few fields needed here are read. */
#include "common/base/mem.h"
#include "common/link/methods.h"
#include "common/os/file.h"

#include <setjmp.h>
#include <stdbool.h>

#include <cmocka.h>

/* Field numbers of descriptor.proto. */
enum { SET_FILE = 1, FILE_SERVICE = 6, SERVICE_METHOD = 2 };
enum { METHOD_NAME = 1, METHOD_CLIENT_STREAMING = 5, METHOD_SERVER_STREAMING = 6 };

struct field {
	unsigned number;
	uint64_t value;     /* varint */
	struct bytes bytes; /* length-delimited */
};

static uint64_t next_varint(struct bytes *in)
{
	uint64_t value = 0;
	for (unsigned shift = 0;; shift += 7) {
		assert_true(in->len > 0 && shift < 64);
		uint8_t byte = *in->data++;
		in->len--;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
}

static bool next_field(struct bytes *in, struct field *ret)
{
	if (in->len == 0)
		return false;
	uint64_t tag = next_varint(in);
	*ret = (struct field){.number = (unsigned)(tag >> 3)};
	assert_true((tag & 7) == 0 || (tag & 7) == 2);
	ret->value = next_varint(in);
	if ((tag & 7) == 0)
		return true;
	assert_true(ret->value <= in->len);
	ret->bytes = BYTES(in->data, ret->value);
	in->data += ret->value;
	in->len -= ret->value;
	return true;
}

static void check_method(struct bytes method, unsigned index)
{
	char name[64] = "";
	bool client = false, server = false;
	for (struct field field; next_field(&method, &field);) {
		if (field.number == METHOD_NAME)
			snprintf(name, sizeof(name), "%.*s", (int)field.bytes.len,
				(const char *)field.bytes.data);
		client |= field.number == METHOD_CLIENT_STREAMING && field.value;
		server |= field.number == METHOD_SERVER_STREAMING && field.value;
	}
	assert_false(client && server); /* there is no kind for both */
	assert_non_null(methods[index].name);
	assert_string_equal(methods[index].name, name);
	enum method_kind kind = client   ? METHOD_CLIENT_STREAM
				: server ? METHOD_SERVER_STREAM
					 : METHOD_UNARY;
	if (methods[index].kind != kind)
		fail_msg("%s is of another kind in agent.proto", name);
}

static void the_table_matches_protoc(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	AUTO(buf) struct buf set = {0};
	assert_int_equal(
		file_read(AT_FDCWD, BIN_DIR "/../proto/agent.descriptor", 1 << 20, &set, &err), 0);
	struct bytes files = buf_bytes(&set);
	unsigned count = 0;
	for (struct field file; next_field(&files, &file);) {
		struct bytes rest = file.bytes;
		for (struct field part; file.number == SET_FILE && next_field(&rest, &part);) {
			struct bytes service = part.bytes;
			for (struct field f;
				part.number == FILE_SERVICE && next_field(&service, &f);)
				if (f.number == SERVICE_METHOD)
					check_method(f.bytes, count++);
		}
	}
	assert_true(count > 0);
	assert_null(methods[count].name);
}

static void every_method_is_found_by_path_and_action(void **state)
{
	(void)state;
	char path[METHOD_PATH_SIZE];
	for (const struct method *method = methods; method->name; method++) {
		assert_ptr_equal(method_find(method_path(method, path)), method);
		assert_ptr_equal(method_of_action(method->action), method);
		assert_non_null(method_request(method));
		assert_non_null(method_reply(method));
	}
	assert_string_equal(method_path(&methods[0], path), "/fairlead.v1.Agent/Describe");
	static const char *const others[] = {"", "/", "Describe", "/fairlead.v1.Agent",
		"/fairlead.v1.Agent/", "/fairlead.v1.Agent/describe",
		"/fairlead.v1.AgentX/Describe", "/fairlead.v1.Agent/Describe/"};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_null(method_find(others[i]));
	assert_null(method_of_action(FAIRLEAD__V1__ACTION__ACTION_UNSPECIFIED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_matches_protoc),
		cmocka_unit_test(every_method_is_found_by_path_and_action),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
