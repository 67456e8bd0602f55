#include "common/link/address.h"

#include "common/base/mem.h"

#include <stdbool.h>
#include <string.h>

static bool host_is_plain(const char *host, size_t len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_";
	return len > 0 && strspn(host, allowed) == len;
}

static bool host_is_ipv6(const char *host, size_t len)
{
	static const char allowed[] = "0123456789abcdefABCDEF:.";
	return len > 4 && host[0] == '[' && host[len - 1] == ']' &&
	       strspn(host + 1, allowed) == len - 2;
}

static bool port_is_valid(const char *port)
{
	size_t len = strlen(port);
	return len > 0 && len <= 5 && strspn(port, "0123456789") == len &&
	       strtoul(port, NULL, 10) <= 65535;
}

int address_url(const char *address, char **ret, struct err *err)
{
	const char *colon = strrchr(address, ':');
	size_t host = colon ? (size_t)(colon - address) : 0;
	if (!colon || strlen(address) > ADDRESS_MAX || !port_is_valid(colon + 1) ||
		!(host_is_plain(address, host) || host_is_ipv6(address, host))) {
		err_set(err, ERR_CONFIG, "'%s' is not an address", address);
		return err_hint(err, "Write host:port, for example 10.0.0.11:7443 or [::1]:7443.");
	}
	*ret = xasprintf("tcp://%s", address);
	return 0;
}

struct in6_addr address_site(const struct in6_addr *address)
{
	struct in6_addr site = *address;
	if (!IN6_IS_ADDR_V4MAPPED(address))
		memset(&site.s6_addr[8], 0, 8);
	return site;
}
