/* Who may wait for the end of a handshake, and who has to make room. */
#include "common/base/mem.h"
#include "common/link/address.h"
#include "common/link/lobby.h"

#include <arpa/inet.h>
#include <setjmp.h>

#include <cmocka.h>

enum { GUESTS = 40 };

static struct in6_addr site(const char *address)
{
	struct in6_addr parsed;
	assert_int_equal(inet_pton(AF_INET6, address, &parsed), 1);
	return address_site(&parsed);
}

/* Links that are nothing but a place and a state. */
static void come(struct lobby *lobby, struct link *link, const char *address)
{
	*link = (struct link){.site = site(address), .state = LINK_SIGNING};
	lobby_enter(lobby, link);
}

static struct link *crowded(const struct lobby *lobby, const char *address)
{
	struct in6_addr from = site(address);
	return lobby_crowded(lobby, &from);
}

static void a_site_is_what_can_be_told_apart(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"::ffff:10.0.0.1", "::ffff:10.0.0.1", true},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.2", false},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct in6_addr a = site(cases[i].a), b = site(cases[i].b);
		assert_int_equal(memcmp(&a, &b, sizeof(a)) == 0, cases[i].same);
	}
}

static void the_oldest_of_a_full_site_makes_room(void **state)
{
	(void)state;
	struct lobby lobby;
	struct link guests[4];
	lobby_init(&lobby, 10, 2);
	come(&lobby, &guests[0], "::ffff:10.0.0.9");
	come(&lobby, &guests[1], "::ffff:10.0.0.1");
	assert_null(crowded(&lobby, "::ffff:10.0.0.1"));
	come(&lobby, &guests[2], "::ffff:10.0.0.1");
	assert_ptr_equal(crowded(&lobby, "::ffff:10.0.0.1"), &guests[1]);
	assert_null(crowded(&lobby, "::ffff:10.0.0.9"));
	lobby_leave(&lobby, &guests[1]);
	assert_null(crowded(&lobby, "::ffff:10.0.0.1"));
}

/* A flood from one address does not touch the one guest of another, however old. */
static void the_largest_crowd_makes_room_for_others(void **state)
{
	(void)state;
	struct lobby lobby;
	struct link guests[8];
	lobby_init(&lobby, 8, 7);
	come(&lobby, &guests[0], "::ffff:10.0.0.9");
	for (int i = 1; i < 8; i++)
		come(&lobby, &guests[i], "2001:db8::1");
	assert_ptr_equal(crowded(&lobby, "::ffff:10.0.0.7"), &guests[1]);
	assert_ptr_equal(crowded(&lobby, "::ffff:10.0.0.9"), &guests[1]);
	assert_ptr_equal(crowded(&lobby, "2001:db8::2"), &guests[1]);
}

static void signatures_are_asked_for_a_few_at_once(void **state)
{
	(void)state;
	struct lobby lobby;
	struct link guests[GUESTS];
	lobby_init(&lobby, GUESTS, GUESTS);
	for (int i = 0; i < GUESTS; i++)
		come(&lobby, &guests[i], "::ffff:10.0.0.1");
	for (int i = 0; i < LOBBY_SIGNATURES_MAX; i++)
		assert_ptr_equal(lobby_next_to_sign(&lobby), &guests[i]);
	assert_null(lobby_next_to_sign(&lobby));
	/* Who was asked for and has left still counts: the signer is still at it. */
	lobby_leave(&lobby, &guests[0]);
	assert_null(lobby_next_to_sign(&lobby));
	lobby_signed(&lobby);
	lobby_leave(&lobby, &guests[LOBBY_SIGNATURES_MAX]);
	assert_ptr_equal(lobby_next_to_sign(&lobby), &guests[LOBBY_SIGNATURES_MAX + 1]);
	assert_null(lobby_next_to_sign(&lobby));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_site_is_what_can_be_told_apart),
		cmocka_unit_test(the_oldest_of_a_full_site_makes_room),
		cmocka_unit_test(the_largest_crowd_makes_room_for_others),
		cmocka_unit_test(signatures_are_asked_for_a_few_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
