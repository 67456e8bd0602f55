#include "agent/shim/control.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/os/packet.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { ACCEPT_BACK_OFF_MS = 100 };

static int address(int dirfd, const char *name, struct sockaddr_un *ret, struct err *err)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
		return err_set(err, ERR_LIMIT, "the socket name '%s' is too long", name);
	return 0;
}

static int new_socket(struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a socket");
	return fd;
}

int control_connect(int dirfd, const char *name, struct err *err)
{
	struct sockaddr_un to;
	if (address(dirfd, name, &to, err) < 0)
		return -1;
	AUTO_CLOSE int fd = new_socket(err);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return TAKE_FD(fd);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return err_set(err, ERR_NOT_FOUND, "no supervisor answers at '%s'", name);
	return err_errno(err, ERR_INTERNAL, errno, "cannot reach the supervisor at '%s'", name);
}

static int bind_new(struct control *control, struct err *err)
{
	struct sockaddr_un at;
	if (address(control->dirfd, control->name, &at, err) < 0)
		return -1;
	AUTO_CLOSE int there = control_connect(control->dirfd, control->name, NULL);
	if (there >= 0)
		return err_set(
			err, ERR_EXISTS, "a supervisor answers at '%s' already", control->name);
	unlinkat(control->dirfd, control->name, 0);
	/* The mode is the socket's from birth: nobody connects in between. */
	mode_t before = umask(0177);
	int rc = bind(control->listen_fd, (struct sockaddr *)&at, sizeof(at));
	int errnum = errno;
	umask(before);
	if (rc < 0)
		return err_errno(err, ERR_IO, errnum, "cannot make the socket '%s'", control->name);
	if (listen(control->listen_fd, CONTROL_CLIENTS_MAX) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot listen at '%s'", control->name);
	return 0;
}

int control_open(struct control *control, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return err_set(err, ERR_INVALID, "'%s' is not an absolute path", path);
	AUTO_FREE char *parent = xstrndup(path, (size_t)(slash - path) + 1);
	*control = (struct control){
		.dirfd = open_dir(parent, err),
		.name = xstrdup(slash + 1),
		.listen_fd = -1,
	};
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control->clients[i] = -1;
	if (control->dirfd < 0 || (control->listen_fd = new_socket(err)) < 0)
		return -1;
	return bind_new(control, err);
}

static void drop(struct control *control, size_t i)
{
	close(TAKE_FD(control->clients[i]));
	control->stopping[i] = 0;
}

void control_release(struct control *control)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i] >= 0)
			drop(control, i);
	if (control->listen_fd >= 0)
		close(control->listen_fd);
	if (control->dirfd >= 0)
		close(control->dirfd);
	free(control->name);
	control->name = NULL;
	control->listen_fd = control->dirfd = -1;
}

void control_unlink(struct control *control)
{
	unlinkat(control->dirfd, control->name, 0);
}

static size_t free_slot(const struct control *control)
{
	size_t i = 0;
	while (i < CONTROL_CLIENTS_MAX && control->clients[i] >= 0)
		i++;
	return i;
}

int control_timeout_ms(const struct control *control)
{
	uint64_t now = clock_mono_ms();
	if (!control->accept_again_ms)
		return -1;
	return control->accept_again_ms > now ? (int)(control->accept_again_ms - now) : 0;
}

void control_fds(const struct control *control, struct pollfd fds[static CONTROL_FDS])
{
	bool closed = free_slot(control) == CONTROL_CLIENTS_MAX || control_timeout_ms(control) > 0;
	fds[0] = (struct pollfd){.fd = closed ? -1 : control->listen_fd, .events = POLLIN};
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fds[1 + i] = (struct pollfd){.fd = control->clients[i], .events = POLLIN};
}

