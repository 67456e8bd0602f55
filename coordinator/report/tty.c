/* A terminal: a live line per host below the lines that stay.
 *
 * The cursor rests below the live region. To change something, the region is wiped, what stays
 * is printed, and the region is drawn again, all in one write so that nothing flickers. The
 * escape sequences are those of ECMA-48 and DEC private mode 7 (DECAWM). */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "coordinator/report/look.h"

#include <sys/ioctl.h>

enum { ROWS_DEFAULT = 24, PHASE_WIDTH = 14 };

/* A line must not wrap, else the region is taller than counted: the terminal cuts it. */
#define WRAP_OFF "\x1b[?7l"
#define WRAP_ON "\x1b[?7h"

static void wipe(struct report *report, struct buf *frame)
{
	if (report->lines_drawn)
		buf_printf(frame, "\x1b[%zuA\r\x1b[J", report->lines_drawn);
	report->lines_drawn = 0;
}

static enum colour host_colour(const struct report_host *host)
{
	if (!host->state)
		return COLOUR_NONE;
	return host->failed ? COLOUR_RED : COLOUR_GREEN;
}

static void draw_host(const struct report *report, const struct report_host *host,
	uint64_t now_mono_ms, struct buf *frame)
{
	enum colour_use use = colour_use_for(report->talk);
	char done[TEXT_UNIT_SIZE], total[TEXT_UNIT_SIZE], elapsed[TEXT_UNIT_SIZE];
	const char *mark = host->state ? (host->failed ? "✗" : "✓") : host->phase ? "▸" : "·";
	const char *what = host->state ? host->state : host->phase ? host->phase : "waiting";
	AUTO_FREE char *shown = text_escaped(what);

	buf_printf(frame, "%s%s%s %-*s  %-*s", colour_begin(use, host_colour(host)), mark,
		colour_end(use), report->name_width, host->name, PHASE_WIDTH, shown);
	if (!host->state && host->total)
		buf_printf(frame, "  %s of %s", text_bytes(host->done, done),
			text_bytes(host->total, total));
	if (host->started_mono_ms)
		/* Tenths: more would only flicker. */
		buf_printf(frame, "  %s%s%s", colour_begin(use, COLOUR_DIM),
			text_duration(
				report_host_elapsed_ms(host, now_mono_ms) / 100 * 100, elapsed),
			colour_end(use));
	buf_append_str(frame, "\n");
}

/* Lines that fit on the screen above the cursor. */
static size_t screen_lines(const struct report *report)
{
	struct winsize size = {0};
	int fd = fileno(report->talk);
	if (fd < 0 || ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row < 4)
		return ROWS_DEFAULT - 2;
	return size.ws_row - 2u;
}

/* All hosts when they fit; else those at work, first come first, and a count of the others. */
static void draw(struct report *report, size_t max_lines, struct buf *frame)
{
	uint64_t now_mono_ms = clock_mono_ms();
	bool all = report->host_count <= max_lines;
	size_t shown = 0, ended = 0;

	buf_append_str(frame, WRAP_OFF);
	for (size_t i = 0; i < report->host_count; i++) {
		const struct report_host *host = &report->hosts[i];
		ended += host->state != NULL;
		if (!all && (host->state || !host->phase || shown + 1 >= max_lines))
			continue;
		draw_host(report, host, now_mono_ms, frame);
		shown++;
	}
	report->lines_drawn = shown;
	if (!all) {
		buf_printf(frame, "  and %zu more of %zu hosts, %zu finished\n",
			report->host_count - shown, report->host_count, ended);
		report->lines_drawn++;
	}
	buf_append_str(frame, WRAP_ON);
}

static void show(struct report *report, struct buf *frame)
{
	if (frame->len == 0)
		return;
	fwrite(frame->data, 1, frame->len, report->talk);
	fflush(report->talk);
}

static void tty_tick(struct report *report)
{
	AUTO(buf) struct buf frame = {0};
	wipe(report, &frame);
	draw(report, screen_lines(report), &frame);
	show(report, &frame);
}

/* What stays goes above the live region. */
static void make_way(struct report *report)
{
	AUTO(buf) struct buf frame = {0};
	wipe(report, &frame);
	show(report, &frame);
}

static void tty_say(struct report *report, const char *text)
{
	bool live = report->lines_drawn > 0;
	make_way(report);
	print_escaped(report->talk, text);
	fputc('\n', report->talk);
	if (live)
		tty_tick(report);
	fflush(report->talk);
}

static void tty_phase(struct report *report, const struct report_host *host)
{
	(void)host;
	tty_tick(report);
}

static void tty_event(struct report *report, const struct report_host *host,
	const Fairlead__V1__Event *event, enum report_seen seen)
{
	make_way(report);
	print_event(report, host, event, seen);
	tty_tick(report);
}

static void tty_host_end(struct report *report, const struct report_host *host,
	const struct err *err, const char *diagnosis)
{
	make_way(report);
	if (err)
		print_failure(report, host, err, diagnosis);
	tty_tick(report);
}

/* The last picture shows every host and stays: it may scroll now. */
static void leave(struct report *report)
{
	if (!report->lines_drawn)
		return;
	AUTO(buf) struct buf frame = {0};
	wipe(report, &frame);
	draw(report, SIZE_MAX, &frame);
	report->lines_drawn = 0;
	show(report, &frame);
}

static void tty_end(struct report *report, const char *outcome, int exit_status,
	uint64_t duration_ms, const char *line)
{
	leave(report);
	print_end(report, outcome, exit_status, duration_ms, line);
}

const struct look look_tty = {
	.say = tty_say,
	.phase = tty_phase,
	.event = tty_event,
	.host_end = tty_host_end,
	.end = tty_end,
	.tick = tty_tick,
	.close = leave,
};
