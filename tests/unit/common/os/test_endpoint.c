/* Addresses to listen at, as users write them. */
#include "common/os/endpoint.h"

#include "common/base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>

#include <cmocka.h>

static void good_ones_are_understood(void **state)
{
	(void)state;
	static const struct {
		const char *text, *name, *place;
		unsigned port;
		int family;
	} good[] = {
		{"127.0.0.1:8080", "", "127.0.0.1:8080", 8080, AF_INET},
		{"0.0.0.0:1", "", "0.0.0.0:1", 1, AF_INET},
		{"[::1]:65535", "", "[::1]:65535", 65535, AF_INET6},
		{"http=10.0.0.1:80", "http", "10.0.0.1:80", 80, AF_INET},
		{"a.b-c_1=[::]:443", "a.b-c_1", "[::]:443", 443, AF_INET6},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct endpoint at;
		if (endpoint_parse(good[i].text, &at) < 0)
			fail_msg("%s", good[i].text);
		assert_string_equal(at.name, good[i].name);
		assert_string_equal(at.place, good[i].place);
		assert_int_equal(at.port, good[i].port);
		assert_int_equal(at.address.ss_family, good[i].family);
		struct sockaddr_in in;
		memcpy(&in, &at.address, sizeof(in)); /* the port has the same place in both */
		assert_int_equal(ntohs(in.sin_port), good[i].port);
	}
}

static void bad_ones_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", ":", "8080", ":8080", "127.0.0.1",
		"127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:99999999999",
		"127.0.0.1:80x", "127.0.0.1:-1", "127.0.0.1: 80", "localhost:80", "::1:80",
		"[::1]80", "[]:80", "[127.0.0.1]:80", "=127.0.0.1:80", "a:b=127.0.0.1:80",
		"a b=127.0.0.1:80", "[::1:80", "]:80", "[:80"};
	struct endpoint at = {.port = 7};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (endpoint_parse(bad[i], &at) == 0)
			fail_msg("'%s' is taken for an address", bad[i]);
	assert_int_equal(at.port, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_are_understood),
		cmocka_unit_test(bad_ones_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
