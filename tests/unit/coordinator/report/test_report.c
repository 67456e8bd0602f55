#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/report/report.h"

#include <ctype.h>
#include <setjmp.h>

#include <cmocka.h>

/* A report whose two streams are memory. */
struct stage {
	struct report *report;
	FILE *out, *talk;
	char *out_text, *talk_text;
	size_t out_len, talk_len;
};

static void open_stage(
	struct stage *stage, enum report_style style, enum report_verbosity verbosity)
{
	static const char *const hosts[] = {"web1", "db"};
	*stage = (struct stage){0};
	stage->out = open_memstream(&stage->out_text, &stage->out_len);
	stage->talk = open_memstream(&stage->talk_text, &stage->talk_len);
	assert_true(stage->out && stage->talk);
	stage->report =
		report_new(style, verbosity, hosts, ARRAY_LEN(hosts), stage->out, stage->talk);
}

/* What was written stays until release. */
static void end_stage(struct stage *stage)
{
	report_free(stage->report);
	fclose(stage->out);
	fclose(stage->talk);
}

static void release_stage(struct stage *stage)
{
	free(stage->out_text);
	free(stage->talk_text);
}

/* Times depend on the machine: "0ms", "1.2s" become "T". */
static char *without_times(const char *text)
{
	AUTO(buf) struct buf out = {0};
	while (*text) {
		size_t n = strspn(text, "0123456789.");
		size_t unit = strncmp(text + n, "ms", 2) == 0 ? 2 : text[n] == 's' ? 1 : 0;
		if (n && unit && isdigit((unsigned char)text[0]) &&
			!isalpha((unsigned char)text[n + unit])) {
			buf_append_str(&out, "T");
			text += n + unit;
		} else {
			buf_append(&out, text, n ? n : 1);
			text += n ? n : 1;
		}
	}
	return xstrdup(buf_str(&out));
}

static void assert_text(const char *text, const char *expected)
{
	AUTO_FREE char *plain = without_times(text);
	assert_string_equal(plain, expected);
}

static const struct err probe_error = {
	.code = ERR_FAILED,
	.message = "the probe never answered",
	.hint = "Look at the log.",
};

/* The story every look tells. */
static void tell(struct report *report)
{
	Fairlead__V1__Event event = FAIRLEAD__V1__EVENT__INIT;
	report_say(report, "APP_ONLY for %d hosts: \x1b[31msrc/a\xff", 2);
	report_phase(report, 0, "sending", 0, 1200000);
	report_phase(report, 0, "sending", 600000, 1200000);
	report_phase(report, 0, "sending", 1200000, 1200000);
	report_phase(report, 1, "prepared", 0, 0);
	event.number = 7;
	event.unix_ms = 1736346615000;
	event.state = FAIRLEAD__V1__STATE__STATE_RESTARTED;
	report_event(report, 0, &event, REPORT_UNSEEN);
	event.service = pb_str("web");
	event.message = pb_str("started, pid 12\nforged");
	report_event(report, 0, &event, REPORT_UNSEEN);
	report_host_end(report, 0, "committed", NULL, NULL);
	report_host_end(report, 1, "rolled_back", &probe_error, "HTTP 500\nlast line\n");
	report_end(report, "failed", 5, 1234, "APP_ONLY: abc1234 → def5678 on 2 hosts");
}

static void plain_lines(void **state)
{
	(void)state;
	struct stage stage;
	open_stage(&stage, REPORT_PLAIN, REPORT_NORMAL);
	tell(stage.report);
	end_stage(&stage);
	assert_text(stage.talk_text, "APP_ONLY for 2 hosts: \\x1b[31msrc/a\\xff\n"
				     "  web1  sending 1.2 MB\n"
				     "  db    prepared\n"
				     "  web1  web: started, pid 12\\nforged\n"
				     "  web1  committed (T)\n"
				     "  db    rolled_back: the probe never answered\n"
				     "    hint: Look at the log.\n"
				     "    | HTTP 500\n"
				     "    | last line\n");
	assert_text(stage.out_text, "APP_ONLY: abc1234 → def5678 on 2 hosts (T)\n");
	release_stage(&stage);
}

static void verbose_says_more(void **state)
{
	(void)state;
	struct stage stage;
	open_stage(&stage, REPORT_PLAIN, REPORT_VERBOSE);
	tell(stage.report);
	end_stage(&stage);
	assert_non_null(strstr(stage.talk_text, "  web1  restarted\n  web1  web: started"));
	release_stage(&stage);
}

