#include "common/evidence/audit_feed.h"

#include "tests/unit/common/evidence/world.h"

static void begin(const struct world *w, struct audit_feed *feed)
{
	const struct audit_setup setup = {
		.host = signing_key_public(w->host), .app = "shop", .environment = "production"};
	audit_init(&feed->audit, &setup);
}

static void feed_piece(struct audit_feed *feed, const char *file, struct bytes bytes)
{
	Fairlead__V1__AuditChunk chunk = FAIRLEAD__V1__AUDIT_CHUNK__INIT;
	chunk.file = pb_str(file);
	chunk.data = pb_borrow(bytes.data, bytes.len);
	audit_feed_take(feed, &chunk);
}

static void feed_from(struct audit_feed *feed, const char *file, struct bytes bytes, size_t piece)
{
	for (size_t at = 0; at < bytes.len; at += piece)
		feed_piece(feed, file,
			BYTES(bytes.data + at, bytes.len - at < piece ? bytes.len - at : piece));
}

static void pieces_of_any_size_are_one_file(void **state)
{
	(void)state;
	static const size_t pieces[] = {1, 7, 100, 1 << 20};
	AUTO(world) struct world w;
	world_two(&w);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		AUTO(audit_feed) struct audit_feed feed = {0};
		begin(&w, &feed);
		feed_from(&feed, "journal", buf_bytes(&w.bytes), pieces[i]);
		audit_feed_end(&feed);
		assert_int_equal(feed.audit.finding.record, 0);
		assert_int_equal(feed.audit.receipts, 2);
		assert_int_equal(feed.audit.segments, 1);
	}
}

static void what_does_not_fit_is_named_by_its_file(void **state)
{
	(void)state;
	AUTO(world) struct world w;
	AUTO(audit_feed) struct audit_feed feed = {0};
	world_two(&w);
	begin(&w, &feed);
	feed_from(&feed, "journal.000001", buf_bytes(&w.bytes), 50);
	feed_from(&feed, "journal", world_record(&w, 1), 50); /* it does not follow */
	audit_feed_end(&feed);
	assert_int_equal(feed.audit.finding.record, w.chain.number + 1);
	assert_string_equal(feed.audit.finding.file, "journal");
	/* Nothing is kept of what comes behind. */
	feed_from(&feed, "more", buf_bytes(&w.bytes), 50);
	assert_int_equal(feed.content.len, 0);
}

static void nothing_at_all_is_no_file(void **state)
{
	(void)state;
	AUTO(world) struct world w;
	AUTO(audit_feed) struct audit_feed feed = {0};
	world_init(&w);
	begin(&w, &feed);
	audit_feed_end(&feed);
	assert_int_equal(feed.audit.segments, 0);
	assert_int_equal(feed.audit.finding.record, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_of_any_size_are_one_file),
		cmocka_unit_test(what_does_not_fit_is_named_by_its_file),
		cmocka_unit_test(nothing_at_all_is_no_file),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
