#include "agent/probe/match.h"

#include "agent/probe/json_field.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <string.h>

enum { WANTED_SHOWN_MAX = 100 };

static void show(const char *text, struct buf *out)
{
	text_escape(out, BYTES(text, strnlen(text, WANTED_SHOWN_MAX)));
}

/* ---- status ---- */

static Fairlead__V1__StatusRange first_range(const Fairlead__V1__HttpProbe *probe)
{
	Fairlead__V1__StatusRange range = FAIRLEAD__V1__STATUS_RANGE__INIT;
	range.min = probe->status_min ? probe->status_min : 200;
	range.max = probe->status_max ? probe->status_max : 299;
	return range;
}

static int is_in(const Fairlead__V1__StatusRange *range, long status)
{
	return status >= (long)range->min && status <= (long)range->max;
}

static void show_range(const Fairlead__V1__StatusRange *range, struct buf *out)
{
	buf_printf(out, "%u", range->min);
	if (range->max != range->min)
		buf_printf(out, "-%u", range->max);
}

static int match_status(const Fairlead__V1__HttpProbe *probe, long status, struct buf *why)
{
	Fairlead__V1__StatusRange first = first_range(probe);
	int ok = is_in(&first, status);
	for (size_t i = 0; i < probe->n_more_status; i++)
		ok |= is_in(probe->more_status[i], status);
	if (ok)
		return 1;
	buf_append_str(why, ", wanted ");
	show_range(&first, why);
	for (size_t i = 0; i < probe->n_more_status; i++) {
		buf_append_str(why, ",");
		show_range(probe->more_status[i], why);
	}
	return 0;
}

/* ---- body ---- */

static int match_text(const char *wanted, const struct match_answer *answer, struct buf *why)
{
	if (!*wanted || memmem(answer->body.data, answer->body.len, wanted, strlen(wanted)) != NULL)
		return 1;
	buf_append_str(why, ", wanted '");
	show(wanted, why);
	buf_printf(why, "' in %s", answer->body_is_cut ? "the first 64 KiB" : "the body");
	return 0;
}

static int match_fields(const Fairlead__V1__HttpProbe *probe, const cJSON *root, struct buf *why)
{
	for (size_t i = 0; i < probe->n_json; i++) {
		const Fairlead__V1__JsonMatch *wanted = probe->json[i];
		const cJSON *found = json_field(root, wanted->field);
		if (json_equals(found, wanted->value))
			continue;
		buf_append_str(why, ", wanted ");
		show(wanted->field, why);
		buf_append_str(why, " = '");
		show(wanted->value, why);
		buf_append_str(why, "' in the JSON, found ");
		json_show(found, why);
		return 0;
	}
	return 1;
}

/* ---- release ---- */

static int begins(const char *whole, const char *text)
{
	return strncmp(whole, text, strlen(text)) == 0;
}

int match_names_release(const char *text, const char *digest, const char *commit)
{
	return strlen(text) >= MATCH_RELEASE_MIN && (begins(digest, text) || begins(commit, text));
}

static int match_release(const Fairlead__V1__ProbeRequest *request, const cJSON *root,
	const struct match_answer *answer, struct buf *why)
{
	const Fairlead__V1__ReleaseMatch *where = request->probe->http->release;
	if (!where)
		return 1;
	const cJSON *item = *where->json ? json_field(root, where->json) : NULL;
	const char *text = *where->json ? cJSON_GetStringValue(item) : answer->header;
	if (text && match_names_release(text, request->digest, request->commit))
		return 1;
	buf_printf(why, ", wanted release %.12s", request->digest);
	if (*request->commit) {
		buf_append_str(why, " or commit ");
		text_escape(why, BYTES(request->commit, strnlen(request->commit, 12)));
	}
	buf_printf(why, " in %s ", *where->json ? "the JSON's" : "the header");
	show(*where->json ? where->json : where->header, why);
	buf_append_str(why, ", found ");
	if (text || !item) {
		cJSON *shown = text ? cJSON_CreateString(text) : NULL;
		json_show(shown, why);
		cJSON_Delete(shown);
	} else {
		json_show(item, why);
	}
	return 0;
}

static int needs_json(const Fairlead__V1__HttpProbe *probe)
{
	return probe->n_json || (probe->release && *probe->release->json);
}

int match_http(const Fairlead__V1__ProbeRequest *request, const struct match_answer *answer,
	struct buf *why)
{
	const Fairlead__V1__HttpProbe *probe = request->probe->http;
	if (!match_status(probe, answer->status, why) ||
		!match_text(probe->body_contains, answer, why))
		return 0;
	cJSON *root = needs_json(probe) ? json_parse(answer->body) : NULL;
	int ok = !needs_json(probe) || root;
	if (!ok)
		buf_printf(why, ", wanted JSON%s",
			answer->body_is_cut ? " of at most 64 KiB" : " and nothing behind it");
	ok = ok && match_fields(probe, root, why) && match_release(request, root, answer, why);
	cJSON_Delete(root);
	return ok;
}
