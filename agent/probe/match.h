/* Is this HTTP answer what the probe wants: status, text, JSON fields, release?
 *
 * The answer is foreign bytes, read up to a bound by the caller. Pure. */
#pragma once

#include "common/base/buf.h"
#include "fairlead/v1/local.pb-c.h"

enum { MATCH_RELEASE_MIN = 7 }; /* characters that name a release, as short commits have */

struct match_answer {
	long status;
	struct bytes body;
	int body_is_cut;    /* there was more of it */
	const char *header; /* the one that names the release; NULL: not there */
};

/* 1: it is. 0: `why` says what was wanted, to go behind "HTTP 503": ", wanted 200-299". */
int match_http(const Fairlead__V1__ProbeRequest *request, const struct match_answer *answer,
	struct buf *why);
/* Does this text name the release: its digest (in hex) or commit, or the beginning of one? */
int match_names_release(const char *text, const char *digest, const char *commit);
