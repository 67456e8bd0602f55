#include "agent/core/gateway_process.h"

#include "agent/core/calls.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/packet.h"
#include "common/os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

enum { RESTART_FIRST_MS = 100, RESTART_MOST_MS = 5000, STEADY_MS = 3000, PACKETS_AT_ONCE = 64 };
/* The gateway takes what it is sent before anything else. While more than the first waits for it,
 * it is not listened to, for every question adds an answer; with more than the second it is taken
 * for dead. */
enum { QUEUE_MAX = 1024 * 1024, QUEUE_DEAD = 16 * 1024 * 1024 };

struct outgoing {
	struct outgoing *next;
	struct buf packet;
	int fd; /* -1: none */
};

struct gateway_process {
	struct core *core;
	char *listen; /* with the port it was given, once it is known */
	int fd;       /* our end; -1 while it is down */
	struct spawned child;
	uv_poll_t *poll;
	uv_timer_t restart;
	uint64_t restart_ms;
	uint64_t ready_ms; /* monotonic, since when it listens; 0: not yet */
	size_t queued_bytes;
	struct outgoing *first, **last;
};

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void drop_first(struct gateway_process *gateway)
{
	struct outgoing *out = gateway->first;
	gateway->first = out->next;
	if (!gateway->first)
		gateway->last = &gateway->first;
	gateway->queued_bytes -= out->packet.len;
	if (out->fd >= 0)
		close(out->fd);
	buf_release(&out->packet);
	free(out);
}

