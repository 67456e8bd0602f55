/* Which release of a host somebody means: by the beginning of its digest or of its commit. */
#pragma once

#include "common/base/err.h"
#include "fairlead/v1/agent.pb-c.h"

/* Can this be the beginning of a digest or a commit? Asked before any host is. ERR_USAGE says what
 * form one has. NULL, for whoever named none, is fine. */
int release_check_name(const char *wanted, struct err *err);
/* Exactly one of the list matches, borrowed from it. ERR_USAGE: more than one; ERR_NOT_FOUND: none.
 * host is for the message. */
int release_choose(const Fairlead__V1__ReleaseList *list, const char *wanted, const char *host,
	const Fairlead__V1__Release **ret, struct err *err);
