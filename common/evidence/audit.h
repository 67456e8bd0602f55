/* An audit: the files of one journal, from the oldest kept to the newest, read by somebody who
 * trusts nothing in them but the host's signatures.
 *
 * It finds the first record that does not fit: damage, a broken link, a record that is left out or
 * moved, a receipt that is missing, signed by another key, or about other facts or another history
 * than the records around it tell. Pure; the bytes are foreign. */
#pragma once

#include "common/evidence/chain.h"
#include "common/trust/key.h"
#include "fairlead/v1/record.pb-c.h"

/* A whole receipt that fits; both are borrowed for the call. `record`: the one that holds it. */
typedef void audit_receipt_fn(void *user, uint64_t record,
	const Fairlead__V1__SignedReceipt *message, const Fairlead__V1__Receipt *receipt);

struct audit_setup {
	const struct public_key *host;
	const char *app, *environment;
	audit_receipt_fn *receipt; /* may be NULL */
	void *user;
};

/* Of the newest file: nobody writes while we read, or somebody may, or was cut short. */
enum audit_end { AUDIT_END_WHOLE, AUDIT_END_MAY_BE_TORN };

struct audit {
	struct audit_setup setup;
	struct chain chain; /* the newest record that fits */
	uint64_t first;     /* the oldest record there; 0: none yet */
	uint64_t segments, receipts;
	uint64_t receipt_number; /* of the newest receipt; 0: none yet */
	struct digest receipt_digest;
	struct {
		uint64_t record; /* 0: all fits so far */
		char file[64];
		char what[512]; /* lower case, one line; may hold bytes of the file */
	} finding;
};

void audit_init(struct audit *audit, const struct audit_setup *setup);
enum audit_verdict { AUDIT_FITS = 0, AUDIT_DOES_NOT = 1 };
/* The next file, whole. Once something does not fit, later files are not looked at. */
enum audit_verdict audit_file(
	struct audit *audit, const char *name, struct bytes content, enum audit_end end);
/* Something does not fit that the caller knows better about; the lowest record is kept. */
void audit_finding(struct audit *audit, uint64_t record, const char *file, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
