#include "net.h"

#include "common/base/mem.h"

enum {
	DIAL_MS = 200,
	NOTICE_MS = 10000, /* pings say that the other end is gone */
	REPLAY_MS = 400000,
};

struct net_packet {
	struct net_packet *next;
	struct net *net;
	size_t coordinator, host;
	uint64_t link;
	enum { PACKET_LINK, PACKET_REPLAYED } kind;
	struct command command;
	struct answer answer;
};

void net_init(struct net *net, struct world *world, const struct net_weather *weather,
	const struct net_ops *ops, void *user)
{
	*net = (struct net){.world = world, .weather = *weather, .ops = ops, .user = user};
}

void net_release(struct net *net)
{
	while (net->packets) {
		struct net_packet *packet = net->packets;
		net->packets = packet->next;
		free(packet);
	}
}

static struct net_packet *new_packet(struct net *net, size_t coordinator, size_t host)
{
	struct net_packet *packet = xcalloc(1, sizeof(*packet));
	packet->net = net;
	packet->coordinator = coordinator;
	packet->host = host;
	packet->link = net->links[coordinator][host].number;
	packet->next = net->packets;
	net->packets = packet;
	return packet;
}

static bool is_cut_off(const struct net *net, size_t host)
{
	return net->world->now_ms < net->cut_off_until_ms[host];
}

/* ---- links ---- */

static void on_dialled(void *user, uint64_t argument)
{
	struct net_packet *packet = user;
	struct net *net = packet->net;
	struct net_link *link = &net->links[packet->coordinator][packet->host];
	(void)argument;
	bool there =
		!is_cut_off(net, packet->host) && net->ops->host_is_up(net->user, packet->host);
	if (there)
		*link = (struct net_link){.number = ++net->links_made};
	net->ops->linked(net->user, packet->coordinator, packet->host, link->number);
}

void net_dial(struct net *net, size_t coordinator, size_t host)
{
	struct net_packet *packet = new_packet(net, coordinator, host);
	world_after(net->world, world_between(net->world, 1, DIAL_MS), on_dialled, packet, 0);
}

static void on_left(void *user, uint64_t link)
{
	struct net_packet *packet = user;
	packet->net->ops->host_lost(packet->net->user, packet->host, link);
}

static void on_notice(void *user, uint64_t argument)
{
	struct net_packet *packet = user;
	(void)argument;
	packet->net->ops->lost(packet->net->user, packet->coordinator, packet->host);
}

/* The host hears at once, the coordinator when a ping is not answered. */
static void end_link(struct net *net, size_t coordinator, size_t host, uint64_t notice_ms)
{
	struct net_link *link = &net->links[coordinator][host];
	if (!link->number)
		return;
	struct net_packet *packet = new_packet(net, coordinator, host);
	world_after(net->world, 0, on_left, packet, link->number);
	*link = (struct net_link){0};
	world_after(net->world, world_between(net->world, 1, notice_ms), on_notice, packet, 0);
}

void net_cut(struct net *net, size_t coordinator, size_t host)
{
	if (!net->links[coordinator][host].number)
		return;
	world_count(net->world, TALLY_CUTS);
	world_say(net->world, "net: the link of coordinator %zu to host %zu is cut", coordinator,
		host);
	end_link(net, coordinator, host, NOTICE_MS);
}

void net_cut_off(struct net *net, size_t host, uint64_t for_ms)
{
	world_count(net->world, TALLY_PARTITIONS);
	world_say(net->world, "net: host %zu is cut off for %llu ms", host,
		(unsigned long long)for_ms);
	net->cut_off_until_ms[host] = net->world->now_ms + for_ms;
	for (size_t i = 0; i < NET_COORDINATORS; i++)
		end_link(net, i, host, NOTICE_MS);
}

void net_host_died(struct net *net, size_t host)
{
	for (size_t i = 0; i < NET_COORDINATORS; i++)
		end_link(net, i, host, DIAL_MS);
}

