#include "common/os/endpoint.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { PORT_DIGITS = 5, PORT_MAX = 65535 };

static int parse_name(const char *text, const char *equals, char ret[static ENDPOINT_NAME_SIZE])
{
	size_t len = (size_t)(equals - text);
	if (len >= ENDPOINT_NAME_SIZE)
		return -1;
	memcpy(ret, text, len);
	ret[len] = '\0';
	return text_is_name(ret) ? 0 : -1;
}

static int parse_port(const char *text, unsigned *ret)
{
	size_t len = strspn(text, "0123456789");
	if (len == 0 || len > PORT_DIGITS || text[len])
		return -1;
	*ret = (unsigned)strtoul(text, NULL, 10);
	return *ret >= 1 && *ret <= PORT_MAX ? 0 : -1;
}

static int parse_v4(const char *host, struct endpoint *ret)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ret->port)};
	if (inet_pton(AF_INET, host, &v4.sin_addr) != 1)
		return -1;
	memcpy(&ret->address, &v4, sizeof(v4));
	ret->address_len = sizeof(v4);
	return 0;
}

static int parse_v6(const char *host, struct endpoint *ret)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)ret->port)};
	if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
		return -1;
	memcpy(&ret->address, &v6, sizeof(v6));
	ret->address_len = sizeof(v6);
	return 0;
}

int endpoint_parse(const char *text, struct endpoint *ret)
{
	struct endpoint found = {.place = text};
	const char *equals = strchr(text, '=');
	if (equals && parse_name(text, equals, found.name) < 0)
		return -1;
	if (equals)
		found.place = equals + 1;
	const char *colon = strrchr(found.place, ':');
	if (!colon || parse_port(colon + 1, &found.port) < 0)
		return -1;
	size_t len = (size_t)(colon - found.place);
	int is_v6 = len >= 2 && found.place[0] == '[' && colon[-1] == ']';
	AUTO_FREE char *host =
		is_v6 ? xstrndup(found.place + 1, len - 2) : xstrndup(found.place, len);
	if ((is_v6 ? parse_v6(host, &found) : parse_v4(host, &found)) < 0)
		return -1;
	*ret = found;
	return 0;
}
