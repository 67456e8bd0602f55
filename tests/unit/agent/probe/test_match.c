#include "agent/probe/json_field.h"
#include "agent/probe/match.h"
#include "common/base/mem.h"
#include "common/base/pb.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define DIGEST "8c61a2f0bb0e1d7c55a4ee0f4d0b1b3b4b6a0c3d9e1f2a3b4c5d6e7f8091a2b3"
#define COMMIT "1f0e2d3c4b5a69788796a5b4c3d2e1f001122334"

static void fields_are_found_by_their_path(void **state)
{
	(void)state;
	static const char text[] =
		" {\"status\": \"ok\", \"n\": 4, \"ratio\": -2.5e1, \"up\": true, \"no\": false,"
		"\"none\": null, \"a.b\": \"dots\", \"a/b~c\": \"odd\", \"\": \"empty\","
		"\"services\": {\"db\": {\"state\": \"up\"}}, \"list\": [\"x\", {\"y\": \"z\"}]} "
		"\n";
	static const struct {
		const char *path, *value;
		int ok;
	} cases[] = {
		{"status", "ok", 1},
		{"status", "OK", 0},
		{"Status", "ok", 0},
		{"/status", "ok", 1},
		{"n", "4", 1},
		{"n", "4.0", 1},
		{"n", " 4", 0},
		{"n", "4x", 0},
		{"n", "0x4", 0},
		{"n", "", 0},
		{"n", "5", 0},
		{"ratio", "-25", 1},
		{"ratio", "-", 0},
		{"up", "true", 1},
		{"up", "1", 0},
		{"no", "false", 1},
		{"no", "true", 0},
		{"none", "null", 1},
		{"none", "", 0},
		{"services.db.state", "up", 1},
		{"/services/db/state", "up", 1},
		{"services.db", "up", 0},
		{"services.cache.state", "up", 0},
		{"services.db.state.more", "up", 0},
		{"list.0", "x", 1},
		{"list.1.y", "z", 1},
		{"list.2", "x", 0},
		{"list.-1", "x", 0},
		{"list.99999999999999999999", "x", 0},
		{"list.x", "x", 0},
		{"a.b", "dots", 0},
		{"/a.b", "dots", 1},
		{"/a~1b~0c", "odd", 1},
		{"/", "empty", 1},
		{"nothing", "null", 0},
	};
	cJSON *root = json_parse(BYTES_STR(text));
	assert_non_null(root);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (json_equals(json_field(root, cases[i].path), cases[i].value) != cases[i].ok)
			fail_msg("%s = %s", cases[i].path, cases[i].value);
	cJSON_Delete(root);
}

static void what_is_not_json_is_none(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "{", "ok", "{} x", "{}{}", "[1,]", "\"\x1b", "nul"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (json_parse(BYTES_STR(texts[i])))
			fail_msg("'%s' was taken for JSON", texts[i]);
	/* Deep enough to end a parser that has no bound. */
	AUTO(buf) struct buf deep = {0};
	for (int i = 0; i < 60000; i++)
		buf_append_str(&deep, "[");
	assert_null(json_parse(buf_bytes(&deep)));
}

