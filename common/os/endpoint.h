/* Where a socket that is handed over listens: "[NAME=]ADDRESS:PORT", as a user writes it.
 *
 * ADDRESS is numeric, an IPv6 one in brackets; PORT 1 to 65535. NAME is what LISTEN_FDNAMES says
 * of it (sd_listen_fds_with_names(3)): letters, digits, '.', '_' and '-', at most 63. Pure. */
#pragma once

#include "common/base/err.h"

#include <sys/socket.h>

enum { ENDPOINT_NAME_SIZE = 64, ENDPOINTS_MAX = 16 };

struct endpoint {
	char name[ENDPOINT_NAME_SIZE]; /* empty: none was given */
	const char *place;             /* ADDRESS:PORT, borrowed from the text */
	unsigned port;
	struct sockaddr_storage address;
	socklen_t address_len;
};

/* -1: it is none of these, *ret untouched. */
int endpoint_parse(const char *text, struct endpoint *ret);
