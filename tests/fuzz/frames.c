/* Records, frames and the encrypted session.
 *
 * Input: 0 | records: a frame that decodes encodes to the same bytes. 1 | frames to seal, then
 * how their records are changed, dropped and repeated: what opens is what was sealed, in order. */
#include "common/link/session.h"
#include "common/link/wire.h"
#include "tests/fuzz/fuzz.h"

enum { FRAMES_MAX = 8 };

static void check_frame(struct bytes in)
{
	struct frame frame;
	struct err err = ERR_INIT;
	if (frame_decode(in, &frame, &err) < 0) {
		MUST(err.code == ERR_INVALID);
		return;
	}
	bool on_link = frame.type == FRAME_ADMIT || frame.type == FRAME_PING ||
		       frame.type == FRAME_PONG || frame.type == FRAME_GOAWAY;
	MUST(on_link == (frame.stream == 0));
	MUST(frame.flags == 0 || (frame.flags == FRAME_MORE && frame.type == FRAME_DATA));
	MUST(frame.payload.len <= FRAME_PAYLOAD_MAX);
	AUTO(buf) struct buf again = {0};
	frame_encode(&frame, &again);
	MUST(fuzz_same(buf_bytes(&again), in));
	if (frame.type != FRAME_OPEN)
		return;
	char method[METHOD_MAX + 1];
	uint64_t deadline_ms;
	if (open_decode(frame.payload, method, &deadline_ms, &err) < 0)
		return;
	buf_clear(&again);
	open_encode(method, deadline_ms, &again);
	MUST(fuzz_same(buf_bytes(&again), frame.payload));
}

static void wire(struct bytes in)
{
	struct bytes body;
	check_frame(in);
	while (record_next(in, LINK_FRAME_MAX, &body, NULL) == RECORD_WHOLE) {
		MUST(body.len > 0 && body.len <= LINK_FRAME_MAX);
		AUTO(buf) struct buf again = {0};
		record_append(&again, body);
		MUST(fuzz_same(buf_bytes(&again), fuzz_take(&in, RECORD_PREFIX + body.len)));
		check_frame(body);
	}
}

struct sealed {
	struct bytes frames[FRAMES_MAX];
	struct buf records[FRAMES_MAX + 1]; /* bodies; the first is the stream's header */
	size_t count;
	bool final;
};

static void seal_all(struct bytes *in, struct sealed *sealed)
{
	struct session session;
	struct session_keys keys = {{1}, {2}};
	AUTO(buf) struct buf out = {0};
	session_init(&session, &keys);
	size_t count = 1 + fuzz_u8(in) % FRAMES_MAX;
	sealed->final = fuzz_u8(in) & 1;
	for (size_t i = 0; i < count; i++) {
		sealed->frames[i] = fuzz_take(in, fuzz_u8(in));
		session_seal(&session, sealed->frames[i],
			sealed->final && i + 1 == count ? SESSION_TAG_FINAL : SESSION_TAG_MESSAGE,
			&out);
	}
	struct bytes body, rest = buf_bytes(&out);
	while (record_next(rest, LINK_FRAME_MAX, &body, NULL) == RECORD_WHOLE) {
		buf_append(&sealed->records[sealed->count++], body.data, body.len);
		fuzz_take(&rest, RECORD_PREFIX + body.len);
	}
	MUST(rest.len == 0 && sealed->count == count + 1);
	session_release(&session);
}

/* Delivers records, in what order and with what changes the input says. */
static void open_all(struct bytes in, const struct sealed *sealed)
{
	struct session session;
	struct session_keys keys = {{2}, {1}};
	AUTO(buf) struct buf body = {0}, frame = {0};
	session_init(&session, &keys);
	size_t opened = 0, at = 0;
	bool honest = true, ended = false;
	for (int i = 0; i < 2 * FRAMES_MAX; i++) {
		at = (at + fuzz_u8(&in)) % sealed->count; /* 0: the next, as it should be */
		bool changed = fuzz_change(&in, buf_bytes(&sealed->records[at]), &body);
		honest = honest && !changed && at == (size_t)i;
		int outcome = session_open(&session, buf_bytes(&body), &frame, NULL);
		MUST(outcome >= 0 || !honest);
		MUST(!honest || i > 0 || outcome == SESSION_OPENED_HEADER);
		if (outcome == SESSION_OPENED_FRAME || outcome == SESSION_OPENED_FINAL) {
			MUST(!ended && !changed && opened + 1 < sealed->count);
			MUST(fuzz_same(buf_bytes(&frame), sealed->frames[opened]));
			opened++;
			ended = outcome == SESSION_OPENED_FINAL;
			MUST(ended == (sealed->final && opened + 1 == sealed->count));
		}
		at++;
	}
	session_release(&session);
}

void fuzz_one(struct bytes in)
{
	if (fuzz_u8(&in) % 2 == 0) {
		wire(in);
		return;
	}
	struct sealed sealed = {0};
	seal_all(&in, &sealed);
	open_all(in, &sealed);
	for (size_t i = 0; i < sealed.count; i++)
		buf_release(&sealed.records[i]);
}

static void seed_frame(const char *name, struct frame frame)
{
	AUTO(buf) struct buf plain = {0}, seed = {0};
	frame_encode(&frame, &plain);
	buf_append(&seed, "\0", 1);
	record_append(&seed, buf_bytes(&plain));
	fuzz_seed(name, buf_bytes(&seed));
}

void fuzz_seeds(void)
{
	AUTO(buf) struct buf open = {0};
	open_encode("/fairlead.v1.Agent/Prepare", 60000, &open);
	seed_frame("open", (struct frame){FRAME_OPEN, 0, 1, buf_bytes(&open)});
	seed_frame("data", (struct frame){FRAME_DATA, FRAME_MORE, 1, BYTES("hello", 5)});
	seed_frame("credit", (struct frame){FRAME_CREDIT, 0, 1, BYTES("\0\1\0\0", 4)});
	seed_frame("ping", (struct frame){FRAME_PING, 0, 0, BYTES("12345678", 8)});
	seed_frame("goaway", (struct frame){FRAME_GOAWAY, 0, 0, BYTES("\0\0\0\0", 4)});
	static const uint8_t session[] = {1, 2, 1, 3, 'a', 'b', 'c', 0, 2, 'd', 'e'};
	fuzz_seed("session", BYTES(session, sizeof(session)));
	static const uint8_t again[] = {1, 0, 1, 1, 'a', 0, 0, 0, 0, 1, 0};
	fuzz_seed("session-again", BYTES(again, sizeof(again)));
	static const uint8_t flip[] = {1, 1, 0, 1, 'a', 1, 'b', 0, 0, 0, 1, 3, 0, 1};
	fuzz_seed("session-flip", BYTES(flip, sizeof(flip)));
}