void net_coordinator_died(struct net *net, size_t coordinator)
{
	for (size_t i = 0; i < NET_HOSTS; i++) {
		struct net_link *link = &net->links[coordinator][i];
		if (link->number)
			world_after(net->world, 0, on_left, new_packet(net, coordinator, i),
				link->number);
		*link = (struct net_link){0};
	}
}

/* ---- messages ---- */

/* In order, unless somebody lets it overtake. */
static uint64_t delay(struct net *net, uint64_t *last_ms)
{
	struct world *world = net->world;
	uint64_t at_ms = world->now_ms + world_between(world, 1, net->weather.delay_ms);
	if (world_chance(world, net->weather.overtake_permille))
		return at_ms - world->now_ms;
	if (at_ms < *last_ms)
		at_ms = *last_ms;
	*last_ms = at_ms;
	return at_ms - world->now_ms;
}

/* A message that gets lost takes its link along: what comes after it cannot be deciphered. But the
 * gateway has it in the clear, and may swallow a call or its answer. */
static bool is_dropped(struct net *net, size_t coordinator, size_t host, bool is_call)
{
	struct world *world = net->world;
	world_count(world, TALLY_MESSAGES);
	if (!world_chance(world, net->weather.drop_permille))
		return false;
	world_count(world, TALLY_DROPPED);
	world_say(world, "net: a message between coordinator %zu and host %zu is lost", coordinator,
		host);
	if (!is_call || world_chance(world, 500))
		end_link(net, coordinator, host, NOTICE_MS);
	return true;
}

static void on_command(void *user, uint64_t argument)
{
	struct net_packet *packet = user;
	struct net *net = packet->net;
	(void)argument;
	if (packet->kind == PACKET_REPLAYED) {
		world_count(net->world, TALLY_REPLAYED);
		if (net->ops->host_is_up(net->user, packet->host))
			net->ops->host_command(net->user, packet->host, 0, &packet->command);
		return;
	}
	if (packet->link == net->links[packet->coordinator][packet->host].number)
		net->ops->host_command(net->user, packet->host, packet->link, &packet->command);
}

static void replay(struct net *net, const struct net_packet *sent)
{
	struct net_packet *packet = new_packet(net, sent->coordinator, sent->host);
	packet->kind = PACKET_REPLAYED;
	packet->command = sent->command;
	world_after(net->world, world_between(net->world, 1, REPLAY_MS), on_command, packet, 0);
}

void net_command(struct net *net, size_t coordinator, size_t host, const struct command *command)
{
	struct net_link *link = &net->links[coordinator][host];
	if (!link->number)
		return;
	struct net_packet *packet = new_packet(net, coordinator, host);
	packet->command = *command;
	while (world_chance(net->world, net->weather.replay_permille))
		replay(net, packet);
	if (!is_dropped(net, coordinator, host, true))
		world_after(net->world, delay(net, &link->last_down_ms), on_command, packet, 0);
}

static void on_answer(void *user, uint64_t argument)
{
	struct net_packet *packet = user;
	struct net *net = packet->net;
	(void)argument;
	if (packet->link == net->links[packet->coordinator][packet->host].number)
		net->ops->answered(net->user, packet->coordinator, packet->host, &packet->answer);
}

static void send_answer(
	struct net *net, size_t coordinator, size_t host, const struct answer *answer)
{
	struct net_packet *packet = new_packet(net, coordinator, host);
	packet->answer = *answer;
	if (!is_dropped(net, coordinator, host, answer->call != 0))
		world_after(net->world, delay(net, &net->links[coordinator][host].last_up_ms),
			on_answer, packet, 0);
}

void net_answer(struct net *net, size_t host, uint64_t link, const struct answer *answer)
{
	for (size_t i = 0; link && i < NET_COORDINATORS; i++)
		if (net->links[i][host].number == link)
			send_answer(net, i, host, answer);
}

void net_event(struct net *net, size_t host, const struct answer *answer)
{
	for (size_t i = 0; i < NET_COORDINATORS; i++)
		if (net->links[i][host].number)
			send_answer(net, i, host, answer);
}
