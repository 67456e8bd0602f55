/* How a running deployment is shown: a live line per host on a TTY, plain lines elsewhere, NDJSON
 * with --json. One struct, three looks, one table of ops; the caller only says what happens.
 * Progress goes to stderr, results to stdout; --json writes everything to stdout, as objects
 * with "event" (say, phase, agent, host_end, end) and "time". One thread. */
#pragma once

#include "common/base/err.h"
#include "fairlead/v1/agent.pb-c.h"

#include <cjson/cJSON.h>
#include <stdio.h>

enum report_style { REPORT_PLAIN, REPORT_TTY, REPORT_JSON };
enum report_verbosity { REPORT_QUIET = -1, REPORT_NORMAL = 0, REPORT_VERBOSE = 1 };

struct report;
/* The style that fits: JSON if asked, TTY when stderr is one and TERM is not "dumb". */
enum report_style report_style_choose(int json);
struct report *report_new(enum report_style style, enum report_verbosity verbosity,
	const char *const *hosts, size_t host_count, FILE *out, FILE *talk);
void report_free(struct report *report); /* restores the terminal */

/* One line of talk: what is being done and why. Escaped where it holds foreign bytes. */
void report_say(struct report *report, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Host `host` (an index) entered a phase, or moved on in it: bytes done of total, 0/0 for none. */
void report_phase(
	struct report *report, size_t host, const char *phase, uint64_t done, uint64_t total);
/* An event from the agent: a line when verbose, the service lines and gaps always. SEEN_PERHAPS: a
 * coordinator that died may have shown it; it is marked. */
enum report_seen { REPORT_UNSEEN, REPORT_SEEN_PERHAPS };
void report_event(struct report *report, size_t host, const Fairlead__V1__Event *event,
	enum report_seen seen);
/* The host is finished: its final state, and why if it failed (error, diagnosis: NULL or ""). */
void report_host_end(struct report *report, size_t host, const char *state, const struct err *error,
	const char *diagnosis);
/* The last line: "APP_ONLY: abc1234 → def5678 on 3 hosts", or what failed. The duration is added
 * behind it: " (1.2s)". The outcome stands in for a line that is NULL or "". */
void report_end(struct report *report, const char *outcome, int exit_status, uint64_t duration_ms,
	const char *line);
/* Redraw elapsed times (TTY); call about ten times a second. */
void report_tick(struct report *report);

/* "error: …" and "hint: …" to stderr, or {"error": …} to stdout with --json; escaped. */
void report_error(enum report_style style, const struct err *err);
/* State without its prefix, lower case: "rolled_back". */
const char *report_state_name(Fairlead__V1__State state);
