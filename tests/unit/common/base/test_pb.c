#include "common/base/mem.h"
#include "common/base/pb.h"
#include "fairlead/v1/command.pb-c.h"

#include <setjmp.h>
#include <stdbool.h>

#include <cmocka.h>

/* Unpacks as a Command, by pb_unpack and pb_unpack_canonical. */
static void check(const char *bytes, size_t len, bool parses, bool canonical)
{
	const ProtobufCMessageDescriptor *desc = &fairlead__v1__command__descriptor;
	ProtobufCMessage *message = NULL;
	struct err err = ERR_INIT;
	assert_int_equal(pb_unpack(desc, BYTES(bytes, len), &message, &err) == 0, parses);
	if (parses)
		pb_free(message);
	err = ERR_INIT;
	bool is = pb_unpack_canonical(desc, BYTES(bytes, len), &message, &err) == 0;
	assert_int_equal(is, canonical);
	if (is)
		pb_free(message);
	else
		assert_int_equal(err.code, ERR_INVALID);
}
#define CHECK(bytes, parses, canonical) check((bytes), sizeof(bytes) - 1, (parses), (canonical))

static void one_spelling_is_canonical(void **state)
{
	(void)state;
	CHECK("", true, true);
	CHECK("\x08\x02", true, true);
	CHECK("\x08\x82\x00", true, false);      /* a longer varint */
	CHECK("\x08\x00", true, false);          /* a default, written out */
	CHECK("\x08\x01\x08\x02", true, false);  /* a scalar twice */
	CHECK("\x1a\x01x\x08\x02", true, false); /* out of order */
	CHECK("\x08", false, false);
}

static void unknown_fields_are_not_canonical_however_deep(void **state)
{
	(void)state;
	CHECK("\xf8\x06\x01", true, false);                         /* Command.111 */
	CHECK("\x52\x00", true, true);                              /* Prepare, empty */
	CHECK("\x52\x03\xf8\x06\x01", true, false);                 /* Prepare.111 */
	CHECK("\x52\x02\x5a\x00", true, true);                      /* with an empty service */
	CHECK("\x52\x05\x5a\x03\xf8\x06\x01", true, false);         /* ServicePlan.111 */
	CHECK("\x52\x07\x5a\x00\x5a\x03\xf8\x06\x01", true, false); /* of the second */
}

/* pb_copy packs and unpacks what came from outside: it must never be asked for the impossible. */
static void field_zero_is_refused_however_it_is_spelled(void **state)
{
	(void)state;
	CHECK("\x00\x01", false, false);
	CHECK("\x80\x00\x01", false, false);
	CHECK("\x52\x03\x80\x00\x01", false, false);
	CHECK("\x52\x05\x5a\x03\x80\x00\x01", false, false);
}

/* A length that would wrap around when something is added to it. */
static void lengths_near_the_top_are_refused(void **state)
{
	(void)state;
	CHECK("\x1a\xf0\xff\xff\xff\xff\xff\xff\xff\xff\x01x", false, false); /* 2^64 - 16 */
	CHECK("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", false, false); /* 2^64 - 1 */
	CHECK("\x1a\xf0\xff\xff\xff\x0fx", false, false);                     /* 2^32 - 16 */
	CHECK("\x1a\xff\xff\xff\xff\x07x", false, false);                     /* 2^31 - 1 */
	CHECK("\x52\x0b\x5a\xf0\xff\xff\xff\xff\xff\xff\xff\xff\x01", false, false);
}

/* Two bytes of wire for each empty service, and a hundred times as many in memory. */
static void what_swells_is_capped(void **state)
{
	(void)state;
	AUTO(buf) struct buf wire = {0};
	ProtobufCMessage *message = NULL;
	struct err err = ERR_INIT;
	while (wire.len < PB_WIRE_MAX)
		buf_append(&wire, "\x5a\x00", 2);
	const ProtobufCMessageDescriptor *desc = &fairlead__v1__prepare__descriptor;
	assert_int_equal(pb_unpack(desc, buf_bytes(&wire), &message, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_null(message);
	wire.len = 2000;
	assert_int_equal(pb_unpack(desc, buf_bytes(&wire), &message, &err), 0);
	pb_free(message);
	wire.len = PB_WIRE_MAX;
	buf_append(&wire, "\x5a\x00", 2);
	assert_int_equal(pb_unpack(desc, buf_bytes(&wire), &message, &err), -1);
	assert_non_null(strstr(err.message, "at most"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_spelling_is_canonical),
		cmocka_unit_test(field_zero_is_refused_however_it_is_spelled),
		cmocka_unit_test(lengths_near_the_top_are_refused),
		cmocka_unit_test(what_swells_is_capped),
		cmocka_unit_test(unknown_fields_are_not_canonical_however_deep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
