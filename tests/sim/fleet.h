/* A simulated fleet: the scenario that a seed stands for, its hosts, its coordinators, and what
 * is known of both for the checks. */
#pragma once

#include "check.h"
#include "coordinator.h"
#include "host.h"
#include "net.h"

struct scenario {
	size_t hosts;
	unsigned deployments; /* one after the other */
	struct rollout_policy policy;
	struct machine_plan plan;
	unsigned once_permille; /* of the steps */
	unsigned rivals;        /* coordinators that deploy while another does */
	struct net_weather weather;
	/* of each durable act: the agent dies before, after or within it */
	unsigned crash_permille;
	unsigned power_permille; /* of the crashes: the host loses its power */
	unsigned fail_permille;  /* of the acts of a host */
	unsigned strokes;        /* so many times something happens to somebody */
};

struct fleet {
	struct world world;
	struct scenario scenario;
	struct net net;
	struct check check;
	struct host hosts[NET_HOSTS];
	struct coordinator coordinators[NET_COORDINATORS];
	size_t coordinator_count;
	unsigned releases; /* made so far */
	int dirfd;         /* borrowed: one folder a host */
};

/* Plays one seed; what was wrong is in *ret_problem ("": nothing; freed by the caller). */
void fleet_play(uint64_t seed, bool traced, int dirfd, uint64_t *tallies, char **ret_problem);
