#include "common/base/mem.h"
#include "coordinator/report/style.h"

static void print_error(FILE *file, const struct err *err)
{
	enum colour_use use = colour_use_for(file);
	fprintf(file, "%serror:%s ", colour_begin(use, COLOUR_RED), colour_end(use));
	print_escaped(file, err->message);
	if (err->hint[0]) {
		fprintf(file, "\n%shint:%s ", colour_begin(use, COLOUR_YELLOW), colour_end(use));
		print_escaped(file, err->hint);
	}
	fputc('\n', file);
}

void report_error(enum report_style style, const struct err *err)
{
	if (style != REPORT_JSON) {
		print_error(stderr, err);
		return;
	}
	cJSON *object = cJSON_CreateObject();
	cJSON_AddItemToObject(object, "error", json_error(err));
	json_print_line(stdout, object);
}

#define STATE(name) [FAIRLEAD__V1__STATE__STATE_##name]
static const char *const states[] = {
	STATE(UNSPECIFIED) = "unspecified",
	STATE(ACCEPTED) = "accepted",
	STATE(FETCHED) = "fetched",
	STATE(STAGED) = "staged",
	STATE(BUILT) = "built",
	STATE(BACKED_UP) = "backed_up",
	STATE(PREPARED) = "prepared",
	STATE(MIGRATED) = "migrated",
	STATE(SWITCHED) = "switched",
	STATE(RESTARTED) = "restarted",
	STATE(HEALTHY) = "healthy",
	STATE(COMMITTED) = "committed",
	STATE(ABORTED) = "aborted",
	STATE(ROLLING_BACK) = "rolling_back",
	STATE(ROLLED_BACK) = "rolled_back",
	STATE(FAILED_SAFE) = "failed_safe",
	STATE(ACTIVATING) = "activating",
	STATE(SERVING) = "serving",
	STATE(HELD_BEFORE) = "held_before",
	STATE(HELD_AFTER) = "held_after",
};

const char *report_state_name(Fairlead__V1__State state)
{
	/* A newer agent may know more states. */
	return (size_t)state < ARRAY_LEN(states) ? states[state] : "unknown";
}
