/* A scenario, and what happens to it: all of it from the seed. */
#include "fleet.h"

#include "common/base/mem.h"

enum {
	STORM_MS = 200000,        /* in which strokes fall and coordinators come */
	HORIZON_MS = 4 * 3600000, /* all has ended long before */
	RESUME_MS = 60000,        /* until somebody resumes what was left */
	SKEW_MS = 290000,         /* a clock may be wrong by ENVELOPE_SKEW_MS, and be late on top */
};

/* ---- the scenario ---- */

static unsigned one_of(struct world *world, const unsigned *choices, size_t count)
{
	return choices[world_random(world, count)];
}
#define ONE_OF(world, ...)                                                                         \
	one_of(world, (const unsigned[]){__VA_ARGS__}, ARRAY_LEN(((const unsigned[]){__VA_ARGS__})))

static struct rollout_policy draw_policy(struct world *world, size_t hosts)
{
	return (struct rollout_policy){
		.strategy = APP_STRATEGY_ALL,
		.max_failures = (unsigned)world_random(world, hosts + 1),
		.unreachable =
			world_chance(world, 500) ? APP_UNREACHABLE_SKIP : APP_UNREACHABLE_FAIL,
		.on_failure = world_chance(world, 500) ? APP_ON_FAILURE_ROLLBACK_ALL
						       : APP_ON_FAILURE_ROLLBACK_HOST,
	};
}

static void draw(struct world *world, struct scenario *scenario)
{
	size_t hosts = world_between(world, 1, NET_HOSTS);
	*scenario = (struct scenario){
		.hosts = hosts,
		.deployments = (unsigned)world_between(world, 1, 3),
		.policy = draw_policy(world, hosts),
		.plan =
			{
				.lease_ms = world_between(world, 5000, 60000),
				.activate_timeout_ms = world_between(world, 10000, 60000),
				.confirm_timeout_ms = world_between(world, 5000, 60000),
				.before = ONE_OF(world, 0, 0, 1, 2),
				.after = ONE_OF(world, 0, 0, 1, 2),
			},
		.once_permille = 500,
		.rivals = ONE_OF(world, 0, 0, 1, 2),
		.weather =
			{
				.drop_permille = ONE_OF(world, 0, 0, 10, 50, 150),
				.replay_permille = ONE_OF(world, 0, 50, 300),
				.overtake_permille = ONE_OF(world, 0, 0, 100),
				.delay_ms = ONE_OF(world, 5, 100, 2000),
			},
		.crash_permille = ONE_OF(world, 0, 0, 10, 30, 100),
		.power_permille = ONE_OF(world, 0, 300, 1000),
		.fail_permille = ONE_OF(world, 0, 0, 20, 100),
		.strokes = ONE_OF(world, 0, 0, 3, 8, 20),
	};
}

/* ---- the network's ends ---- */

static bool host_is_up(void *user, size_t host)
{
	struct fleet *fleet = user;
	return fleet->hosts[host].life == HOST_UP;
}

static void to_host(void *user, size_t host, uint64_t link, const struct command *command)
{
	struct fleet *fleet = user;
	host_command(&fleet->hosts[host], link, command);
}

static void host_is_left(void *user, size_t host, uint64_t link)
{
	struct fleet *fleet = user;
	if (fleet->hosts[host].life == HOST_UP)
		host_lost(&fleet->hosts[host], link);
}

static void linked(void *user, size_t coordinator, size_t host, uint64_t link)
{
	struct fleet *fleet = user;
	coordinator_linked(&fleet->coordinators[coordinator], host, link);
}

static void answered(void *user, size_t coordinator, size_t host, const struct answer *answer)
{
	struct fleet *fleet = user;
	coordinator_answered(&fleet->coordinators[coordinator], host, answer);
}

static void lost(void *user, size_t coordinator, size_t host)
{
	struct fleet *fleet = user;
	coordinator_lost(&fleet->coordinators[coordinator], host);
}

static const struct net_ops ends = {
	.host_is_up = host_is_up,
	.host_command = to_host,
	.host_lost = host_is_left,
	.linked = linked,
	.answered = answered,
	.lost = lost,
};

/* ---- what happens ---- */

static void on_arrival(void *user, uint64_t argument)
{
	struct fleet *fleet = user;
	(void)argument;
	if (fleet->coordinator_count == NET_COORDINATORS)
		return;
	size_t index = fleet->coordinator_count++;
	coordinator_start(&fleet->coordinators[index], fleet, index);
}

