#include "common/os/packet.h"

#include "common/base/mem.h"

#include <errno.h>
#include <sys/socket.h>

enum { PASSED_FDS_MAX = 4 };

/* The kernel doubles this, and clamps it to wmem_max (212,992 by default) before; either way
 * more than PACKET_MAX and its bookkeeping fits. */
enum { SOCKET_BUFFER = 512 * 1024 };

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * PASSED_FDS_MAX)];
};

int packet_pair(int ret[2], struct err *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a socket pair");
	int size = SOCKET_BUFFER;
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	ret[0] = pair[0];
	ret[1] = pair[1];
	return 0;
}

static int send_failed(int errnum, size_t len, struct err *err)
{
	if (errnum == EAGAIN)
		return PACKET_BLOCKED;
	if (errnum == EPIPE || errnum == ECONNRESET || errnum == ENOTCONN)
		return err_errno(err, ERR_UNREACHABLE, errnum, "the other program is gone");
	return err_errno(err, ERR_INTERNAL, errnum, "cannot send a packet of %zu bytes", len);
}

static void attach(struct msghdr *message, union control *control, int pass_fd)
{
	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(sizeof(int));
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &pass_fd, sizeof(int));
}

int packet_send(int fd, struct bytes packet, int pass_fd, struct err *err)
{
	if (packet.len == 0 || packet.len > PACKET_MAX)
		return err_set(err, ERR_LIMIT, "a packet of %zu bytes, 1 to %d are possible",
			packet.len, PACKET_MAX);
	union {
		const uint8_t *in;
		void *out;
	} borrowed = {.in = packet.data}; /* sendmsg only reads it */
	struct iovec iov = {.iov_base = borrowed.out, .iov_len = packet.len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {.bytes = {0}};
	if (pass_fd >= 0)
		attach(&message, &control, pass_fd);
	ssize_t n;
	do
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? send_failed(errno, packet.len, err) : PACKET_SENT;
}

/* The one fd of the packet; -1 for none, -2 for more than one (all closed then). */
static int passed_fd(struct msghdr *message)
{
	int fds[PASSED_FDS_MAX];
	size_t count = 0;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here && count < ARRAY_LEN(fds); i++, count++)
			memcpy(&fds[count], CMSG_DATA(h) + i * sizeof(int), sizeof(int));
	}
	if (count == 0)
		return -1;
	if (count == 1 && !(message->msg_flags & MSG_CTRUNC))
		return fds[0];
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return -2;
}

int packet_recv(int fd, struct buf *ret, int *ret_fd, struct err *err)
{
	buf_clear(ret);
	struct iovec iov = {.iov_base = buf_reserve(ret, PACKET_MAX), .iov_len = PACKET_MAX};
	union control control;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;
	do
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return PACKET_EMPTY;
	if (n < 0 && errno != ECONNRESET)
		return err_errno(err, ERR_INTERNAL, errno, "cannot receive a packet");
	if (n <= 0)
		return PACKET_CLOSED;
	AUTO_CLOSE int passed = passed_fd(&message);
	if (message.msg_flags & MSG_TRUNC)
		return err_set(err, ERR_INVALID, "a packet of more than %d bytes", PACKET_MAX);
	if (passed == -2)
		return err_set(err, ERR_INVALID, "a packet with more than one file descriptor");
	ret->len = (size_t)n;
	if (ret_fd)
		*ret_fd = TAKE_FD(passed);
	return PACKET_RECEIVED;
}