/* The child is told by the closed socket, and by a signal if it does not hear. */
static void take_down(struct gateway_process *gateway)
{
	while (gateway->first)
		drop_first(gateway);
	if (gateway->poll) {
		uv_poll_stop(gateway->poll);
		uv_close((uv_handle_t *)TAKE(gateway->poll), on_poll_closed);
	}
	if (gateway->fd >= 0)
		close(TAKE_FD(gateway->fd));
	if (gateway->child.pid > 0) {
		kill(gateway->child.pid, SIGKILL);
		while (waitpid(gateway->child.pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	spawned_release(&gateway->child);
	gateway->child = SPAWNED_INIT;
}

static void on_restart(uv_timer_t *timer);

static void lost(struct gateway_process *gateway)
{
	if (gateway->ready_ms && clock_mono_ms() - gateway->ready_ms > STEADY_MS)
		gateway->restart_ms = RESTART_FIRST_MS;
	gateway->ready_ms = 0;
	take_down(gateway);
	calls_drop_all(gateway->core);
	core_log("the gateway ended; starting it again in %llu ms",
		(unsigned long long)gateway->restart_ms);
	uv_timer_start(&gateway->restart, on_restart, gateway->restart_ms, 0);
	gateway->restart_ms *= 2;
	if (gateway->restart_ms > RESTART_MOST_MS)
		gateway->restart_ms = RESTART_MOST_MS;
}

/* What our own program never does is done by one that somebody has taken over: it is ended, and
 * the next one knows nothing of who did it. */
static void distrust(struct gateway_process *gateway, const char *why)
{
	core_log_foreign("gateway: %s", why);
	lost(gateway);
}

/* A port that was chosen is the one it listens on; only 0 leaves the choice to the gateway, the
 * first time. */
static void on_ready(struct gateway_process *gateway, uint32_t port)
{
	char *colon = strrchr(gateway->listen, ':');
	unsigned long chosen = colon ? strtoul(colon + 1, NULL, 10) : 0;
	if (gateway->ready_ms || port == 0 || port > UINT16_MAX || (chosen && chosen != port)) {
		distrust(gateway, "is ready in a way that it cannot be");
		return;
	}
	if (colon && !chosen) {
		char *address =
			xasprintf("%.*s:%u", (int)(colon - gateway->listen), gateway->listen, port);
		free(gateway->listen);
		gateway->listen = address;
	}
	gateway->ready_ms = clock_mono_ms();
	core_log("listening on %s", gateway->listen);
}

static void handle(struct gateway_process *gateway, struct bytes packet)
{
	Fairlead__V1__ToCore *message = NULL;
	struct err err = ERR_INIT;
	if (PB_UNPACK(fairlead__v1__to_core, packet, &message, &err) < 0) {
		distrust(gateway, err.message);
		return;
	}
	if (message->ready)
		on_ready(gateway, message->ready->port);
	else
		calls_receive(gateway->core, message);
	pb_free(&message->base);
}

static void watch_socket(struct gateway_process *gateway);

static void receive(struct gateway_process *gateway)
{
	AUTO(buf) struct buf packet = {0};
	for (int i = 0; i < PACKETS_AT_ONCE; i++) {
		struct err err = ERR_INIT;
		int rc = packet_recv(gateway->fd, &packet, NULL, &err);
		if (rc == PACKET_EMPTY)
			return;
		if (rc == PACKET_CLOSED) {
			lost(gateway);
			return;
		}
		if (rc < 0)
			distrust(gateway, err.message);
		else
			handle(gateway, buf_bytes(&packet));
		if (gateway->fd < 0 || gateway->queued_bytes > QUEUE_MAX)
			return;
	}
}

/* A message is lost, and whoever waits for it would wait for ever: better for all calls to end. Our
 * callers hold calls that `lost` would free, so that comes with the gateway's end. */
static void give_up(struct gateway_process *gateway, const char *why)
{
	core_log("gateway: %s; ending it", why);
	spawn_kill(&gateway->child, SIGKILL);
}

static void flush(struct gateway_process *gateway)
{
	while (gateway->first) {
		struct outgoing *out = gateway->first;
		struct err err = ERR_INIT;
		int rc = packet_send(gateway->fd, buf_bytes(&out->packet), out->fd, &err);
		if (rc == PACKET_BLOCKED)
			return;
		if (rc < 0 && err.code == ERR_UNREACHABLE)
			return; /* the close is read next */
		if (rc < 0)
			give_up(gateway, err.message);
		drop_first(gateway);
	}
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct gateway_process *gateway = poll->data;
	if (status < 0) {
		lost(gateway);
		return;
	}
	if (events & UV_WRITABLE)
		flush(gateway);
	if (events & (UV_READABLE | UV_DISCONNECT))
		receive(gateway);
	if (gateway->fd >= 0)
		watch_socket(gateway);
}

static void watch_socket(struct gateway_process *gateway)
{
	int events = UV_DISCONNECT | (gateway->first ? UV_WRITABLE : 0);
	if (gateway->queued_bytes <= QUEUE_MAX)
		events |= UV_READABLE;
	uv_poll_start(gateway->poll, events, on_socket);
}

void gateway_process_send(
	struct gateway_process *gateway, const Fairlead__V1__ToGateway *message, int pass_fd)
{
	if (gateway->fd < 0)
		return;
	if (gateway->queued_bytes > QUEUE_DEAD) {
		/* Our callers hold calls that `lost` would free: that comes with its end. */
		core_log_foreign("gateway: does not take what it is sent");
		spawn_kill(&gateway->child, SIGKILL);
		return;
	}
	struct outgoing *out = xcalloc(1, sizeof(*out));
	PB_PACK(message, &out->packet);
	out->fd = pass_fd < 0 ? -1 : fcntl(pass_fd, F_DUPFD_CLOEXEC, 3);
	if (pass_fd >= 0 && out->fd < 0) {
		AUTO_FREE char *why = xasprintf("cannot pass a file on: %s", strerror(errno));
		give_up(gateway, why);
	}
	*gateway->last = out;
	gateway->last = &out->next;
	gateway->queued_bytes += out->packet.len;
	flush(gateway);
	watch_socket(gateway);
}

static int start_child(struct gateway_process *gateway, int fd, struct err *err)
{
	const struct agent_config *config = &gateway->core->config;
	AUTO_FREE char *program = xasprintf("%s/fairlead-gateway", config->libexec);
	char key[KEY_TEXT_SIZE];
	public_key_text(signing_key_public(gateway->core->host_key), key);
	char limits[4][16];
	const unsigned values[] = {config->limits.connections,
		config->limits.connections_per_address, config->limits.handshakes,
		config->limits.handshakes_per_address};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		snprintf(limits[i], sizeof(limits[i]), "%u", values[i]);
	const char *argv[] = {program, "--listen", gateway->listen, "--host-key", key,
		"--connections", limits[0], "--connections-per-address", limits[1], "--handshakes",
		limits[2], "--handshakes-per-address", limits[3], NULL};
	const char *env[] = {NULL};
	struct spawn_fd fds[] = {{fd, 3}};
	struct spawn_user user = {0};
	const char *name = gateway->core->may_change_user ? config->users.gateway : NULL;
	if (name && spawn_user_find(name, &user, err) < 0)
		return -1;
	struct spawn spawn = {
		.program = program,
		.argv = argv,
		.env = env,
		.fds = fds,
		.fd_count = 1,
		.user = name ? &user : NULL,
		.place = SPAWN_CHILD,
		.privileges = SPAWN_NO_NEW_PRIVILEGES,
	};
	int rc = spawn_run(&spawn, &gateway->child, err);
	spawn_user_release(&user);
	return rc;
}

static int start(struct gateway_process *gateway, struct err *err)
{
	int pair[2];
	if (packet_pair(pair, err) < 0)
		return -1;
	int rc = start_child(gateway, pair[1], err);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		return err_wrap(err, "gateway");
	}
	gateway->fd = pair[0];
	fcntl(gateway->fd, F_SETFL, fcntl(gateway->fd, F_GETFL) | O_NONBLOCK);
	gateway->poll = xcalloc(1, sizeof(*gateway->poll));
	gateway->poll->data = gateway;
	uv_poll_init(&gateway->core->loop, gateway->poll, gateway->fd);
	watch_socket(gateway);
	return 0;
}

static void on_restart(uv_timer_t *timer)
{
	struct gateway_process *gateway = timer->data;
	struct err err = ERR_INIT;
	if (start(gateway, &err) < 0) {
		core_log("%s", err.message);
		lost(gateway);
	}
}

int gateway_process_start(struct core *core, struct gateway_process **ret, struct err *err)
{
	struct gateway_process *gateway = xcalloc(1, sizeof(*gateway));
	gateway->core = core;
	gateway->listen = xstrdup(core->config.listen);
	gateway->fd = -1;
	gateway->child = SPAWNED_INIT;
	gateway->last = &gateway->first;
	gateway->restart_ms = RESTART_FIRST_MS;
	if (start(gateway, err) < 0) {
		free(gateway->listen);
		free(gateway);
		return -1;
	}
	uv_timer_init(&core->loop, &gateway->restart);
	gateway->restart.data = gateway;
	*ret = gateway;
	return 0;
}

static void on_stopped(uv_handle_t *handle)
{
	struct gateway_process *gateway = handle->data;
	free(gateway->listen);
	free(gateway);
}

void gateway_process_stop(struct gateway_process *gateway)
{
	if (!gateway)
		return;
	take_down(gateway);
	uv_close((uv_handle_t *)&gateway->restart, on_stopped);
}
