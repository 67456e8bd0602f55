#include "coordinator/report/report.h"

#include "common/base/mem.h"
#include "common/os/clock.h"
#include "coordinator/report/look.h"

#include <assert.h>

static const struct look *const looks[] = {
	[REPORT_PLAIN] = &look_plain,
	[REPORT_TTY] = &look_tty,
	[REPORT_JSON] = &look_json,
};

struct report *report_new(enum report_style style, enum report_verbosity verbosity,
	const char *const *hosts, size_t host_count, FILE *out, FILE *talk)
{
	struct report *report = xcalloc(1, sizeof(*report));
	/* Nothing is live when nothing is said. */
	if (style == REPORT_TTY && verbosity == REPORT_QUIET)
		style = REPORT_PLAIN;
	report->look = looks[style];
	report->verbosity = verbosity;
	report->out = out;
	report->talk = talk;
	report->hosts = xcalloc(host_count ? host_count : 1, sizeof(report->hosts[0]));
	report->host_count = host_count;
	for (size_t i = 0; i < host_count; i++) {
		report->hosts[i].name = xstrdup(hosts[i]);
		int width = (int)strlen(hosts[i]); /* at most 63: text_is_name */
		if (width > report->name_width)
			report->name_width = width;
	}
	return report;
}

void report_free(struct report *report)
{
	if (!report)
		return;
	if (report->look->close)
		report->look->close(report);
	for (size_t i = 0; i < report->host_count; i++) {
		free(report->hosts[i].name);
		free(report->hosts[i].phase);
		free(report->hosts[i].state);
	}
	free(report->hosts);
	free(report);
}

uint64_t report_host_elapsed_ms(const struct report_host *host, uint64_t now_mono_ms)
{
	if (!host->started_mono_ms)
		return 0;
	return (host->ended_mono_ms ? host->ended_mono_ms : now_mono_ms) - host->started_mono_ms;
}

void report_say(struct report *report, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	report->look->say(report, text);
	free(text);
}

static struct report_host *host_at(struct report *report, size_t index)
{
	assert(index < report->host_count);
	return &report->hosts[index];
}

void report_phase(
	struct report *report, size_t index, const char *phase, uint64_t done, uint64_t total)
{
	struct report_host *host = host_at(report, index);
	bool entered = !host->phase || strcmp(host->phase, phase) != 0;
	bool had_all = !entered && host->total && host->done >= host->total;

	if (!host->started_mono_ms)
		host->started_mono_ms = clock_mono_ms();
	if (entered) {
		free(host->phase);
		host->phase = xstrdup(phase);
	}
	host->done = done;
	host->total = total;
	if (entered && report->look->phase)
		report->look->phase(report, host);
	if (!entered && total && done >= total && !had_all && report->look->transferred)
		report->look->transferred(report, host);
}

void report_event(struct report *report, size_t index, const Fairlead__V1__Event *event,
	enum report_seen seen)
{
	if (report->look->event)
		report->look->event(report, host_at(report, index), event, seen);
}

void report_host_end(struct report *report, size_t index, const char *state,
	const struct err *error, const char *diagnosis)
{
	struct report_host *host = host_at(report, index);
	free(host->state);
	host->state = xstrdup(state);
	host->failed = error && error->code != ERR_NONE;
	host->ended_mono_ms = clock_mono_ms();
	if (report->look->host_end)
		report->look->host_end(
			report, host, host->failed ? error : NULL, diagnosis ? diagnosis : "");
}

void report_end(struct report *report, const char *outcome, int exit_status, uint64_t duration_ms,
	const char *line)
{
	report->look->end(report, outcome, exit_status, duration_ms, line);
}

void report_tick(struct report *report)
{
	if (report->look->tick)
		report->look->tick(report);
}
