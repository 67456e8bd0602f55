/* "host:port", "1.2.3.4:7443", "[::1]:7443": addresses as people write them; and sites, what limits
 * by address go by. Pure. */
#pragma once

#include "common/base/err.h"

#include <netinet/in.h>
#include <stddef.h>

enum { ADDRESS_MAX = 255 };

/* The URL nng wants, a new string; ERR_CONFIG with what is wrong. Port 0 is fine here. */
int address_url(const char *address, char **ret, struct err *err);

/* Who can be told from whom: an IPv4 address (as ::ffff:a.b.c.d), and of an IPv6 address the first
 * 64 bits, since everybody who has one has 2^64 of them. */
struct in6_addr address_site(const struct in6_addr *address);
