/* NDJSON: every object has "event" and "time", those about a host "host". All on stdout. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "coordinator/report/look.h"

static cJSON *begin(const char *event, const struct report_host *host)
{
	char time[TEXT_TIME_SIZE];
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "event", event);
	cJSON_AddStringToObject(object, "time", text_time(clock_unix_ms(), time));
	if (host)
		json_add_text(object, "host", host->name);
	return object;
}

static void json_say(struct report *report, const char *text)
{
	cJSON *object = begin("say", NULL);
	json_add_text(object, "message", text);
	json_print_line(report->out, object);
}

static void json_phase(struct report *report, const struct report_host *host)
{
	cJSON *object = begin("phase", host);
	json_add_text(object, "phase", host->phase);
	if (host->total) {
		cJSON_AddNumberToObject(object, "done", (double)host->done);
		cJSON_AddNumberToObject(object, "total", (double)host->total);
	}
	json_print_line(report->out, object);
}

static void json_event(struct report *report, const struct report_host *host,
	const Fairlead__V1__Event *event, enum report_seen seen)
{
	char time[TEXT_TIME_SIZE];
	cJSON *object = begin("agent", host);
	cJSON_AddNumberToObject(object, "number", (double)event->number);
	if (event->missed)
		cJSON_AddNumberToObject(object, "missed", (double)event->missed);
	if (seen == REPORT_SEEN_PERHAPS)
		cJSON_AddTrueToObject(object, "perhaps_shown_before");
	cJSON_AddStringToObject(object, "agent_time", text_time(event->unix_ms, time));
	cJSON_AddStringToObject(object, "state", report_state_name(event->state));
	if (event->service && *event->service)
		json_add_text(object, "service", event->service);
	if (event->message && *event->message)
		json_add_text(object, "message", event->message);
	if (event->total) {
		cJSON_AddNumberToObject(object, "done", (double)event->done);
		cJSON_AddNumberToObject(object, "total", (double)event->total);
	}
	json_print_line(report->out, object);
}

static void json_host_end(struct report *report, const struct report_host *host,
	const struct err *err, const char *diagnosis)
{
	cJSON *object = begin("host_end", host);
	json_add_text(object, "state", host->state);
	cJSON_AddNumberToObject(
		object, "duration_ms", (double)report_host_elapsed_ms(host, clock_mono_ms()));
	if (err)
		cJSON_AddItemToObject(object, "error", json_error(err));
	if (*diagnosis)
		json_add_text(object, "diagnosis", diagnosis);
	json_print_line(report->out, object);
}

static void json_end(struct report *report, const char *outcome, int exit_status,
	uint64_t duration_ms, const char *line)
{
	cJSON *object = begin("end", NULL);
	json_add_text(object, "outcome", outcome);
	cJSON_AddNumberToObject(object, "exit_status", exit_status);
	cJSON_AddNumberToObject(object, "duration_ms", (double)duration_ms);
	if (line && *line)
		json_add_text(object, "message", line);
	json_print_line(report->out, object);
}

const struct look look_json = {
	.say = json_say,
	.phase = json_phase,
	.transferred = json_phase,
	.event = json_event,
	.host_end = json_host_end,
	.end = json_end,
};
