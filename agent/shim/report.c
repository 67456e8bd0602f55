#include "agent/shim/report.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#include <poll.h>

bool report_is_awaited(int fd)
{
	struct pollfd reader = {.fd = fd, .events = 0};
	return poll(&reader, 1, 0) <= 0 || !(reader.revents & POLLERR);
}

static void report(int *fd, const Fairlead__V1__ShimReply *reply)
{
	AUTO(buf) struct buf packed = {0};
	PB_PACK(reply, &packed);
	if (*fd < 0)
		return;
	fd_write_all(*fd, packed.data, packed.len, NULL);
	close(TAKE_FD(*fd));
}

void report_status(int *fd, Fairlead__V1__ServiceStatus *status)
{
	Fairlead__V1__ShimReply reply = FAIRLEAD__V1__SHIM_REPLY__INIT;
	reply.status = status;
	report(fd, &reply);
}

void report_script(int *fd, Fairlead__V1__ScriptEnd *script)
{
	Fairlead__V1__ShimReply reply = FAIRLEAD__V1__SHIM_REPLY__INIT;
	reply.script = script;
	report(fd, &reply);
}

void report_failure(int *fd, const struct err *err)
{
	Fairlead__V1__ServiceStatus status = FAIRLEAD__V1__SERVICE_STATUS__INIT;
	/* Whose fault it is decides whether the release is to blame: driver_process.c. */
	bool of_host = err_is_of_host(err) || err->code == ERR_EXISTS;
	status.state = pb_str(of_host ? "error" : "failed");
	AUTO(buf) struct buf message = {0};
	buf_append_str(&message, err->message);
	if (*err->hint)
		buf_printf(&message, "\n%s", err->hint);
	status.message = pb_str(buf_str(&message));
	report_status(fd, &status);
}
