/* The host's policy: which keys may do which action on which app and environment, until when.
 *
 * File `policy.yaml` in the trust directory, owned by the agent's user and not writable by group
 * or others:
 *
 *     version: 1
 *     signers:
 *       ci:
 *         key: "ed25519:…"
 *         roles: [deploy, observe]          # observe | deploy | rollback
 *         apps: [shop]                      # or ["*"]
 *         environments: [production]        # or ["*"]
 *         expires: 2027-01-31T00:00:00Z     # optional; RFC 3339, or a date
 *
 * Default deny: a key that is not here, an action without a row, an expired entry. Immutable
 * once loaded, any thread. */
#pragma once

#include "common/base/err.h"
#include "common/trust/key.h"
#include "fairlead/v1/command.pb-c.h"

enum policy_role {
	POLICY_ROLE_OBSERVE = 1 << 0,
	POLICY_ROLE_DEPLOY = 1 << 1,
	POLICY_ROLE_ROLLBACK = 1 << 2,
};

struct policy_signer {
	char *name;
	struct public_key key;
	unsigned roles;           /* bits of enum policy_role */
	char **apps;              /* NULL-terminated; "*" is any */
	char **environments;      /* NULL-terminated; "*" is any */
	uint64_t expires_unix_ms; /* 0: never */
};

struct policy {
	struct policy_signer *signers;
	size_t count;
};

/* ERR_CONFIG with file:line:key and a hint; ERR_DENIED when others can write the file. */
int policy_load(const char *path, struct policy *ret, struct err *err);
void policy_release(struct policy *policy);

/* The one table action -> roles that may do it; 0 for an action unknown here (deny). */
unsigned policy_roles_for(Fairlead__V1__Action action);
/* The signer with this id, expired or not; NULL if unknown. Borrowed. */
const struct policy_signer *policy_find(const struct policy *policy, const struct key_id *id);
/* A link from this key is let in when it belongs to a signer that has not expired. */
int policy_admits(const struct policy *policy, const struct public_key *key, uint64_t now_unix_ms,
	struct err *err);
/* ERR_AUTH: unknown or expired signer; ERR_DENIED: known, not allowed this. The message names
 * the signer, the action, the app and the environment. */
int policy_allows(const struct policy *policy, const struct policy_signer *signer,
	Fairlead__V1__Action action, const char *app, const char *environment, uint64_t now_unix_ms,
	struct err *err);
