/* The shim's control socket: SOCK_SEQPACKET at ShimSpec.socket_path, mode 0600, one ShimRequest
 * and one ShimReply a packet. The path may be longer than sun_path (unix(7)): the socket is bound
 * and reached through its directory's fd. */
#pragma once

#include "agent/shim/sockets.h"
#include "common/base/err.h"
#include "fairlead/v1/local.pb-c.h"

#include <poll.h>
#include <stdint.h>

enum { CONTROL_CLIENTS_MAX = 8, CONTROL_FDS = 1 + CONTROL_CLIENTS_MAX };

struct control {
	int dirfd;
	char *name; /* in dirfd */
	int listen_fd;
	int clients[CONTROL_CLIENTS_MAX];  /* -1: free */
	int stopping[CONTROL_CLIENTS_MAX]; /* waits for the end */
	uint64_t accept_again_ms;          /* monotonic; after an error such as EMFILE */
};

/* A socket that a dead shim left is replaced; ERR_EXISTS when somebody answers there. */
int control_open(struct control *control, const char *path, struct err *err);
/* Closes all, leaves the socket file. */
void control_release(struct control *control);
/* Remove the socket file: from now on a new shim may come. */
void control_unlink(struct control *control);

/* What to poll for, and for how long at most (-1: as long as one likes). A socket that cannot be
 * accepted from is left out for a moment, since it stays readable and poll would only spin. */
void control_fds(const struct control *control, struct pollfd fds[static CONTROL_FDS]);
int control_timeout_ms(const struct control *control);
enum control_stop { CONTROL_STOP, CONTROL_STOP_KEEPING };
struct control_calls {
	void (*status)(void *user, Fairlead__V1__ServiceStatus *ret);
	void (*stop)(void *user, enum control_stop how); /* the reply: control_stopped */
	/* The sockets a successor may have, which ends our service for good; NULL: none are kept.
	 */
	const struct sockets *(*give)(void *user);
	void *user;
};
/* Serve those that poll found ready. */
void control_serve(struct control *control, const struct pollfd fds[static CONTROL_FDS],
	const struct control_calls *calls);
/* Answer all who asked for the end, once. */
void control_stopped(struct control *control, const Fairlead__V1__ServiceStatus *status);

/* The other side: connect, without blocking, to a shim. ERR_NOT_FOUND: nobody listens there. */
int control_connect(int dirfd, const char *name, struct err *err);
