#include "agent/shim/sockets.h"

#include "agent/shim/control.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"
#include "common/os/packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

enum { TAKE_TIMEOUT_MS = 5000 };

static int find(const struct sockets *sockets, const char *place)
{
	for (size_t i = 0; i < sockets->count; i++)
		if (strcmp(sockets->places[i], place) == 0)
			return (int)i;
	return -1;
}

/* Takes `fd`. */
static void add(struct sockets *sockets, const char *place, const char *name, int fd)
{
	sockets->places[sockets->count] = xstrdup(place);
	sockets->names[sockets->count] = xstrdup(name);
	sockets->fds[sockets->count++] = fd;
}

/* ---- from the shim before us ---- */

/* Each socket is a packet; a shim that keeps none, or that runs a service, just closes. */
static void receive_all(int fd, struct sockets *kept)
{
	AUTO(buf) struct buf packet = {0};
	for (;;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int passed = -1;
		if (poll(&wait, 1, TAKE_TIMEOUT_MS) <= 0 ||
			packet_recv(fd, &packet, &passed, NULL) != PACKET_RECEIVED)
			return;
		Fairlead__V1__ShimReply *reply = NULL;
		AUTO_CLOSE int socket_fd = passed;
		if (PB_UNPACK(fairlead__v1__shim_reply, buf_bytes(&packet), &reply, NULL) < 0)
			return;
		if (socket_fd >= 0 && kept->count < ENDPOINTS_MAX)
			add(kept, reply->socket, "", TAKE_FD(socket_fd));
		pb_free(&reply->base);
	}
}

static void take_kept(const char *control_path, struct sockets *kept)
{
	const char *slash = strrchr(control_path, '/');
	if (!slash)
		return;
	AUTO_FREE char *parent = xstrndup(control_path, (size_t)(slash - control_path) + 1);
	AUTO_CLOSE int dirfd = open_dir(parent, NULL);
	AUTO_CLOSE int fd = dirfd < 0 ? -1 : control_connect(dirfd, slash + 1, NULL);
	Fairlead__V1__ShimRequest request = FAIRLEAD__V1__SHIM_REQUEST__INIT;
	request.verb = FAIRLEAD__V1__SHIM_VERB__SHIM_TAKE;
	AUTO(buf) struct buf packet = {0};
	PB_PACK(&request, &packet);
	if (fd >= 0 && packet_send(fd, buf_bytes(&packet), -1, NULL) == PACKET_SENT)
		receive_all(fd, kept);
}

/* ---- anew ---- */

static int listen_at(const struct endpoint *endpoint, struct err *err)
{
	int family = endpoint->address.ss_family, on = 1;
	AUTO_CLOSE int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(
			err, ERR_FAILED, errno, "cannot make a socket for '%s'", endpoint->place);
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&endpoint->address, endpoint->address_len) == 0 &&
		listen(fd, SOMAXCONN) == 0)
		return TAKE_FD(fd);
	int errnum = errno;
	err_errno(err, ERR_FAILED, errnum, "cannot listen at '%s'", endpoint->place);
	if (errnum == EADDRINUSE)
		return err_hint(err, "Another program has the port; `ss -ltnp` names it.");
	return -1;
}

int sockets_open(struct sockets *sockets, const Fairlead__V1__ProcessSpec *process,
	const char *service, const char *control_path, struct err *err)
{
	AUTO(sockets) struct sockets kept = {0};
	take_kept(control_path, &kept);
	*sockets = (struct sockets){0};
	if (process->n_sockets > ENDPOINTS_MAX)
		return err_set(err, ERR_CONFIG, "more than %d sockets", ENDPOINTS_MAX);
	for (size_t i = 0; i < process->n_sockets; i++) {
		struct endpoint endpoint;
		if (endpoint_parse(process->sockets[i], &endpoint) < 0)
			return err_set(err, ERR_CONFIG, "'%s' is no address of a socket",
				process->sockets[i]);
		int at = find(&kept, endpoint.place);
		int fd = at >= 0 && kept.fds[at] >= 0 ? TAKE_FD(kept.fds[at])
						      : listen_at(&endpoint, err);
		if (fd < 0)
			return -1;
		add(sockets, endpoint.place, *endpoint.name ? endpoint.name : service, fd);
	}
	return 0;
}

void sockets_refresh(const struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		int flags = fcntl(sockets->fds[i], F_GETFL);
		/* The flags belong to the socket, not to the process that set them. */
		if (flags >= 0 && (flags & O_NONBLOCK))
			fcntl(sockets->fds[i], F_SETFL, flags & ~O_NONBLOCK);
		/* It may have been shut down, or have a short queue by now. */
		listen(sockets->fds[i], SOMAXCONN);
	}
}

char *sockets_names(const struct sockets *sockets)
{
	AUTO(buf) struct buf names = {0};
	for (size_t i = 0; i < sockets->count; i++)
		buf_printf(&names, "%s%s", i ? ":" : "", sockets->names[i]);
	return xstrdup(buf_str(&names));
}

void sockets_release(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		free(sockets->places[i]);
		free(sockets->names[i]);
		if (sockets->fds[i] >= 0)
			close(sockets->fds[i]);
	}
	*sockets = (struct sockets){0};
}