static void quiet_says_results_and_errors(void **state)
{
	(void)state;
	for (int style = REPORT_PLAIN; style <= REPORT_TTY; style++) {
		struct stage stage;
		open_stage(&stage, (enum report_style)style, REPORT_QUIET);
		tell(stage.report);
		report_tick(stage.report);
		end_stage(&stage);
		assert_text(stage.talk_text, "  db    rolled_back: the probe never answered\n"
					     "    hint: Look at the log.\n"
					     "    | HTTP 500\n"
					     "    | last line\n");
		assert_text(stage.out_text, "APP_ONLY: abc1234 → def5678 on 2 hosts (T)\n");
		release_stage(&stage);
	}
}

static void the_outcome_stands_in_for_no_line(void **state)
{
	(void)state;
	struct stage stage;
	open_stage(&stage, REPORT_PLAIN, REPORT_NORMAL);
	report_end(stage.report, "committed", 0, 1, NULL);
	end_stage(&stage);
	assert_text(stage.out_text, "committed (T)\n");
	release_stage(&stage);
}

/* -- terminal -------------------------------------------------------------------------------- */

/* A terminal of the few sequences we use: what is on it at the end. */
static char *screen_after(const char *text)
{
	enum { ROWS = 60 };
	struct buf rows[ROWS] = {0};
	size_t row = 0;
	for (; *text; text++) {
		if (*text == '\n') {
			assert_true(++row < ROWS);
		} else if (*text == '\r') {
			continue; /* always before a wipe */
		} else if (*text != '\x1b') {
			buf_append(&rows[row], text, 1);
		} else if (strncmp(text, "\x1b[?7", 4) == 0) {
			text += 4;
		} else if (strncmp(text, "\x1b[J", 3) == 0) {
			for (size_t i = row; i < ROWS; i++)
				buf_clear(&rows[i]);
			text += 2;
		} else {
			char *end = NULL;
			unsigned long up = strtoul(text + 2, &end, 10);
			assert_int_equal(*end, 'A');
			assert_true(up <= row);
			row -= up;
			text = end;
		}
	}
	AUTO(buf) struct buf all = {0};
	for (size_t i = 0; i < ROWS; i++) {
		if (i < row || rows[i].len)
			buf_printf(&all, "%s\n", buf_str(&rows[i]));
		buf_release(&rows[i]);
	}
	return xstrdup(buf_str(&all));
}

static void a_terminal_keeps_a_line_per_host(void **state)
{
	(void)state;
	struct stage stage;
	open_stage(&stage, REPORT_TTY, REPORT_NORMAL);
	report_say(stage.report, "begin");
	report_phase(stage.report, 0, "sending", 0, 1200000);
	report_phase(stage.report, 0, "sending", 600000, 1200000);
	report_tick(stage.report);
	fflush(stage.talk);
	AUTO_FREE char *midway = screen_after(stage.talk_text);
	assert_text(midway, "begin\n"
			    "▸ web1  sending         600.0 kB of 1.2 MB  T\n"
			    "· db    waiting       \n");

	tell(stage.report);
	fflush(stage.talk);
	size_t at_end = stage.talk_len;
	report_free(stage.report);
	fclose(stage.out);
	fclose(stage.talk);
	assert_int_equal(stage.talk_len, at_end); /* all was restored by report_end */
	AUTO_FREE char *screen = screen_after(stage.talk_text);
	assert_text(screen, "begin\n"
			    "APP_ONLY for 2 hosts: \\x1b[31msrc/a\\xff\n"
			    "  web1  web: started, pid 12\\nforged\n"
			    "  db    rolled_back: the probe never answered\n"
			    "    hint: Look at the log.\n"
			    "    | HTTP 500\n"
			    "    | last line\n"
			    "✓ web1  committed       T\n"
			    "✗ db    rolled_back     T\n");
	assert_text(stage.out_text, "APP_ONLY: abc1234 → def5678 on 2 hosts (T)\n");
	release_stage(&stage);
}