static void stroke_of_host(struct fleet *fleet, struct host *host)
{
	struct world *world = &fleet->world;
	switch (world_random(world, 7)) {
	case 0:
		host_strike(host, HOST_KILLED);
		break;
	case 1:
		host_strike(host, HOST_POWER_LOST);
		break;
	case 2:
		host_jump_clock(host, (int64_t)world_random(world, 2 * SKEW_MS) - SKEW_MS);
		break;
	case 3:
		net_cut_off(&fleet->net, host->index, world_between(world, 100, 60000));
		break;
	case 4:
	case 5:
		host_mislead(host);
		break;
	default:
		net_cut(&fleet->net, world_random(world, NET_COORDINATORS), host->index);
	}
}

static void on_resume(void *user, uint64_t deployment)
{
	struct fleet *fleet = user;
	if (fleet->coordinator_count == NET_COORDINATORS)
		return;
	size_t index = fleet->coordinator_count++;
	coordinator_resume(&fleet->coordinators[index], fleet, index, deployment);
}

/* Interrupted, or killed; and often somebody goes on with it, also while the first is still there.
 */
static void stroke_of_coordinator(struct fleet *fleet, struct coordinator *c)
{
	struct world *world = &fleet->world;
	if (world_chance(world, 400))
		coordinator_interrupt(c);
	else if (world_chance(world, 800))
		coordinator_kill(c);
	if (world_chance(world, 600))
		world_after(
			world, world_between(world, 1, RESUME_MS), on_resume, fleet, c->deployment);
}

static void on_stroke(void *user, uint64_t argument)
{
	struct fleet *fleet = user;
	struct world *world = &fleet->world;
	(void)argument;
	if (fleet->coordinator_count && world_chance(world, 250))
		stroke_of_coordinator(
			fleet, &fleet->coordinators[world_random(world, fleet->coordinator_count)]);
	else
		stroke_of_host(fleet, &fleet->hosts[world_random(world, fleet->scenario.hosts)]);
}

static void arrange(struct fleet *fleet)
{
	struct world *world = &fleet->world;
	const struct scenario *scenario = &fleet->scenario;
	for (unsigned i = 0; i < scenario->deployments; i++)
		world_after(
			world, 100 + i * (STORM_MS / scenario->deployments), on_arrival, fleet, 0);
	for (unsigned i = 0; i < scenario->rivals; i++)
		world_after(world, 100 + world_random(world, STORM_MS / 4), on_arrival, fleet, 0);
	for (unsigned i = 0; i < scenario->strokes; i++)
		world_after(world, world_random(world, STORM_MS), on_stroke, fleet, 0);
}

/* ---- one seed ---- */

static void init(struct fleet *fleet, uint64_t seed, uint64_t *tallies, int dirfd)
{
	struct world *world = &fleet->world;
	world_init(world, seed, tallies);
	fleet->dirfd = dirfd;
	draw(world, &fleet->scenario);
	net_init(&fleet->net, world, &fleet->scenario.weather, &ends, fleet);
	fleet->check.world = world;
	fleet->check.hosts = fleet->scenario.hosts;
	for (size_t i = 0; i < fleet->scenario.hosts; i++) {
		host_init(&fleet->hosts[i], fleet, i);
		fleet->hosts[i].skew_ms = (int64_t)world_random(world, 2 * SKEW_MS) - SKEW_MS;
	}
}

static void release(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->scenario.hosts; i++)
		host_release(&fleet->hosts[i]);
	for (size_t i = 0; i < fleet->coordinator_count; i++)
		coordinator_release(&fleet->coordinators[i]);
	net_release(&fleet->net);
	world_release(&fleet->world);
}

void fleet_play(uint64_t seed, bool traced, int dirfd, uint64_t *tallies, char **ret_problem)
{
	struct fleet *fleet = xcalloc(1, sizeof(*fleet));
	init(fleet, seed, tallies, dirfd);
	fleet->world.trace = traced ? WORLD_TRACED : WORLD_SILENT;
	world_count(&fleet->world, TALLY_SEEDS);
	for (size_t i = 0; i < fleet->scenario.hosts; i++)
		host_start(&fleet->hosts[i]);
	arrange(fleet);
	world_run(&fleet->world, WORLD_EPOCH_MS + HORIZON_MS);
	if (!fleet->world.problem[0])
		check_end(&fleet->check, fleet);
	*ret_problem = xstrdup(fleet->world.problem);
	release(fleet);
	free(fleet);
}
