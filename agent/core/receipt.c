#include "agent/core/receipt.h"

#include "agent/core/deployment_impl.h"
#include "common/base/pb.h"
#include "common/evidence/receipt.h"

/* The one before, from which this one counts on. */
static void link_to_last(
	const struct app *app, Fairlead__V1__Receipt *receipt, struct digest *previous)
{
	Fairlead__V1__Receipt *last = NULL;
	receipt->number = 1;
	if (!app->last || !app->last->receipt)
		return;
	const Fairlead__V1__SignedReceipt *message = app->last->receipt;
	if (PB_UNPACK(fairlead__v1__receipt, PB_BYTES(message->payload), &last, NULL) < 0)
		return; /* of our own journal, so it does not happen */
	receipt->number = last->number + 1;
	*previous = receipt_digest(message);
	receipt->previous = pb_borrow(previous->bytes, DIGEST_SIZE);
	pb_free(&last->base);
}

static void fill_facts(const struct deployment *d, Fairlead__V1__Receipt *receipt)
{
	const Fairlead__V1__DeploymentStatus *status = d->status;
	receipt->app = d->app->name;
	receipt->environment = d->app->environment;
	receipt->deployment_id = status->deployment_id;
	receipt->outcome = status->state;
	receipt->from_manifest = status->from_manifest;
	receipt->to_manifest = status->to_manifest;
	receipt->commit_from = status->commit_from;
	receipt->commit_to = status->commit_to;
	receipt->class_ = status->class_;
	receipt->actor = status->actor;
	receipt->key_id = d->record->accepted->key_id;
	receipt->started_unix_ms = status->started_unix_ms;
	receipt->ended_unix_ms = status->ended_unix_ms;
	if (!status->error)
		return;
	receipt->reason_code = status->error->code;
	receipt->reason = status->error->message;
}

void receipt_make(struct deployment *d)
{
	struct digest previous;
	if (!machine_is_final(d->status->state))
		return;
	const struct signing_key *key = d->app->core->host_key;
	struct chain head = journal_chain(d->app->journal);
	Fairlead__V1__Receipt receipt = FAIRLEAD__V1__RECEIPT__INIT;
	fill_facts(d, &receipt);
	receipt.host_key = pb_borrow(signing_key_public(key)->bytes, KEY_PUBLIC_SIZE);
	receipt.journal_number = head.number;
	receipt.journal_head = pb_borrow(head.head.bytes, DIGEST_SIZE);
	link_to_last(d->app, &receipt, &previous);
	if (d->status->receipt)
		pb_free(&d->status->receipt->base);
	d->status->receipt = receipt_sign(key, &receipt);
}
