/* Inside the report room: a look is how a report is shown. report.c keeps what happened, the look
 * is told after each change. One thread. */
#pragma once

#include "coordinator/report/style.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report_host {
	char *name;
	char *phase;              /* NULL before the first */
	uint64_t done, total;     /* bytes; total 0 for none */
	uint64_t started_mono_ms; /* its first phase */
	uint64_t ended_mono_ms;   /* 0: not yet */
	char *state;              /* the final one */
	bool failed;
};

struct look;

struct report {
	const struct look *look;
	enum report_verbosity verbosity;
	FILE *out, *talk; /* borrowed */
	struct report_host *hosts;
	size_t host_count;
	int name_width;
	/* TTY: lines of the live region that are on the screen, the cursor right below them. */
	size_t lines_drawn;
};

/* Every op but `say` and `end` may be NULL: that is not shown. `text` is not escaped yet. */
struct look {
	void (*say)(struct report *report, const char *text);
	/* The host entered a phase. Moving on within it is for tick. */
	void (*phase)(struct report *report, const struct report_host *host);
	/* It has all the bytes of its phase. */
	void (*transferred)(struct report *report, const struct report_host *host);
	void (*event)(struct report *report, const struct report_host *host,
		const Fairlead__V1__Event *event, enum report_seen seen);
	/* err is NULL when the host is well, diagnosis never. */
	void (*host_end)(struct report *report, const struct report_host *host,
		const struct err *err, const char *diagnosis);
	void (*end)(struct report *report, const char *outcome, int exit_status,
		uint64_t duration_ms, const char *line);
	void (*tick)(struct report *report);
	void (*close)(struct report *report);
};

extern const struct look look_plain;
extern const struct look look_tty;
extern const struct look look_json;

/* How long the host has been, or was, at work. */
uint64_t report_host_elapsed_ms(const struct report_host *host, uint64_t now_mono_ms);

/* Shared by the looks for people (plain.c). */
void print_event(struct report *report, const struct report_host *host,
	const Fairlead__V1__Event *event, enum report_seen seen);
/* The error, the hint and the diagnosis of a host, indented. */
void print_failure(struct report *report, const struct report_host *host, const struct err *err,
	const char *diagnosis);
void print_end(struct report *report, const char *outcome, int exit_status, uint64_t duration_ms,
	const char *line);
