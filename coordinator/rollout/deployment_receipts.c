/* What the hosts signed at the end: verified, and kept in the ledger. */
#include "coordinator/rollout/deployment_impl.h"

#include "common/base/pb.h"
#include "common/evidence/receipt.h"

static int check_facts(const struct deployment_target *target, const Fairlead__V1__Receipt *receipt,
	struct err *err)
{
	const struct app_config *config = target->deployment->setup->config;
	if (!target_is_own(target, &receipt->deployment_id) ||
		strcmp(receipt->app, config->app) != 0 ||
		strcmp(receipt->environment, config->environment) != 0 ||
		receipt->outcome != target->status->state)
		return err_set(err, ERR_AUTH, "the receipt is about something else");
	return 0;
}

static int store(const struct deployment_target *target, const Fairlead__V1__SignedReceipt *message,
	const Fairlead__V1__Receipt *receipt, struct err *err)
{
	const struct fleet_host *host = target->host->member->host;
	const struct ledger_receipt row = {
		.host = host->name,
		.host_key = BYTES(host->key.bytes, KEY_PUBLIC_SIZE),
		.app = receipt->app,
		.environment = receipt->environment,
		.journal_number = receipt->journal_number,
		.payload = PB_BYTES(message->payload),
		.signature = PB_BYTES(message->signature),
	};
	int rc = ledger_receipt_store(target->deployment->ledger, &row, err);
	if (rc != LEDGER_RECEIPT_CONFLICT)
		return rc;
	err_set(err, ERR_CORRUPT, "the ledger holds another receipt of the same journal record");
	return err_hint(err, "Run `fairlead audit %s`.", host->name);
}

static int keep_receipt(const struct deployment_target *target, struct err *err)
{
	const Fairlead__V1__SignedReceipt *message = target->status->receipt;
	Fairlead__V1__Receipt *receipt = NULL;
	if (receipt_verify(message, &target->host->member->host->key, &receipt, err) < 0)
		return -1;
	int rc = check_facts(target, receipt, err);
	if (rc == 0)
		rc = store(target, message, receipt, err);
	pb_free(&receipt->base);
	return rc;
}

void deployment_remember_receipts(struct deployment *d)
{
	for (size_t i = 0; d->ledger && i < d->count; i++) {
		const struct deployment_target *target = &d->targets[i];
		struct err err = ERR_INIT;
		if (target->status && target->status->receipt &&
			target_is_own(target, &target->status->deployment_id) &&
			keep_receipt(target, &err) < 0)
			report_say(d->setup->report, "warning: the receipt of %s: %s",
				target->host->member->host->name, err.message);
	}
}
