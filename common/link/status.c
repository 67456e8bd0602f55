#include "common/link/status.h"

#include "common/base/pb.h"

#include <stdbool.h>

enum { STATUS_SIZE = 4, GRPC_UNKNOWN = 2, GRPC_LAST = 16 };

Fairlead__V1__ErrorDetail status_detail(const struct err *status)
{
	Fairlead__V1__ErrorDetail detail = FAIRLEAD__V1__ERROR_DETAIL__INIT;
	detail.code = pb_str(err_code_name(status->code));
	detail.message = pb_str(status->message);
	detail.hint = pb_str(status->hint);
	return detail;
}

void status_encode(const struct err *status, struct buf *out)
{
	enum err_code code = status ? status->code : ERR_NONE;
	put_u32(buf_reserve(out, STATUS_SIZE), (uint32_t)err_code_status(code));
	out->len += STATUS_SIZE;
	if (code == ERR_NONE)
		return;
	Fairlead__V1__ErrorDetail detail = status_detail(status);
	PB_PACK(&detail, out);
}

void status_from_detail(uint32_t status, const Fairlead__V1__ErrorDetail *detail, struct err *ret)
{
	*ret = ERR_INIT;
	if (status == 0)
		return;
	enum err_code code = detail ? err_code_from_name(detail->code) : ERR_INTERNAL;
	if ((uint32_t)err_code_status(code) != status)
		code = err_code_from_status(status > GRPC_LAST ? GRPC_UNKNOWN : (int)status);
	bool speaks = detail && detail->message[0];
	err_set(ret, code, "%s", speaks ? detail->message : "the peer gave no reason");
	if (detail && detail->hint[0])
		err_hint(ret, "%s", detail->hint);
}

int status_decode(struct bytes in, struct err *ret, struct err *err)
{
	if (in.len < STATUS_SIZE)
		return err_set(err, ERR_INVALID, "a status of %zu bytes", in.len);
	Fairlead__V1__ErrorDetail *detail = NULL;
	if (PB_UNPACK(fairlead__v1__error_detail,
		    BYTES(in.data + STATUS_SIZE, in.len - STATUS_SIZE), &detail, err) < 0)
		return -1;
	status_from_detail(get_u32(in.data), detail, ret);
	pb_free(&detail->base);
	return 0;
}
