/* agent.yaml: where this host's agent listens and keeps its things. Immutable once loaded.
 * The keys are in agent_config_fields (agent_config.c) and docs/configuration.md. */
#pragma once

#include "common/config/config.h"

struct agent_config {
	unsigned version;
	char *listen;  /* "address:port"; port 0 picks a free one */
	char *root;    /* the release stores */
	char *state;   /* host.key, lock */
	char *trust;   /* policy.yaml */
	char *libexec; /* where fairlead-gateway, -probe and -shim are */
	struct {
		char *gateway, *probe; /* whom these programs become when the agent is root */
	} users;
	struct {
		unsigned connections, connections_per_address; /* of known keys */
		unsigned handshakes, handshakes_per_address;   /* of strangers */
	} limits;
	struct {
		uint64_t segment_bytes;
		unsigned keep;
	} journal;
	char *boot_id;               /* a file that another boot fills with other content */
	struct config_map variables; /* this host's own: agent/core/variables.h */
};

extern const struct config_field agent_config_fields[];

/* ERR_NOT_FOUND; ERR_CONFIG with file:line: key. */
int agent_config_load(const char *path, struct agent_config *ret, struct err *err);
void agent_config_release(struct agent_config *config); /* a zeroed one is fine */
