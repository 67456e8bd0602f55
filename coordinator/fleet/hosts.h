/* One command's conversation with its hosts: every host dialled at once, described as soon as its
 * link is open, all on one link_loop that the calling thread runs.
 *
 * Functions that wait run the loop until their condition holds; nothing else blocks. A struct
 * hosts belongs to one thread. */
#pragma once

#include "coordinator/agentlink/agent_client.h"
#include "coordinator/fleet/fleet.h"

struct hosts;

enum member_state {
	MEMBER_CONNECTING, /* dialling, or waiting for its description */
	MEMBER_READY,
	MEMBER_FAILED, /* member->err says why */
};

struct member {
	const struct fleet_host *host;
	struct agent_client *client;
	enum member_state state;
	struct err err;
	Fairlead__V1__HostDescription *description; /* once READY */
	uint64_t ready_ms;                          /* from dialling to described */
	struct hosts *hosts;
	void *user; /* for whoever set hosts_on_lost */
};

struct hosts_setup {
	const struct fleet *fleet;
	const struct signing_key *key;
	const char *app, *environment; /* app NULL: only say hello, describe no app */
};                                     /* borrowed, and outlives the hosts */

/* Starts dialling; returns at once. */
int hosts_new(const struct hosts_setup *setup, struct hosts **ret, struct err *err);
/* Closes every link. NULL is fine. */
void hosts_free(struct hosts *hosts);

size_t hosts_count(const struct hosts *hosts);
struct member *hosts_member(struct hosts *hosts, size_t index);
size_t member_index(const struct hosts *hosts, const struct member *member);
struct link_loop *hosts_loop(const struct hosts *hosts);
/* Run the loop until no member is CONNECTING. Bounded by the dial and describe deadlines. */
void hosts_wait_described(struct hosts *hosts);
/* The error of the first member that failed, NULL if none did. One that is not just unreachable
 * comes first: a wrong key must not hide behind a host that is down. */
const struct err *hosts_failure(struct hosts *hosts);
/* AppStatus of a READY member; NULL when the app is new on that host. */
const Fairlead__V1__AppStatus *member_app(const struct member *member);

/* Called when the link of a READY member breaks later. */
typedef void hosts_lost_fn(void *user, struct member *member, const struct err *err);
void hosts_on_lost(struct hosts *hosts, hosts_lost_fn *lost, void *user);
/* Called when a member that was lost and redialled has a link again. */
typedef void hosts_back_fn(void *user, struct member *member);
void hosts_on_back(struct hosts *hosts, hosts_back_fn *back, void *user);

/* Send the same look-only command to every READY member and wait for all replies.
 * `reply` is called once for each: with its reply, or with NULL and the error. */
typedef void hosts_reply_fn(
	void *user, struct member *member, const ProtobufCMessage *reply, const struct err *err);
void hosts_ask_all(
	struct hosts *hosts, Fairlead__V1__Action action, hosts_reply_fn *reply, void *user);
