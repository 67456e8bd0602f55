/* One host's agent, seen from the coordinator: a link, and signed commands over it.
 *
 * Everything is asynchronous on the link_loop the client was made with; callbacks run on the
 * thread that dispatches it, never from inside a function below. Errors carry the host's name
 * in front. A call is freed after its `ended`, by agent_call_cancel, or with its client. */
#pragma once

#include "common/link/link.h"
#include "coordinator/config/fleet_config.h"
#include "fairlead/v1/agent.pb-c.h"

struct agent_client;
struct agent_call;

struct agent_client_setup {
	struct link_loop *loop;
	const struct fleet_host *host; /* address and pinned key */
	const struct signing_key *key; /* signs the handshake and every command */
	const char *app, *environment; /* of every command */
	uint64_t connect_timeout_ms;
}; /* all borrowed, and outlive the client */

struct agent_client_ops {
	void (*opened)(void *user); /* calls may start */
	/* Never opened, or broken: ERR_UNREACHABLE (also by who breaks the protocol), ERR_AUTH (not
	 * the pinned key, or this signer is not admitted), ERR_LIMIT (the host is full). Calls
	 * under way have ended before. agent_client_redial may be used from here on. */
	void (*closed)(void *user, const struct err *err);
};

/* Dials at once. */
struct agent_client *agent_client_new(
	const struct agent_client_setup *setup, const struct agent_client_ops *ops, void *user);
/* Closes; calls under way are dropped without callbacks. NULL is fine. Not from a callback. */
void agent_client_free(struct agent_client *client);
/* A new link in place of one that has closed. */
void agent_client_redial(struct agent_client *client);
enum agent_link { AGENT_LINK_CLOSED, AGENT_LINK_DIALLING, AGENT_LINK_OPEN };
enum agent_link agent_client_link(const struct agent_client *client);
const struct fleet_host *agent_client_host(const struct agent_client *client);
/* Bytes written to sockets so far, over all its links. */
uint64_t agent_client_sent_bytes(const struct agent_client *client);
/* Commands that change something carry sequences above `last` (AppStatus.last_sequence). */
void agent_client_set_last_sequence(struct agent_client *client, uint64_t last);

struct agent_call_ops {
	/* Each message of a stream, or the one reply of a unary call; borrowed. */
	void (*message)(void *user, const ProtobufCMessage *message);
	/* Upload of a bundle: bytes handed to the link. NULL where nobody looks. */
	void (*progress)(void *user, uint64_t done, uint64_t total);
	/* Once. ERR_NONE when the agent ended the call well (a unary call then had its message). */
	void (*ended)(void *user, const struct err *err);
};

/* Only while the link is open. Sign `command` and call the method of its action. Set here: host
 * key, app, environment, and the sequence where the action changes something; the caller sets
 * action, deployment id and the action's body. The command is borrowed for this call only.
 * deadline_ms 0: none. */
struct agent_call *agent_client_call(struct agent_client *client, Fairlead__V1__Command *command,
	uint64_t deadline_ms, const struct agent_call_ops *ops, void *user);
/* ACTION_PREPARE with its bundle: bundle_bytes of bundle_fd from the start, read with pread as
 * the link takes them, so that one fd serves a whole fleet. The fd outlives the call. */
struct agent_call *agent_client_prepare(struct agent_client *client, Fairlead__V1__Command *command,
	int bundle_fd, uint64_t bundle_bytes, uint64_t deadline_ms,
	const struct agent_call_ops *ops, void *user);
/* No callback follows; the call is freed. NULL is fine. */
void agent_call_cancel(struct agent_call *call);
