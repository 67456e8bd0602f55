/* The test vectors of docs/protocol.md: its inputs are read, every output is computed again and
 * compared, and no line of the page is left unused. */
#include "common/base/mem.h"
#include "common/link/handshake.h"
#include "common/link/session.h"
#include "common/link/status.h"
#include "common/link/wire.h"
#include "common/os/file.h"

#include <setjmp.h>

#include <cmocka.h>

enum { VECTORS_MAX = 32 };

struct vector {
	char *name;
	struct buf value;
	bool used;
};

static struct vector vectors[VECTORS_MAX];
static size_t vector_count;

/* ---- the page ---- */

static void add_vector(const char *line, size_t len)
{
	const char *equals = memmem(line, len, " = ", 3);
	if (!equals || vector_count == VECTORS_MAX)
		fail_msg("not a vector: '%.*s'", (int)len, line);
	struct vector *vector = &vectors[vector_count++];
	vector->name = xstrndup(line, (size_t)(equals - line));
	const char *hex = equals + 3;
	size_t digits = (size_t)(line + len - hex);
	uint8_t *bytes = buf_reserve(&vector->value, digits / 2 + 1);
	if (sodium_hex2bin(bytes, digits / 2, hex, digits, NULL, &vector->value.len, NULL) != 0)
		fail_msg("not hexadecimal: %s", vector->name);
}

static int read_page(void **state)
{
	(void)state;
	static const char begin[] = "\n```vectors\n";
	struct err err = ERR_INIT;
	AUTO(buf) struct buf page = {0};
	if (sodium_init() < 0 ||
		file_read(AT_FDCWD, FIXTURES "/../../docs/protocol.md", 1 << 20, &page, &err) < 0)
		return -1;
	const char *line = strstr(buf_str(&page), begin);
	if (!line)
		return -1;
	for (line += strlen(begin); strncmp(line, "```", 3) != 0; line = strchr(line, '\n') + 1)
		add_vector(line, strcspn(line, "\n"));
	return 0;
}

static int forget_page(void **state)
{
	(void)state;
	for (size_t i = 0; i < vector_count; i++) {
		buf_release(&vectors[i].value);
		free(vectors[i].name);
	}
	return 0;
}

static struct bytes input(const char *name)
{
	for (size_t i = 0; i < vector_count; i++) {
		if (strcmp(vectors[i].name, name) != 0)
			continue;
		vectors[i].used = true;
		return buf_bytes(&vectors[i].value);
	}
	return BYTES(NULL, 0);
}

static const uint8_t *input32(const char *name)
{
	struct bytes bytes = input(name);
	assert_int_equal(bytes.len, 32);
	return bytes.data;
}

static void expect(const char *name, struct bytes value)
{
	struct bytes page = input(name);
	if (page.len == value.len && memcmp(page.data, value.data, value.len) == 0)
		return;
	AUTO_FREE char *hex = xmalloc(2 * value.len + 1);
	fail_msg("docs/protocol.md differs; computed:\n%s = %s", name,
		sodium_bin2hex(hex, 2 * value.len + 1, value.data, value.len));
}

/* ---- randomness, as the page has it ---- */

static const char *fixed_name(void)
{
	return "fixed";
}

static uint32_t fixed_word(void)
{
	return 0;
}

static void fixed_bytes(void *out, const size_t len)
{
	struct bytes header = input("stream_header");
	assert_int_equal(len, header.len);
	memcpy(out, header.data, len);
}

static struct randombytes_implementation fixed = {
	.implementation_name = fixed_name,
	.random = fixed_word,
	.buf = fixed_bytes,
};

/* ---- the exchange ---- */

struct side {
	struct signing_key *key;
	struct handshake handshake;
	struct session session;
	enum key_context context;
};

static void sign(struct side *side, const char *name, struct buf *out)
{
	struct bytes transcript = BYTES(side->handshake.transcript, 32);
	expect(name, transcript);
	struct signature signature = signing_key_sign(side->key, side->context, transcript);
	handshake_signed(&side->handshake, &signature, out);
}

static struct bytes body(const struct buf *record)
{
	struct bytes body;
	struct err err = ERR_INIT;
	assert_int_equal(record_next(buf_bytes(record), LINK_FRAME_MAX, &body, &err), RECORD_WHOLE);
	assert_int_equal(body.len + RECORD_PREFIX, record->len);
	return body;
}

