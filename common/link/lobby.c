#include "common/link/lobby.h"

void lobby_init(struct lobby *lobby, unsigned max, unsigned max_per_site)
{
	*lobby = (struct lobby){.max = max, .max_per_site = max_per_site};
	TAILQ_INIT(&lobby->links);
}

static bool same_site(const struct in6_addr *a, const struct in6_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static unsigned count_at(const struct lobby *lobby, const struct in6_addr *site)
{
	unsigned count = 0;
	const struct link *link;
	TAILQ_FOREACH(link, &lobby->links, next)
	count += same_site(&link->site, site);
	return count;
}

static struct link *oldest_at(const struct lobby *lobby, const struct in6_addr *site)
{
	struct link *link;
	TAILQ_FOREACH(link, &lobby->links, next)
	if (same_site(&link->site, site))
		return link;
	return NULL;
}

/* The oldest of the site that has the most here. */
static struct link *oldest_of_most(const struct lobby *lobby)
{
	struct link *link, *found = NULL;
	unsigned most = 0;
	TAILQ_FOREACH(link, &lobby->links, next)
	{
		unsigned count = count_at(lobby, &link->site);
		if (count > most) {
			most = count;
			found = link;
		}
	}
	return found;
}

struct link *lobby_crowded(const struct lobby *lobby, const struct in6_addr *site)
{
	if (count_at(lobby, site) >= lobby->max_per_site)
		return oldest_at(lobby, site);
	return lobby->count >= lobby->max ? oldest_of_most(lobby) : NULL;
}

void lobby_enter(struct lobby *lobby, struct link *link)
{
	TAILQ_INSERT_TAIL(&lobby->links, link, next);
	link->place = LINK_IN_LOBBY;
	lobby->count++;
}

void lobby_leave(struct lobby *lobby, struct link *link)
{
	TAILQ_REMOVE(&lobby->links, link, next);
	link->place = LINK_NOWHERE;
	lobby->count--;
}

struct link *lobby_find(const struct lobby *lobby, uint64_t request, enum link_state state)
{
	struct link *link;
	TAILQ_FOREACH(link, &lobby->links, next)
	if (link->request == request && link->state == state)
		return link;
	return NULL; /* the peer has hung up in the meantime */
}

struct link *lobby_next_to_sign(struct lobby *lobby)
{
	struct link *link;
	if (lobby->asked >= LOBBY_SIGNATURES_MAX)
		return NULL;
	TAILQ_FOREACH(link, &lobby->links, next)
	{
		if (link->state != LINK_SIGNING || link->asked)
			continue;
		link->asked = true;
		lobby->asked++;
		return link;
	}
	return NULL;
}

void lobby_signed(struct lobby *lobby)
{
	if (lobby->asked > 0)
		lobby->asked--;
}
