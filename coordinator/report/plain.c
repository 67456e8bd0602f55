/* Plain lines, for logs and pipes: one per thing that happened, nothing is taken back. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "coordinator/report/look.h"

#include <inttypes.h>

static void begin_line(struct report *report, const struct report_host *host)
{
	fprintf(report->talk, "  %-*s  ", report->name_width, host->name);
}

static void plain_say(struct report *report, const char *text)
{
	if (report->verbosity == REPORT_QUIET)
		return;
	print_escaped(report->talk, text);
	fputc('\n', report->talk);
	fflush(report->talk);
}

static void plain_phase(struct report *report, const struct report_host *host)
{
	if (report->verbosity == REPORT_QUIET)
		return;
	begin_line(report, host);
	print_escaped(report->talk, host->phase);
	if (host->total) {
		char size[TEXT_UNIT_SIZE];
		fprintf(report->talk, " %s", text_bytes(host->total, size));
	}
	fputc('\n', report->talk);
	fflush(report->talk);
}

void print_event(struct report *report, const struct report_host *host,
	const Fairlead__V1__Event *event, enum report_seen seen)
{
	const char *service = event->service ? event->service : "";
	const char *message = event->message ? event->message : "";
	bool shown =
		*service ? report->verbosity >= REPORT_NORMAL : report->verbosity >= REPORT_VERBOSE;
	if (event->missed && report->verbosity >= REPORT_NORMAL) {
		begin_line(report, host);
		fprintf(report->talk, "(%" PRIu64 " events up to number %" PRIu64 " are missing)\n",
			event->missed, event->number);
		return;
	}
	if (!shown)
		return;
	begin_line(report, host);
	if (*service) {
		print_escaped(report->talk, service);
		fputs(": ", report->talk);
	}
	print_escaped(report->talk, *message ? message : report_state_name(event->state));
	fputs(seen == REPORT_SEEN_PERHAPS ? " (perhaps shown before)\n" : "\n", report->talk);
	fflush(report->talk);
}

void print_failure(struct report *report, const struct report_host *host, const struct err *err,
	const char *diagnosis)
{
	enum colour_use use = colour_use_for(report->talk);
	begin_line(report, host);
	fprintf(report->talk, "%s%s%s", colour_begin(use, COLOUR_RED), host->state,
		colour_end(use));
	if (err) {
		fputs(": ", report->talk);
		print_escaped(report->talk, err->message);
	}
	fputc('\n', report->talk);
	if (err && err->hint[0]) {
		fputs("    hint: ", report->talk);
		print_escaped(report->talk, err->hint);
		fputc('\n', report->talk);
	}
	print_block(report->talk, "    | ", diagnosis);
	fflush(report->talk);
}

static void plain_host_end(struct report *report, const struct report_host *host,
	const struct err *err, const char *diagnosis)
{
	if (err) {
		print_failure(report, host, err, diagnosis);
		return;
	}
	if (report->verbosity == REPORT_QUIET)
		return;
	char elapsed[TEXT_UNIT_SIZE];
	begin_line(report, host);
	fprintf(report->talk, "%s (%s)\n", host->state,
		text_duration(report_host_elapsed_ms(host, clock_mono_ms()), elapsed));
	fflush(report->talk);
}

void print_end(struct report *report, const char *outcome, int exit_status, uint64_t duration_ms,
	const char *line)
{
	enum colour_use use = colour_use_for(report->out);
	char duration[TEXT_UNIT_SIZE];
	fflush(report->talk); /* the result comes last, also when both go to one file */
	fputs(colour_begin(use, exit_status == 0 ? COLOUR_GREEN : COLOUR_RED), report->out);
	print_escaped(report->out, line && *line ? line : outcome);
	fprintf(report->out, " (%s)%s\n", text_duration(duration_ms, duration), colour_end(use));
	fflush(report->out);
}

const struct look look_plain = {
	.say = plain_say,
	.phase = plain_phase,
	.event = print_event,
	.host_end = plain_host_end,
	.end = print_end,
};