static void a_large_fleet_fits_the_screen(void **state)
{
	(void)state;
	enum { HOSTS = 40 };
	char *names[HOSTS];
	char *text = NULL;
	size_t len = 0;
	for (unsigned i = 0; i < HOSTS; i++)
		names[i] = xasprintf("host%02u", i);
	FILE *talk = open_memstream(&text, &len);
	struct report *report = report_new(
		REPORT_TTY, REPORT_NORMAL, (const char *const *)names, HOSTS, talk, talk);
	for (size_t i = 0; i < HOSTS; i++)
		report_phase(report, i, "sending", 0, 0);
	report_host_end(report, 0, "committed", NULL, NULL);
	fflush(talk);
	AUTO_FREE char *screen = screen_after(text);
	size_t lines = 0;
	for (const char *p = screen; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 22);
	assert_null(strstr(screen, "host00"));
	assert_non_null(strstr(screen, "host01"));
	assert_non_null(strstr(screen, "  and 19 more of 40 hosts, 1 finished\n"));
	report_free(report);
	fclose(talk);
	AUTO_FREE char *last = screen_after(text);
	assert_non_null(strstr(last, "✓ host00"));
	assert_non_null(strstr(last, "▸ host39"));
	free(text);
	for (unsigned i = 0; i < HOSTS; i++)
		free(names[i]);
}

/* -- JSON ------------------------------------------------------------------------------------ */

static const char *field(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsString(item) ? item->valuestring : "";
}

static double number(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

static void json_is_an_object_per_line(void **state)
{
	(void)state;
	static const struct {
		const char *event, *host, *name, *value;
	} expected[] = {
		{"say", "", "message", "APP_ONLY for 2 hosts: \\x1b[31msrc/a\\xff"},
		{"phase", "web1", "phase", "sending"},
		{"phase", "web1", "phase", "sending"},
		{"phase", "db", "phase", "prepared"},
		{"agent", "web1", "state", "restarted"},
		{"agent", "web1", "message", "started, pid 12\nforged"},
		{"host_end", "web1", "state", "committed"},
		{"host_end", "db", "diagnosis", "HTTP 500\nlast line\n"},
		{"end", "", "outcome", "failed"},
	};
	struct stage stage;
	open_stage(&stage, REPORT_JSON, REPORT_QUIET);
	tell(stage.report);
	end_stage(&stage);
	assert_string_equal(stage.talk_text, "");
	char *rest = stage.out_text;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		cJSON *object = cJSON_Parse(strsep(&rest, "\n"));
		assert_non_null(object);
		assert_string_equal(field(object, "event"), expected[i].event);
		assert_string_equal(field(object, "host"), expected[i].host);
		assert_string_equal(field(object, expected[i].name), expected[i].value);
		assert_int_equal(strlen(field(object, "time")), 25);
		if (i == 2)
			assert_true(number(object, "done") == 1200000);
		if (i == 4)
			assert_string_equal(
				field(object, "agent_time"), "2025-01-08T14:30:15+00:00");
		if (i == 7) {
			const cJSON *error = cJSON_GetObjectItem(object, "error");
			assert_string_equal(field(error, "code"), "failed");
			assert_string_equal(field(error, "message"), probe_error.message);
			assert_string_equal(field(error, "hint"), probe_error.hint);
			assert_true(number(error, "exit_status") == 5);
		}
		if (i == 8)
			assert_true(number(object, "exit_status") == 5 &&
				    number(object, "duration_ms") == 1234);
		cJSON_Delete(object);
	}
	assert_string_equal(rest, "");
	release_stage(&stage);
}

static void states_have_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < fairlead__v1__state__descriptor.n_values; i++) {
		const ProtobufCEnumValue *value = &fairlead__v1__state__descriptor.values[i];
		AUTO_FREE char *name =
			xasprintf("STATE_%s", report_state_name((Fairlead__V1__State)value->value));
		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		assert_string_equal(name, value->name);
	}
	assert_string_equal(report_state_name((Fairlead__V1__State)99), "unknown");
	assert_string_equal(report_state_name((Fairlead__V1__State)-1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_lines),
		cmocka_unit_test(verbose_says_more),
		cmocka_unit_test(quiet_says_results_and_errors),
		cmocka_unit_test(the_outcome_stands_in_for_no_line),
		cmocka_unit_test(a_terminal_keeps_a_line_per_host),
		cmocka_unit_test(a_large_fleet_fits_the_screen),
		cmocka_unit_test(json_is_an_object_per_line),
		cmocka_unit_test(states_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
