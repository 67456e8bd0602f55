/* The network of a simulation: at most one link between each coordinator and each host.
 *
 * A link carries commands one way and answers the other, in order and with delays. It breaks when
 * the host's agent dies, when it is cut, and when the host is cut off for a while; both ends are
 * told, the coordinator as late as a ping would tell it. On top of that there may be somebody in
 * between: who swallows a message, lets one overtake another, and keeps commands to send them again
 * whenever it pleases. */
#pragma once

#include "message.h"
#include "world.h"

enum { NET_HOSTS = 5, NET_COORDINATORS = 8 };

struct net_weather {
	unsigned drop_permille, replay_permille, overtake_permille;
	uint64_t delay_ms; /* the longest, of one message */
};

/* The ends. A link has a number, from 1, never used again. */
struct net_ops {
	bool (*host_is_up)(void *user, size_t host);
	void (*host_command)(void *user, size_t host, uint64_t link, const struct command *command);
	void (*host_lost)(void *user, size_t host, uint64_t link);
	/* The dial has ended: link 0, nobody answers. */
	void (*linked)(void *user, size_t coordinator, size_t host, uint64_t link);
	void (*answered)(void *user, size_t coordinator, size_t host, const struct answer *answer);
	void (*lost)(void *user, size_t coordinator, size_t host);
};

struct net_packet;
struct net_link {
	uint64_t number;                   /* 0: none */
	uint64_t last_down_ms, last_up_ms; /* when the newest message arrives, each way */
};

struct net {
	struct world *world;
	struct net_weather weather;
	const struct net_ops *ops;
	void *user;
	struct net_link links[NET_COORDINATORS][NET_HOSTS];
	uint64_t links_made;
	uint64_t cut_off_until_ms[NET_HOSTS];
	struct net_packet *packets; /* all that may still be delivered; freed at the end */
};

void net_init(struct net *net, struct world *world, const struct net_weather *weather,
	const struct net_ops *ops, void *user);
void net_release(struct net *net);

void net_dial(struct net *net, size_t coordinator, size_t host);
/* Silently nowhere, without a link. */
void net_command(struct net *net, size_t coordinator, size_t host, const struct command *command);
/* To whoever is at the other end of the link, if it is still there. */
void net_answer(struct net *net, size_t host, uint64_t link, const struct answer *answer);
void net_event(struct net *net, size_t host, const struct answer *answer); /* to all links */

void net_cut(struct net *net, size_t coordinator, size_t host);
void net_cut_off(struct net *net, size_t host, uint64_t for_ms);
/* The agent has ended: its links are gone. */
void net_host_died(struct net *net, size_t host);
/* The coordinator has ended: nobody is told but the hosts. */
void net_coordinator_died(struct net *net, size_t coordinator);
