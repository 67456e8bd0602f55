/* What this host signs at the end of a deployment (common/evidence/receipt.h). */
#pragma once

struct deployment;

/* Into the status of a deployment that enters a final state, just before that is journalled: the
 * receipt is part of the record of the outcome, so that there is one exactly where there is the
 * other, whatever dies. Nothing for other states. */
void receipt_make(struct deployment *deployment);
