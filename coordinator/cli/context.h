/* What a verb that talks to hosts begins with: the configuration, the signing key, the fleet, and
 * a link under way to each host. */
#pragma once

#include "coordinator/cli/options.h"
#include "coordinator/fleet/hosts.h"

struct context {
	struct app_config config;
	struct signing_key *key;
	struct fleet fleet;
	struct hosts *hosts;
	uint64_t started_mono_ms;
};

/* Loads all and starts dialling; returns before any host has answered. */
int context_open(const struct options *options, struct context *ret, struct err *err);
/* NULL-safe in its parts: a zeroed context is fine. */
void context_release(struct context *context);

/* Hosts that could not be reached (hosts_wait_described has run). 0: none, or some that the caller
 * may go on without; <0 with the error that names them and their addresses. */
enum context_missing { CONTEXT_MISSING_FAIL, CONTEXT_MISSING_SKIP };
enum context_missing context_missing_of(const struct context *context); /* as configured */
int context_check_hosts(
	const struct context *context, enum context_missing missing, struct err *err);
/* <0, ERR_LOCKED: a host is being deployed to. Its current release is not the verified one then,
 * so nothing may rest on it. */
int context_check_unlocked(const struct context *context, struct err *err);
/* Print the error of every host that failed but the first to stderr or as JSON, and leave the
 * first in *err; returns its exit status, 0 if none failed. For verbs that show what they can. */
int context_failures(const struct context *context, const struct options *options, struct err *err);
