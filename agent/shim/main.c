/* fairlead-shim: supervises one service of the `process` driver, or one run of a script of the
 * `command` driver, and outlives the agent.
 *
 * Started detached by agent/service/shim_start.c with a packed ShimSpec in fd 3 and a pipe in
 * fd 4 for one packed ShimReply: the first start's outcome. On failure its status says `failed`
 * and why, and the program ends. */
#include "agent/shim/report.h"
#include "agent/shim/script.h"
#include "agent/shim/supervisor.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

enum { SPEC_FD = 3, READY_FD = 4 };

static int read_spec(Fairlead__V1__ShimSpec **ret, struct err *err)
{
	AUTO(buf) struct buf packed = {0};
	for (;;) {
		if (buf_reserve_max(&packed, 4096, PB_WIRE_MAX + 4096, err) < 0)
			return -1;
		ssize_t n = read(SPEC_FD, packed.data + packed.len, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			bool by_hand = errno == EBADF;
			err_errno(err, by_hand ? ERR_USAGE : ERR_INTERNAL, errno,
				"cannot read what to run from fd 3");
			return by_hand ? err_hint(err, "This program is started by fairlead-agent.")
				       : -1;
		}
		if (n == 0)
			break;
		packed.len += (size_t)n;
	}
	close(SPEC_FD);
	return PB_UNPACK(fairlead__v1__shim_spec, buf_bytes(&packed), ret, err);
}

int main(void)
{
	struct err err = ERR_INIT;
	Fairlead__V1__ShimSpec *spec = NULL;
	umask(022);
	AUTO_CLOSE int ready = READY_FD;
	fcntl(ready, F_SETFD, FD_CLOEXEC);
	/* A release directory must not be kept busy by us. */
	int rc = chdir("/") < 0 ? err_errno(&err, ERR_INTERNAL, errno, "cannot enter '/'")
				: read_spec(&spec, &err);
	if (rc == 0)
		rc = spec->script_timeout_ms ? script_run(spec, &ready, &err)
					     : supervisor_run(spec, &ready, &err);
	if (rc < 0) {
		fprintf(stderr, "fairlead-shim: %s\n", err.message);
		report_failure(&ready, &err);
	}
	if (spec)
		pb_free(&spec->base);
	return rc < 0;
}
