#include "tests/unit/common/evidence/world.h"

enum { RECORDS = 8 };

#define AUTO_WORLD AUTO(world) struct world

static void a_whole_journal_fits(void **state)
{
	(void)state;
	AUTO_WORLD w;
	struct audit audit;
	world_two(&w);
	assert_int_equal(audited(&w, buf_bytes(&w.bytes), AUDIT_END_WHOLE, &audit), 0);
	assert_int_equal(audit.first, 1);
	assert_int_equal(audit.chain.number, RECORDS);
	assert_int_equal(audit.receipts, 2);
}

/* Whatever bit is flipped, the record it is in is named. */
static void a_flipped_bit_is_named_at_every_byte(void **state)
{
	(void)state;
	AUTO_WORLD w;
	struct audit audit;
	world_two(&w);
	size_t record = 1;
	for (size_t at = 0; at < w.bytes.len; at++) {
		while (at >= w.ends[record])
			record++;
		w.bytes.data[at] ^= (uint8_t)(1 << at % 8);
		assert_int_equal(audited(&w, buf_bytes(&w.bytes), AUDIT_END_WHOLE, &audit), record);
		w.bytes.data[at] ^= (uint8_t)(1 << at % 8);
	}
}

static void a_record_left_out_is_named(void **state)
{
	(void)state;
	AUTO_WORLD w;
	struct audit audit;
	world_two(&w);
	for (size_t gone = 1; gone < RECORDS; gone++) {
		AUTO(buf) struct buf cut = {0};
		buf_append(&cut, w.bytes.data, w.ends[gone - 1]);
		buf_append(&cut, w.bytes.data + w.ends[gone], w.bytes.len - w.ends[gone]);
		uint64_t named = audited(&w, buf_bytes(&cut), AUDIT_END_WHOLE, &audit);
		/* Without its first record a file begins with the second, and not as one does. */
		assert_int_equal(named, gone == 1 ? 2 : gone);
	}
}

static void records_that_change_places_are_named(void **state)
{
	(void)state;
	AUTO_WORLD w;
	struct audit audit;
	world_two(&w);
	for (size_t first = 1; first < RECORDS; first++) {
		AUTO(buf) struct buf moved = {0};
		struct bytes a = world_record(&w, first), b = world_record(&w, first + 1);
		buf_append(&moved, w.bytes.data, w.ends[first - 1]);
		buf_append(&moved, b.data, b.len);
		buf_append(&moved, a.data, a.len);
		buf_append(
			&moved, w.bytes.data + w.ends[first + 1], w.bytes.len - w.ends[first + 1]);
		uint64_t named = audited(&w, buf_bytes(&moved), AUDIT_END_WHOLE, &audit);
		assert_int_equal(named, first == 1 ? 2 : first);
	}
}

static void a_cut_end_is_named_or_is_a_torn_one(void **state)
{
	(void)state;
	AUTO_WORLD w;
	struct audit audit;
	world_two(&w);
	for (size_t len = w.ends[RECORDS - 1] + 1; len < w.bytes.len; len++) {
		struct bytes cut = BYTES(w.bytes.data, len);
		assert_int_equal(audited(&w, cut, AUDIT_END_WHOLE, &audit), RECORDS);
		assert_int_equal(audited(&w, cut, AUDIT_END_MAY_BE_TORN, &audit), 0);
	}
}

/* ---- chains written anew, with right checksums ---- */

/* Every record of `w` through `change`, appended again; false leaves it out. */
static void rewrite(const struct world *w, bool (*change)(size_t, Fairlead__V1__JournalRecord *),
	struct world *ret)
{
	world_init(ret);
	for (size_t i = 1; i <= RECORDS; i++) {
		struct chain_record at;
		Fairlead__V1__JournalRecord *record = NULL;
		assert_int_equal(chain_next(world_record(w, i), NULL, &at), CHAIN_RECORD);
		assert_int_equal(
			PB_UNPACK(fairlead__v1__journal_record, at.payload, &record, NULL), 0);
		if (change(i, record))
			world_append(ret, record);
		pb_free(&record->base);
	}
}

static bool leave_out_second(size_t number, Fairlead__V1__JournalRecord *record)
{
	(void)record;
	return number != 2;
}

static bool change_second(size_t number, Fairlead__V1__JournalRecord *record)
{
	if (number == 2)
		record->unix_ms = 4711;
	return true;
}

static bool change_sixth(size_t number, Fairlead__V1__JournalRecord *record)
{
	if (number == 6)
		record->unix_ms = 4711;
	return true;
}

static bool change_outcome(size_t number, Fairlead__V1__JournalRecord *record)
{
	if (number == 7) {
		record->state = FAIRLEAD__V1__STATE__STATE_ABORTED;
		record->status->state = record->state;
	}
	return true;
}

static bool without_receipt(size_t number, Fairlead__V1__JournalRecord *record)
{
	if (number == 7) {
		pb_free(&record->status->receipt->base);
		record->status->receipt = NULL;
	}
	return true;
}

