/* Receipts: what a host signs at the end of every deployment.
 *
 * A SignedReceipt is {payload, signature} over "fairlead/receipt/v1\0" || payload; the payload is a
 * packed Receipt (proto/fairlead/v1/agent.proto), verified as received and canonical. It names the
 * journal's head before it, and the receipt before it: so the newest receipt vouches for all of
 * the journal up to there. Pure but for the signature arithmetic, any thread. */
#pragma once

#include "common/base/digest.h"
#include "common/trust/key.h"
#include "fairlead/v1/agent.pb-c.h"

/* The result is the caller's (pb_free). */
Fairlead__V1__SignedReceipt *receipt_sign(
	const struct signing_key *host, const Fairlead__V1__Receipt *receipt);
/* ERR_AUTH: another host's, or no signature of this host; ERR_INVALID: does not parse, or has
 * fields of wrong sizes. *ret is the caller's (pb_free). */
int receipt_verify(const Fairlead__V1__SignedReceipt *message, const struct public_key *host,
	Fairlead__V1__Receipt **ret, struct err *err);
/* What the next receipt names as `previous`. */
struct digest receipt_digest(const Fairlead__V1__SignedReceipt *message);
