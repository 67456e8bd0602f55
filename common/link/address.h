/* "host:port", "1.2.3.4:7443", "[::1]:7443": addresses as people write them. Pure. */
#pragma once

#include "common/base/err.h"

#include <stddef.h>

enum { ADDRESS_MAX = 255 };

/* The URL nng wants, a new string; ERR_CONFIG with what is wrong. Port 0 is fine here. */
int address_url(const char *address, char **ret, struct err *err);
