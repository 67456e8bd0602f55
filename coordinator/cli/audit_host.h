/* The audit of one host: its journal as it comes in, then what the ledger remembers of it. */
#pragma once

#include "common/evidence/audit.h"
#include "coordinator/ledger/ledger.h"
#include "fairlead/v1/agent.pb-c.h"

struct audit_host;

struct audit_host_setup {
	const char *name; /* of the host in the fleet */
	const struct public_key *key;
	const char *app, *environment;
}; /* borrowed */

struct audit_host *audit_host_new(const struct audit_host_setup *setup);
void audit_host_free(struct audit_host *host); /* NULL is fine */
/* A piece of the journal, in the order it was sent. */
void audit_host_take(struct audit_host *host, const Fairlead__V1__AuditChunk *chunk);
/* All has come: judge the rest, compare with the ledger, and if all fits let the ledger know the
 * receipts it did not have. <0: the ledger cannot be read or written. */
int audit_host_conclude(struct audit_host *host, struct ledger *ledger, struct err *err);

const struct audit *audit_host_result(const struct audit_host *host);
/* Receipts of the ledger that were compared, and those older than what the host has kept. */
unsigned audit_host_compared(const struct audit_host *host);
unsigned audit_host_older(const struct audit_host *host);
