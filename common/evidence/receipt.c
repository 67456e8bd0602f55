#include "common/evidence/receipt.h"

#include "common/base/mem.h"
#include "common/base/pb.h"

enum { DEPLOYMENT_ID_SIZE = 16 };

Fairlead__V1__SignedReceipt *receipt_sign(
	const struct signing_key *host, const Fairlead__V1__Receipt *receipt)
{
	AUTO(buf) struct buf payload = {0};
	PB_PACK(receipt, &payload);
	struct signature signature =
		signing_key_sign(host, KEY_CONTEXT_RECEIPT, buf_bytes(&payload));
	Fairlead__V1__SignedReceipt *message = xmalloc(sizeof(*message));
	fairlead__v1__signed_receipt__init(message);
	pb_set_bytes(&message->payload, payload.data, payload.len);
	pb_set_bytes(&message->signature, signature.bytes, sizeof(signature.bytes));
	return message;
}

static int check_signature(
	const Fairlead__V1__SignedReceipt *message, const struct public_key *host, struct err *err)
{
	struct signature signature;
	if (message->base.n_unknown_fields || message->signature.len != KEY_SIGNATURE_SIZE ||
		message->payload.len == 0)
		return err_set(err, ERR_INVALID, "a receipt with parts of wrong sizes");
	memcpy(signature.bytes, message->signature.data, KEY_SIGNATURE_SIZE);
	if (!public_key_verify(host, KEY_CONTEXT_RECEIPT, PB_BYTES(message->payload), &signature))
		return err_set(err, ERR_AUTH, "the receipt's signature is not by this host's key");
	return 0;
}

static bool is_digest_or_empty(const ProtobufCBinaryData *field)
{
	return field->len == 0 || field->len == DIGEST_SIZE;
}

static int check_fields(
	const Fairlead__V1__Receipt *receipt, const struct public_key *host, struct err *err)
{
	bool sizes = receipt->host_key.len == KEY_PUBLIC_SIZE &&
		     receipt->deployment_id.len == DEPLOYMENT_ID_SIZE &&
		     receipt->key_id.len == KEY_ID_SIZE &&
		     receipt->to_manifest.len == DIGEST_SIZE &&
		     receipt->journal_head.len == DIGEST_SIZE &&
		     is_digest_or_empty(&receipt->from_manifest) &&
		     is_digest_or_empty(&receipt->previous) && receipt->number > 0 &&
		     (receipt->number == 1) == (receipt->previous.len == 0);
	if (!sizes)
		return err_set(err, ERR_INVALID, "a receipt with fields of wrong sizes");
	if (memcmp(receipt->host_key.data, host->bytes, KEY_PUBLIC_SIZE) != 0)
		return err_set(err, ERR_AUTH, "the receipt names another host's key");
	return 0;
}

int receipt_verify(const Fairlead__V1__SignedReceipt *message, const struct public_key *host,
	Fairlead__V1__Receipt **ret, struct err *err)
{
	Fairlead__V1__Receipt *receipt = NULL;
	if (check_signature(message, host, err) < 0 ||
		pb_unpack_canonical(&fairlead__v1__receipt__descriptor, PB_BYTES(message->payload),
			(ProtobufCMessage **)(void *)&receipt, err) < 0)
		return -1;
	if (check_fields(receipt, host, err) < 0) {
		pb_free(&receipt->base);
		return -1;
	}
	*ret = receipt;
	return 0;
}

struct digest receipt_digest(const Fairlead__V1__SignedReceipt *message)
{
	return digest_of(message->payload.data, message->payload.len);
}
