/* The links of a server that are not let in yet: strangers, until their handshake is done.
 *
 * Invariant: at most `max` in all and `max_per_site` from one site are here, so what strangers can
 * make the host hold is bounded, and what is let in has places of its own (server.c). Who comes to
 * a full lobby takes the place of the one that has been in it the longest: a handshake takes
 * milliseconds, so a flood pushes out itself. A site that has filled its own share gives way
 * first, then the site that has the most. Pure; loop thread. */
#pragma once

#include "common/link/connection.h"

TAILQ_HEAD(link_list, link);

struct lobby {
	struct link_list links; /* oldest first */
	unsigned count, max, max_per_site;
	unsigned asked; /* signatures that were asked for and have not come */
};

/* Signatures under way at once. The host's key is in another program, and its time is everybody's:
 * a flood of handshakes must not queue up before the commands of a deployment. */
enum { LOBBY_SIGNATURES_MAX = 16 };

void lobby_init(struct lobby *lobby, unsigned max, unsigned max_per_site);
/* Who has to go before one more may come from `site`; NULL when there is room. */
struct link *lobby_crowded(const struct lobby *lobby, const struct in6_addr *site);
void lobby_enter(struct lobby *lobby, struct link *link);
void lobby_leave(struct lobby *lobby, struct link *link);
/* The link with this request, if it is still here and in this state. */
struct link *lobby_find(const struct lobby *lobby, uint64_t request, enum link_state state);
/* The oldest that waits for a signature and has not been asked for, when one may be asked for
 * now; it counts as asked for from here on. */
struct link *lobby_next_to_sign(struct lobby *lobby);
/* A signature has come, for whomever. */
void lobby_signed(struct lobby *lobby);