static void shake(struct side *i, struct side *r)
{
	struct err err = ERR_INIT;
	AUTO(buf) struct buf one = {0}, two = {0}, three = {0}, none = {0};
	handshake_init(&i->handshake, HANDSHAKE_INITIATOR, signing_key_public(i->key),
		signing_key_public(r->key), "the host", input32("initiator_ephemeral"));
	handshake_init(&r->handshake, HANDSHAKE_RESPONDER, signing_key_public(r->key), NULL,
		"the dialer", input32("responder_ephemeral"));
	handshake_start(&i->handshake, &one);
	expect("message_1", buf_bytes(&one));
	assert_int_equal(handshake_receive(&r->handshake, body(&one), &none, &err), HANDSHAKE_SIGN);
	sign(r, "transcript_responder", &two);
	expect("message_2", buf_bytes(&two));
	assert_int_equal(handshake_receive(&i->handshake, body(&two), &none, &err), HANDSHAKE_SIGN);
	sign(i, "transcript_initiator", &three);
	expect("message_3", buf_bytes(&three));
	assert_int_equal(
		handshake_receive(&r->handshake, body(&three), &none, &err), HANDSHAKE_DONE);
	assert_int_equal(none.len, 0);
	assert_true(public_key_equal(&r->handshake.peer, signing_key_public(i->key)));
}

static void send_frame(struct side *from, struct side *to, const char *name, struct frame frame,
	enum session_tag tag)
{
	struct err err = ERR_INIT;
	AUTO(buf) struct buf plain = {0}, record = {0}, opened = {0};
	bool first = from->session.sending == SESSION_NEW;
	frame_encode(&frame, &plain);
	session_seal(&from->session, buf_bytes(&plain), tag, &record);
	struct bytes rest = buf_bytes(&record), part;
	if (first) { /* the header's record is in front */
		assert_int_equal(record_next(rest, LINK_FRAME_MAX, &part, &err), RECORD_WHOLE);
		assert_int_equal(
			session_open(&to->session, part, &opened, &err), SESSION_OPENED_HEADER);
		rest = BYTES(
			rest.data + RECORD_PREFIX + part.len, rest.len - RECORD_PREFIX - part.len);
	}
	expect(name, rest);
	assert_int_equal(record_next(rest, LINK_FRAME_MAX, &part, &err), RECORD_WHOLE);
	assert_int_equal(session_open(&to->session, part, &opened, &err),
		tag == SESSION_TAG_FINAL ? SESSION_OPENED_FINAL : SESSION_OPENED_FRAME);
	assert_int_equal(opened.len, plain.len);
	assert_memory_equal(opened.data, plain.data, plain.len);
}

static void talk(struct side *i, struct side *r)
{
	AUTO(buf) struct buf open = {0}, ok = {0}, reason = {0};
	struct err err = ERR_INIT;
	open_encode("/fairlead.v1.Agent/Status", 1000, &open);
	err_set(&err, ERR_LOCKED, "held by 'ci'");
	err_hint(&err, "Wait for it.");
	status_encode(&err, &reason);
	status_encode(NULL, &ok);
	send_frame(r, i, "record_admit", (struct frame){.type = FRAME_ADMIT}, SESSION_TAG_MESSAGE);
	send_frame(i, r, "record_open",
		(struct frame){.type = FRAME_OPEN, .stream = 1, .payload = buf_bytes(&open)},
		SESSION_TAG_MESSAGE);
	send_frame(i, r, "record_data",
		(struct frame){.type = FRAME_DATA, .stream = 1, .payload = BYTES_STR("hello")},
		SESSION_TAG_MESSAGE);
	send_frame(i, r, "record_half_close", (struct frame){.type = FRAME_END, .stream = 1},
		SESSION_TAG_MESSAGE);
	send_frame(r, i, "record_end",
		(struct frame){.type = FRAME_END, .stream = 1, .payload = buf_bytes(&reason)},
		SESSION_TAG_MESSAGE);
	send_frame(i, r, "record_goaway",
		(struct frame){.type = FRAME_GOAWAY, .payload = buf_bytes(&ok)}, SESSION_TAG_FINAL);
}

static void the_page_and_the_code_agree(void **state)
{
	(void)state;
	struct side i = {.context = KEY_CONTEXT_LINK_INITIATOR},
		    r = {.context = KEY_CONTEXT_LINK_RESPONDER};
	struct session_keys keys_i, keys_r;
	i.key = signing_key_from_seed(input32("initiator_seed"));
	r.key = signing_key_from_seed(input32("responder_seed"));
	expect("initiator_key", BYTES(signing_key_public(i.key)->bytes, 32));
	expect("responder_key", BYTES(signing_key_public(r.key)->bytes, 32));
	shake(&i, &r);
	handshake_keys(&i.handshake, &keys_i);
	handshake_keys(&r.handshake, &keys_r);
	expect("traffic_initiator", BYTES(keys_i.send, 32));
	expect("traffic_responder", BYTES(keys_i.receive, 32));
	assert_memory_equal(keys_i.send, keys_r.receive, 32);
	assert_memory_equal(keys_i.receive, keys_r.send, 32);
	session_init(&i.session, &keys_i);
	session_init(&r.session, &keys_r);
	randombytes_set_implementation(&fixed);
	talk(&i, &r);
	randombytes_set_implementation(&randombytes_sysrandom_implementation);
	signing_key_free(i.key);
	signing_key_free(r.key);
	for (size_t v = 0; v < vector_count; v++)
		if (!vectors[v].used)
			fail_msg("nothing uses %s", vectors[v].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_and_the_code_agree),
	};
	return cmocka_run_group_tests(tests, read_page, forget_page);
}