static void a_release_is_named_by_seven_characters_or_more(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int ok;
	} cases[] = {
		{DIGEST, 1},
		{COMMIT, 1},
		{"8c61a2f", 1},
		{"1f0e2d3", 1},
		{"8c61a2", 0},
		{"", 0},
		{"8c61a2e", 0},
		{COMMIT "0", 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (match_names_release(cases[i].text, DIGEST, COMMIT) != cases[i].ok)
			fail_msg("'%s'", cases[i].text);
	/* What the agent does not know is nobody's name. */
	assert_false(match_names_release("1f0e2d3", DIGEST, ""));
	assert_false(match_names_release("", "", ""));
}

struct http_case {
	long status;
	const char *body, *header;
	int ok;
	const char *why;
};

static void assert_match(Fairlead__V1__HttpProbe *http, const struct http_case *c)
{
	Fairlead__V1__Probe probe = FAIRLEAD__V1__PROBE__INIT;
	Fairlead__V1__ProbeRequest request = FAIRLEAD__V1__PROBE_REQUEST__INIT;
	probe.http = http;
	request.probe = &probe;
	request.digest = pb_str(DIGEST);
	request.commit = pb_str(COMMIT);
	const struct match_answer answer = {
		.status = c->status, .body = BYTES_STR(c->body), .header = c->header};
	AUTO(buf) struct buf why = {0};
	int ok = match_http(&request, &answer, &why);
	if (ok != c->ok || strcmp(buf_str(&why), c->why) != 0)
		fail_msg("%ld '%s': %d%s", c->status, c->body, ok, buf_str(&why));
}

static void status_codes_are_a_set(void **state)
{
	(void)state;
	Fairlead__V1__HttpProbe http = FAIRLEAD__V1__HTTP_PROBE__INIT;
	Fairlead__V1__StatusRange one = FAIRLEAD__V1__STATUS_RANGE__INIT, more = one;
	Fairlead__V1__StatusRange *list[] = {&one, &more};
	assert_match(&http, &(struct http_case){299, "", NULL, 1, ""});
	assert_match(&http, &(struct http_case){304, "", NULL, 0, ", wanted 200-299"});
	http.status_min = 200, http.status_max = 204;
	one.min = one.max = 304, more.min = 400, more.max = 404;
	http.more_status = list, http.n_more_status = ARRAY_LEN(list);
	static const struct http_case cases[] = {
		{200, "", NULL, 1, ""},
		{204, "", NULL, 1, ""},
		{205, "", NULL, 0, ", wanted 200-204,304,400-404"},
		{304, "", NULL, 1, ""},
		{402, "", NULL, 1, ""},
		{405, "", NULL, 0, ", wanted 200-204,304,400-404"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_match(&http, &cases[i]);
}

static void fields_of_the_json_must_match(void **state)
{
	(void)state;
	Fairlead__V1__HttpProbe http = FAIRLEAD__V1__HTTP_PROBE__INIT;
	Fairlead__V1__JsonMatch first = FAIRLEAD__V1__JSON_MATCH__INIT, second = first;
	Fairlead__V1__JsonMatch *list[] = {&first, &second};
	first.field = pb_str("status"), first.value = pb_str("ok");
	second.field = pb_str("db.up"), second.value = pb_str("true");
	http.json = list, http.n_json = ARRAY_LEN(list);
	static const struct http_case cases[] = {
		{200, "{\"status\": \"ok\", \"db\": {\"up\": true}}", NULL, 1, ""},
		{200, "{\"status\": \"ok\", \"db\": {\"up\": false}}", NULL, 0,
			", wanted db.up = 'true' in the JSON, found false"},
		{200, "{\"status\": \"\\u001b[31m\"}", NULL, 0,
			", wanted status = 'ok' in the JSON, found '\\x1b[31m'"},
		{200, "{\"status\": [1]}", NULL, 0,
			", wanted status = 'ok' in the JSON, found a list"},
		{200, "{\"status\": 3}", NULL, 0, ", wanted status = 'ok' in the JSON, found 3"},
		{200, "{}", NULL, 0, ", wanted status = 'ok' in the JSON, found nothing"},
		{200, "ok", NULL, 0, ", wanted JSON and nothing behind it"},
		{500, "{}", NULL, 0, ", wanted 200-299"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_match(&http, &cases[i]);
}

#define NO_RELEASE ", wanted release 8c61a2f0bb0e or commit 1f0e2d3c4b5a in "

static void the_answer_must_be_of_the_release(void **state)
{
	(void)state;
	Fairlead__V1__HttpProbe http = FAIRLEAD__V1__HTTP_PROBE__INIT;
	Fairlead__V1__ReleaseMatch where = FAIRLEAD__V1__RELEASE_MATCH__INIT;
	http.release = &where;
	where.json = pb_str("build.commit");
	static const struct http_case json[] = {
		{200, "{\"build\": {\"commit\": \"1f0e2d3c\"}}", NULL, 1, ""},
		{200, "{\"build\": {\"commit\": \"" DIGEST "\"}}", NULL, 1, ""},
		{200, "{\"build\": {\"commit\": \"0000000\"}}", DIGEST, 0,
			NO_RELEASE "the JSON's build.commit, found '0000000'"},
		{200, "{\"build\": {\"commit\": 1234567}}", NULL, 0,
			NO_RELEASE "the JSON's build.commit, found 1234567"},
		{200, "{}", DIGEST, 0, NO_RELEASE "the JSON's build.commit, found nothing"},
	};
	for (size_t i = 0; i < ARRAY_LEN(json); i++)
		assert_match(&http, &json[i]);
	where.json = pb_str(""), where.header = pb_str("X-Release");
	static const struct http_case header[] = {
		{200, "whatever", "8c61a2f0bb0e", 1, ""},
		{200, DIGEST, NULL, 0, NO_RELEASE "the header X-Release, found nothing"},
		{200, DIGEST, "old", 0, NO_RELEASE "the header X-Release, found 'old'"},
	};
	for (size_t i = 0; i < ARRAY_LEN(header); i++)
		assert_match(&http, &header[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_found_by_their_path),
		cmocka_unit_test(what_is_not_json_is_none),
		cmocka_unit_test(a_release_is_named_by_seven_characters_or_more),
		cmocka_unit_test(status_codes_are_a_set),
		cmocka_unit_test(fields_of_the_json_must_match),
		cmocka_unit_test(the_answer_must_be_of_the_release),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
