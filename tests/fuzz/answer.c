/* What a service answers to an http check: status, body and a header.
 *
 * Input: which parts the check has, the status, lengths and texts of the check, then the body. What
 * matches has nothing said of it; what does not is told in one line that is safe to show. A JSON
 * body matches as it does when it is written anew. */
#include "agent/probe/json_field.h"
#include "agent/probe/match.h"
#include "common/base/pb.h"
#include "tests/fuzz/fuzz.h"

static const char digest[] = "8c61a2f0bb0e1d7c55a4ee0f4d0b1b3b4b6a0c3d9e1f2a3b4c5d6e7f8091a2b3";
static const char commit[] = "1f0e2d3c4b5a69788796a5b4c3d2e1f001122334";

enum part { PART_TEXT = 1, PART_JSON = 2, PART_RELEASE = 4, PART_HEADER = 8, PART_CUT = 16 };

static char *take_text(struct bytes *in)
{
	struct bytes text = fuzz_take(in, fuzz_u8(in) % 32);
	return xstrndup(text.len ? (const char *)text.data : "", text.len);
}

static void check_words(int ok, struct buf *why)
{
	MUST(ok == 0 || ok == 1);
	MUST((why->len == 0) == ok);
	MUST(ok || strncmp(buf_str(why), ", wanted ", 9) == 0);
	MUST(why->len < 1024);
	for (size_t i = 0; i < why->len; i++)
		MUST(why->data[i] >= 0x20 && why->data[i] != 0x7f);
}

/* Whitespace and spelling do not matter. */
static void check_again(
	const Fairlead__V1__ProbeRequest *request, struct match_answer answer, int ok)
{
	cJSON *root = json_parse(answer.body);
	char *text = root ? cJSON_PrintUnformatted(root) : NULL;
	AUTO(buf) struct buf why = {0};
	if (text && !*request->probe->http->body_contains) {
		answer.body = BYTES_STR(text);
		MUST(match_http(request, &answer, &why) == ok);
	}
	cJSON_free(text);
	cJSON_Delete(root);
}

void fuzz_one(struct bytes in)
{
	unsigned parts = fuzz_u8(&in);
	Fairlead__V1__ProbeRequest request = FAIRLEAD__V1__PROBE_REQUEST__INIT;
	Fairlead__V1__Probe probe = FAIRLEAD__V1__PROBE__INIT;
	Fairlead__V1__HttpProbe http = FAIRLEAD__V1__HTTP_PROBE__INIT;
	Fairlead__V1__JsonMatch json = FAIRLEAD__V1__JSON_MATCH__INIT, *list[] = {&json};
	Fairlead__V1__ReleaseMatch release = FAIRLEAD__V1__RELEASE_MATCH__INIT;
	request.probe = &probe;
	request.digest = pb_str(digest);
	request.commit = pb_str(commit);
	probe.http = &http;
	struct match_answer answer = {
		.status = fuzz_u16(&in), .body_is_cut = (parts & PART_CUT) != 0};
	AUTO_FREE char *text = take_text(&in), *field = take_text(&in), *value = take_text(&in),
		       *header = take_text(&in);
	http.body_contains = parts & PART_TEXT ? text : pb_str("");
	json.field = field, json.value = value;
	http.json = list, http.n_json = (parts & PART_JSON) != 0;
	if (parts & PART_RELEASE)
		*(parts & PART_HEADER ? &release.header : &release.json) = field;
	http.release = parts & PART_RELEASE && *field ? &release : NULL;
	answer.header = parts & PART_HEADER ? header : NULL;
	answer.body = in;
	AUTO(buf) struct buf why = {0};
	int ok = match_http(&request, &answer, &why);
	check_words(ok, &why);
	check_again(&request, answer, ok);
}

static void seed(const char *name, unsigned parts, unsigned status, const char *const texts[4],
	const char *body)
{
	AUTO(buf) struct buf out = {0};
	uint8_t head[] = {(uint8_t)parts, (uint8_t)status, (uint8_t)(status >> 8)};
	buf_append(&out, head, sizeof(head));
	for (size_t i = 0; i < 4; i++) {
		buf_append(&out, &(uint8_t){(uint8_t)strlen(texts[i])}, 1);
		buf_append_str(&out, texts[i]);
	}
	buf_append_str(&out, body);
	fuzz_seed(name, buf_bytes(&out));
}

void fuzz_seeds(void)
{
	seed("plain", 0, 200, (const char *[]){"", "", "", ""}, "all good");
	seed("text", PART_TEXT, 200, (const char *[]){"good", "", "", ""}, "all good");
	seed("status", 0, 503, (const char *[]){"", "", "", ""}, "no db");
	seed("json", PART_JSON, 200, (const char *[]){"", "services.0.state", "up", ""},
		"{\"services\": [{\"state\": \"up\", \"n\": -1.5e3, \"x\": [true, false, null]}]}");
	seed("pointer", PART_JSON, 200, (const char *[]){"", "/a~1b/~0", "4", ""},
		"{\"a/b\": {\"~\": 4.0}}");
	seed("release", PART_RELEASE, 200, (const char *[]){"", "version", "", ""},
		"{\"version\": \"8c61a2f0bb0e\"}");
	seed("header", PART_RELEASE | PART_HEADER, 200,
		(const char *[]){"", "X-Release", "", "1f0e2d3c"}, "ok");
	seed("cut", PART_JSON | PART_CUT, 200, (const char *[]){"", "a", "b", ""}, "{\"a\": \"b");
}
