/* How a call, a deployment or a link ended, on the wire: a gRPC canonical status
 * (https://grpc.github.io/grpc/core/md_doc_statuscodes.html) and an ErrorDetail message, which is
 * a struct err field by field. Pure. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"
#include "fairlead/v1/agent.pb-c.h"

/* The payload of END and GOAWAY: u32 status | packed ErrorDetail. NULL or ERR_NONE is OK. */
void status_encode(const struct err *status, struct buf *out);
/* ERR_INVALID when it does not parse; otherwise *ret is what the peer said, cut to size. */
int status_decode(struct bytes in, struct err *ret, struct err *err);

/* An ErrorDetail that borrows the strings of `status`, which outlives it. */
Fairlead__V1__ErrorDetail status_detail(const struct err *status);
/* Back: the code by its name if that has this status, else the first one that has. Status 0 is
 * ERR_NONE whatever the detail (which may be NULL) says. */
void status_from_detail(uint32_t status, const Fairlead__V1__ErrorDetail *detail, struct err *ret);
