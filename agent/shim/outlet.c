#include "agent/shim/outlet.h"

#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>

enum { CHUNK = 16 * 1024, CHUNKS_MAX = 64 };

int outlet_open(struct outlet *output, struct err *err)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a pipe");
	*output = (struct outlet){fds[0], fds[1]};
	return 0;
}

void outlet_drain(const struct outlet *output, struct rotate *log)
{
	static uint8_t chunk[CHUNK];
	for (int i = 0; i < CHUNKS_MAX; i++) {
		ssize_t n = read(output->read_fd, chunk, sizeof(chunk));
		if (n <= 0)
			return;
		rotate_write(log, BYTES(chunk, (size_t)n));
	}
}