static void reply(struct control *control, size_t i, const Fairlead__V1__ServiceStatus *status)
{
	Fairlead__V1__ShimReply message = FAIRLEAD__V1__SHIM_REPLY__INIT;
	union {
		const Fairlead__V1__ServiceStatus *in;
		Fairlead__V1__ServiceStatus *out;
	} borrowed = {.in = status};
	message.status = borrowed.out;
	AUTO(buf) struct buf packet = {0};
	PB_PACK(&message, &packet);
	/* One small reply a request fits any socket buffer; who does not read it goes. */
	if (packet_send(control->clients[i], buf_bytes(&packet), -1, NULL) != PACKET_SENT)
		drop(control, i);
}

static void send_socket(int fd, const char *place, int socket_fd)
{
	Fairlead__V1__ShimReply message = FAIRLEAD__V1__SHIM_REPLY__INIT;
	AUTO_FREE char *name = xstrdup(place);
	message.socket = name;
	AUTO(buf) struct buf packet = {0};
	PB_PACK(&message, &packet);
	packet_send(fd, buf_bytes(&packet), socket_fd, NULL);
}

/* First away with the name, so that the successor can take it when the connection closes. */
static void serve_take(struct control *control, size_t i, const struct control_calls *calls)
{
	const struct sockets *sockets = calls->give(calls->user);
	if (sockets)
		control_unlink(control);
	for (size_t s = 0; sockets && s < sockets->count; s++)
		send_socket(control->clients[i], sockets->places[s], sockets->fds[s]);
	drop(control, i);
}

static void serve_request(struct control *control, size_t i,
	const Fairlead__V1__ShimRequest *request, const struct control_calls *calls)
{
	switch (request->verb) {
	case FAIRLEAD__V1__SHIM_VERB__SHIM_STATUS: {
		Fairlead__V1__ServiceStatus status = FAIRLEAD__V1__SERVICE_STATUS__INIT;
		calls->status(calls->user, &status);
		reply(control, i, &status);
		break;
	}
	case FAIRLEAD__V1__SHIM_VERB__SHIM_STOP:
	case FAIRLEAD__V1__SHIM_VERB__SHIM_STOP_KEEPING:
		control->stopping[i] = 1;
		calls->stop(calls->user, request->verb == FAIRLEAD__V1__SHIM_VERB__SHIM_STOP
						 ? CONTROL_STOP
						 : CONTROL_STOP_KEEPING);
		break;
	case FAIRLEAD__V1__SHIM_VERB__SHIM_TAKE:
		serve_take(control, i, calls);
		break;
	case FAIRLEAD__V1__SHIM_VERB__SHIM_VERB_UNSPECIFIED:
	case _FAIRLEAD__V1__SHIM_VERB_IS_INT_SIZE:
	default:
		drop(control, i);
	}
}

static void serve_client(struct control *control, size_t i, const struct control_calls *calls)
{
	AUTO(buf) struct buf packet = {0};
	int rc = packet_recv(control->clients[i], &packet, NULL, NULL);
	if (rc == PACKET_EMPTY)
		return;
	Fairlead__V1__ShimRequest *request = NULL;
	if (rc != PACKET_RECEIVED ||
		PB_UNPACK(fairlead__v1__shim_request, buf_bytes(&packet), &request, NULL) < 0) {
		drop(control, i);
		return;
	}
	serve_request(control, i, request, calls);
	pb_free(&request->base);
}

static void accept_client(struct control *control)
{
	size_t slot = free_slot(control);
	if (slot == CONTROL_CLIENTS_MAX)
		return;
	int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		control->clients[slot] = fd;
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		control->accept_again_ms = clock_mono_ms() + ACCEPT_BACK_OFF_MS;
}

void control_serve(struct control *control, const struct pollfd fds[static CONTROL_FDS],
	const struct control_calls *calls)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (fds[1 + i].fd >= 0 && fds[1 + i].revents)
			serve_client(control, i, calls);
	if (control_timeout_ms(control) == 0)
		control->accept_again_ms = 0;
	if (fds[0].fd >= 0 && fds[0].revents)
		accept_client(control);
}

void control_stopped(struct control *control, const Fairlead__V1__ServiceStatus *status)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i] >= 0 && control->stopping[i]) {
			reply(control, i, status);
			control->stopping[i] = 0;
		}
}
