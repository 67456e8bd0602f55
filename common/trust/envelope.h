/* Signed commands: {key_id, payload, signature} over "fairlead/command/v1\0" || payload.
 *
 * A payload is verified as received, parsed once and never re-serialised; it must be canonical
 * (pb_unpack_canonical), so it has no unknown fields and no second spelling. Time only narrows:
 * a skew of ENVELOPE_SKEW_MS is allowed on both ends, and replay protection never rests on it.
 * Pure but for the signature arithmetic; any thread. */
#pragma once

#include "common/trust/key.h"
#include "common/trust/policy.h"
#include "fairlead/v1/command.pb-c.h"

enum { ENVELOPE_SKEW_MS = 300 * 1000, ENVELOPE_LIFETIME_MS = 300 * 1000 };

/* Sign `command` and append the packed SignedCommand to out. The caller has set every field;
 * not_before and expires are set here from now_unix_ms when they are 0. */
void envelope_sign(const struct signing_key *key, Fairlead__V1__Command *command,
	uint64_t now_unix_ms, struct buf *out);

struct envelope {
	Fairlead__V1__Command *command;     /* owned */
	const struct policy_signer *signer; /* borrowed from the policy */
	struct key_id key_id;
	uint8_t command_digest[32]; /* BLAKE2b-256 of the payload */
};

/* Verify a packed SignedCommand for the method whose action is `action`:
 * ERR_INVALID does not parse, not canonical, wrong sizes, body missing or of another action,
 *   bad app or environment name; ERR_AUTH unknown or expired signer, bad signature, another
 *   host's command, outside its time; ERR_DENIED by the policy. */
int envelope_verify(const struct policy *policy, const struct public_key *host,
	Fairlead__V1__Action action, struct bytes packed, uint64_t now_unix_ms,
	struct envelope *ret, struct err *err);
/* The same for a SignedCommand already unpacked (the first chunk of Prepare). */
int envelope_verify_message(const struct policy *policy, const struct public_key *host,
	Fairlead__V1__Action action, const Fairlead__V1__SignedCommand *message,
	uint64_t now_unix_ms, struct envelope *ret, struct err *err);
void envelope_release(struct envelope *envelope);

/* True for actions that change something: they carry a deployment id and consume a sequence. */
bool envelope_action_changes(Fairlead__V1__Action action);
