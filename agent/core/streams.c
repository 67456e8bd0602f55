#include "agent/core/streams.h"

#include "agent/core/events.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

enum { CHUNK_SIZE = 32 * 1024, TAIL_BYTES = 1024 * 1024, FOLLOW_MS = 200 };

struct stream {
	void (*pump)(struct call *call, struct stream *stream);
	uint64_t after;     /* watch: the newest event sent */
	struct buf content; /* manifest: its encoded form */
	size_t sent;
	int fd; /* logs: -1 for none */
	char *service;
	const struct service_ops *ops;
	uv_timer_t *follow; /* NULL: end at the end of the file */
};

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	if (stream->follow)
		uv_close((uv_handle_t *)stream->follow, on_timer_closed);
	if (stream->fd >= 0)
		close(stream->fd);
	buf_release(&stream->content);
	free(stream->service);
	free(stream);
}

void stream_pump(struct call *call)
{
	call->stream->pump(call, call->stream);
}

static struct stream *stream_new(
	struct call *call, void (*pump)(struct call *call, struct stream *stream))
{
	struct stream *stream = xcalloc(1, sizeof(*stream));
	stream->pump = pump;
	stream->fd = -1;
	call->stream = stream;
	return stream;
}

/* ---- watch ---- */

static void pump_events(struct call *call, struct stream *stream)
{
	while (call->credit > 0) {
		uint64_t number = 0;
		struct bytes packed = events_after(call->app->events, stream->after, &number);
		Fairlead__V1__Event *event = NULL;
		if (packed.len == 0)
			return;
		stream->after = number;
		if (PB_UNPACK(fairlead__v1__event, packed, &event, NULL) < 0)
			continue;
		call_send(call, &event->base);
		pb_free(&event->base);
	}
}

int handle_watch(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	if (core_app(call->core, command->app, command->environment, APP_CREATE, &call->app, err) <
		0)
		return -1;
	struct stream *stream = stream_new(call, pump_events);
	stream->after = command->watch->after_event;
	stream_pump(call);
	return 0;
}

void core_events_added(void *user)
{
	struct app *app = user;
	for (struct call *call = app->core->calls, *next; call; call = next) {
		next = call->next;
		if (call->app == app && call->stream && call->stream->pump == pump_events)
			stream_pump(call);
	}
}

/* ---- manifest ---- */

static void pump_manifest(struct call *call, struct stream *stream)
{
	while (call->credit > 0 && stream->sent < stream->content.len) {
		size_t len = stream->content.len - stream->sent;
		if (len > CHUNK_SIZE)
			len = CHUNK_SIZE;
		Fairlead__V1__ManifestChunk chunk = FAIRLEAD__V1__MANIFEST_CHUNK__INIT;
		chunk.data = pb_borrow(stream->content.data + stream->sent, len);
		stream->sent += len;
		call_send(call, &chunk.base);
	}
	if (stream->sent == stream->content.len)
		call_finish(call);
}

int handle_manifest(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	struct digest digest;
	AUTO(manifest) struct manifest manifest = {0};
	if (core_app(call->core, command->app, command->environment, APP_EXISTING, &call->app,
		    err) < 0)
		return -1;
	if (!digest_from_bytes(
		    command->manifest->manifest.data, command->manifest->manifest.len, &digest))
		return err_set(err, ERR_INVALID, "a manifest digest has not 32 bytes");
	if (store_manifest_read(&call->app->store, &digest, &manifest, err) < 0)
		return -1;
	struct stream *stream = stream_new(call, pump_manifest);
	manifest_encode(&manifest, &stream->content);
	stream_pump(call);
	return 0;
}

/* ---- logs ---- */