static bool without_epilogue(size_t number, Fairlead__V1__JournalRecord *record)
{
	(void)record;
	return number != 4;
}

static void a_chain_written_anew_is_seen_by_the_receipts(void **state)
{
	(void)state;
	static const struct {
		bool (*change)(size_t, Fairlead__V1__JournalRecord *);
		uint64_t named;
		const char *what;
	} cases[] = {
		{leave_out_second, 2, "vouches for another history"},
		{change_second, 3, "vouches for another history"},
		{change_sixth, 7, "vouches for another history"},
		{change_outcome, 7, "tells another outcome"},
		{without_receipt, 7, "without a receipt"},
		{without_epilogue, 6, "vouches for another history"},
	};
	AUTO_WORLD w;
	world_two(&w);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_WORLD forged;
		struct audit audit;
		rewrite(&w, cases[i].change, &forged);
		assert_int_equal(audited(&w, buf_bytes(&forged.bytes), AUDIT_END_WHOLE, &audit),
			cases[i].named);
		assert_non_null(strstr(audit.finding.what, cases[i].what));
	}
}

/* Somebody else's signature over the very same words. */
static void a_receipt_of_another_key_is_named(void **state)
{
	(void)state;
	AUTO_WORLD w, forged;
	struct audit audit;
	world_init(&w);
	world_init(&forged);
	signing_key_free(forged.host);
	static const uint8_t seed[32] = {2};
	forged.host = signing_key_from_seed(seed);
	world_deploy(&forged, "aaaaaaaaaaaaaaa");
	assert_int_equal(audited(&w, buf_bytes(&forged.bytes), AUDIT_END_WHOLE, &audit), 3);
	assert_non_null(strstr(audit.finding.what, "not by this host's key"));
}

/* Two files: the second begins with a segment record and goes on. */
static void files_follow_one_another(void **state)
{
	(void)state;
	AUTO_WORLD w;
	struct audit audit;
	world_init(&w);
	world_deploy(&w, "aaaaaaaaaaaaaaa");
	size_t first = w.bytes.len;
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	Fairlead__V1__JournalSegment segment = FAIRLEAD__V1__JOURNAL_SEGMENT__INIT;
	segment.number = 2;
	record.segment = &segment;
	world_append(&w, &record);
	world_deploy(&w, "bbbbbbbbbbbbbbb");
	struct bytes a = BYTES(w.bytes.data, first);
	struct bytes b = BYTES(w.bytes.data + first, w.bytes.len - first);
	assert_int_equal(audited(&w, a, AUDIT_END_WHOLE, &audit), 0);
	assert_int_equal(audit_file(&audit, "journal", b, AUDIT_END_WHOLE), AUDIT_FITS);
	assert_int_equal(audit.receipts, 2);
	assert_int_equal(audit.segments, 2);
	/* As one file, it begins a file in the middle of one. */
	assert_int_equal(audited(&w, buf_bytes(&w.bytes), AUDIT_END_WHOLE, &audit), 5);
	/* Without the first file it stands alone, but its receipt says that one came before. */
	assert_int_equal(audited(&w, b, AUDIT_END_WHOLE, &audit), 8);
	/* An empty one after it is a lost one. */
	audited(&w, a, AUDIT_END_WHOLE, &audit);
	assert_int_equal(
		audit_file(&audit, "journal", BYTES(NULL, 0), AUDIT_END_WHOLE), AUDIT_DOES_NOT);
	assert_int_equal(audit.finding.record, 5);
}

static void another_app_is_named(void **state)
{
	(void)state;
	AUTO_WORLD w;
	struct audit audit;
	world_two(&w);
	const struct audit_setup setup = {
		.host = signing_key_public(w.host), .app = "shop", .environment = "staging"};
	audit_init(&audit, &setup);
	audit_file(&audit, "journal", buf_bytes(&w.bytes), AUDIT_END_WHOLE);
	assert_int_equal(audit.finding.record, 3);
}

static void the_lowest_finding_is_kept(void **state)
{
	(void)state;
	AUTO_WORLD w;
	struct audit audit;
	world_two(&w);
	audited(&w, buf_bytes(&w.bytes), AUDIT_END_WHOLE, &audit);
	audit_finding(&audit, 7, "journal", "seven");
	audit_finding(&audit, 8, "journal", "eight");
	assert_string_equal(audit.finding.what, "seven");
	audit_finding(&audit, 2, "journal", "two");
	assert_string_equal(audit.finding.what, "two");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_journal_fits),
		cmocka_unit_test(a_flipped_bit_is_named_at_every_byte),
		cmocka_unit_test(a_record_left_out_is_named),
		cmocka_unit_test(records_that_change_places_are_named),
		cmocka_unit_test(a_cut_end_is_named_or_is_a_torn_one),
		cmocka_unit_test(a_chain_written_anew_is_seen_by_the_receipts),
		cmocka_unit_test(a_receipt_of_another_key_is_named),
		cmocka_unit_test(files_follow_one_another),
		cmocka_unit_test(another_app_is_named),
		cmocka_unit_test(the_lowest_finding_is_kept),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