/* Where the last `lines` lines begin, looking at most TAIL_BYTES back. */
static int tail_offset(int fd, unsigned lines, off_t *ret, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(err, ERR_IO, errno, "cannot stat the log");
	off_t from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
	size_t len = (size_t)(st.st_size - from);
	AUTO(buf) struct buf text = {0};
	buf_reserve(&text, len + 1);
	if (fd_pread_exact(fd, text.data, len, from, err) < 0)
		return err_wrap(err, "log");
	size_t at = len;
	if (at > 0 && text.data[at - 1] == '\n')
		at--;
	for (unsigned found = 0; at > 0; at--)
		if (text.data[at - 1] == '\n' && ++found == lines)
			break;
	*ret = lines ? from + (off_t)at : st.st_size;
	return 0;
}

/* At the end of the file: has the log been rotated? Then go on with the new one. */
static int take_rotated(struct call *call, struct stream *stream)
{
	struct stat here, there;
	int fd = -1;
	if (stream->ops->open_log(&call->app->services, stream->service, &fd, NULL) < 0)
		return 0;
	if (fstat(stream->fd, &here) == 0 && fstat(fd, &there) == 0 &&
		here.st_ino != there.st_ino) {
		close(stream->fd);
		stream->fd = fd;
		return 1;
	}
	close(fd);
	return 0;
}

static void pump_log(struct call *call, struct stream *stream)
{
	uint8_t data[CHUNK_SIZE];
	while (call->credit > 0) {
		ssize_t n = read(stream->fd, data, sizeof(data));
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0) {
			Fairlead__V1__LogChunk chunk = FAIRLEAD__V1__LOG_CHUNK__INIT;
			chunk.data = pb_borrow(data, (size_t)n);
			call_send(call, &chunk.base);
			continue;
		}
		if (!stream->follow) {
			call_finish(call);
			return;
		}
		if (!take_rotated(call, stream))
			return;
	}
}

static void on_follow(uv_timer_t *timer)
{
	stream_pump(timer->data);
}

static void follow(struct call *call, struct stream *stream)
{
	stream->follow = xcalloc(1, sizeof(*stream->follow));
	stream->follow->data = call;
	uv_timer_init(&call->core->loop, stream->follow);
	uv_timer_start(stream->follow, on_follow, FOLLOW_MS, FOLLOW_MS);
}

/* The driver of a service of the current release. */
static int service_driver(
	struct app *app, const char *service, const struct service_ops **ret, struct err *err)
{
	struct digest current;
	Fairlead__V1__ReleaseRecord *record = NULL;
	if (store_current(&app->store, &current, err) < 0)
		return -1;
	if (digest_is_zero(&current))
		return err_set(err, ERR_NOT_FOUND, "nothing is deployed here");
	if (store_record_read(&app->store, &current, &record, err) < 0)
		return -1;
	*ret = NULL;
	for (size_t i = 0; i < record->n_services; i++)
		if (strcmp(record->services[i]->name, service) == 0)
			*ret = service_ops_find(record->services[i]->driver);
	pb_free(&record->base);
	if (*ret)
		return 0;
	err_set(err, ERR_NOT_FOUND, "no service '%s' on this host", service);
	return err_hint(err, "See `fairlead status` for the services it has.");
}

int handle_logs(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	const Fairlead__V1__Logs *logs = command->logs;
	const struct service_ops *ops = NULL;
	off_t offset = 0;
	if (!text_is_name(logs->service))
		return err_set(err, ERR_INVALID, "a service name is not valid");
	if (core_app(call->core, command->app, command->environment, APP_EXISTING, &call->app,
		    err) < 0 ||
		service_driver(call->app, logs->service, &ops, err) < 0 || !ops)
		return -1;
	struct stream *stream = stream_new(call, pump_log);
	stream->service = xstrdup(logs->service);
	stream->ops = ops;
	if (ops->open_log(&call->app->services, logs->service, &stream->fd, err) < 0 ||
		tail_offset(stream->fd, logs->tail_lines, &offset, err) < 0)
		return -1;
	if (lseek(stream->fd, offset, SEEK_SET) < 0)
		return err_errno(err, ERR_IO, errno, "cannot seek in the log");
	if (logs->follow)
		follow(call, stream);
	stream_pump(call);
	return 0;
}
