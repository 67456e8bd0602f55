#include "agent/core/streams.h"

#include "agent/core/events.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

enum { CHUNK_SIZE = 32 * 1024, TAIL_BYTES = 1024 * 1024, FOLLOW_MS = 200 };

struct stream {
	void (*pump)(struct call *call, struct stream *stream);
	uint64_t after;     /* watch: the newest event sent */
	struct buf content; /* manifest: its encoded form */
	size_t sent;
	int fd;                          /* logs: -1 for none */
	Fairlead__V1__ServicePlan *plan; /* logs: whose */
	int rotated;                     /* logs: its file has been moved aside */
	uv_timer_t *follow;              /* NULL: end at the end of the file */
	struct {                         /* stream_attach */
		void (*pump)(struct call *call, void *state);
		void (*release)(void *state);
		void *state;
	} attached;
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
	if (stream->plan)
		pb_free(&stream->plan->base);
	if (stream->attached.release)
		stream->attached.release(stream->attached.state);
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

static void pump_attached(struct call *call, struct stream *stream)
{
	if (stream->attached.pump)
		stream->attached.pump(call, stream->attached.state);
}

void stream_attach(struct call *call, void (*pump)(struct call *call, void *state),
	void (*release)(void *state), void *state)
{
	struct stream *stream = stream_new(call, pump_attached);
	stream->attached.pump = pump;
	stream->attached.release = release;
	stream->attached.state = state;
}

/* ---- watch ---- */

/* Whoever follows from a number on hears of every one: as an event, or as one of a gap. Who asks
 * from 0 takes what there is. */
static bool tell_gap(struct call *call, struct stream *stream, uint64_t newest_missed)
{
	if (stream->after == 0 || newest_missed <= stream->after)
		return false;
	Fairlead__V1__Event gap = FAIRLEAD__V1__EVENT__INIT;
	gap.unix_ms = clock_unix_ms();
	gap.number = newest_missed;
	gap.missed = newest_missed - stream->after;
	gap.message = pb_str("these events are not kept any more");
	stream->after = newest_missed;
	call_send(call, &gap.base);
	return true;
}

static void pump_events(struct call *call, struct stream *stream)
{
	const struct events *events = call->app->events;
	while (call->credit > 0) {
		uint64_t number = 0;
		struct bytes packed = events_after(events, stream->after, &number);
		Fairlead__V1__Event *event = NULL;
		if (tell_gap(call, stream, packed.len ? number - 1 : events_last(events)))
			continue;
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

static bool watches(const struct call *call, const struct app *app)
{
	return call->app == app && call->stream && call->stream->pump == pump_events;
}

void core_events_added(void *user)
{
	struct app *app = user;
	for (struct call *call = app->core->calls, *next; call; call = next) {
		next = call->next;
		if (watches(call, app))
			stream_pump(call);
	}
}

unsigned streams_watching(const struct app *app)
{
	unsigned count = 0;
	for (const struct call *call = app->core->calls; call; call = call->next)
		count += watches(call, app);
	return count;
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

enum { LOG_AGE_MAX = 1000 };

static int open_aged(struct call *call, const struct stream *stream, unsigned age)
{
	const struct service_ops *ops = service_ops_find(stream->plan->driver);
	int fd = -1;
	if (!ops || ops->open_log(&call->app->services, stream->plan, age, &fd, NULL) < 0)
		return -1;
	return fd;
}

static int same_file(int a, int b)
{
	struct stat one, other;
	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino &&
	       one.st_dev == other.st_dev;
}

/* The log that came after the one in stream->fd; -1: none did. A log may be moved aside more than
 * once before we look: then it is found among the older ones, or the oldest there is goes on. */
static int open_successor(struct call *call, const struct stream *stream)
{
	AUTO_CLOSE int newer = open_aged(call, stream, 0);
	if (newer < 0 || same_file(newer, stream->fd))
		return -1;
	for (unsigned age = 1; age < LOG_AGE_MAX; age++) {
		AUTO_CLOSE int older = open_aged(call, stream, age);
		if (older < 0 || same_file(older, stream->fd))
			break;
		close(newer);
		newer = TAKE_FD(older);
	}
	return TAKE_FD(newer);
}

/* At the end of the file: has the log been moved aside? Then it may have grown in between, so that
 * it is read to its end once more before its successor. 1: there is more to read. */
static int take_rotated(struct call *call, struct stream *stream)
{
	AUTO_CLOSE int next = open_successor(call, stream);
	if (next < 0)
		return 0;
	if (stream->rotated) {
		close(stream->fd);
		stream->fd = TAKE_FD(next);
	}
	stream->rotated = !stream->rotated;
	return 1;
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

/* The plan of a service of the current release; the caller's. */
static int service_plan(
	struct app *app, const char *service, Fairlead__V1__ServicePlan **ret, struct err *err)
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
	for (size_t i = 0; i < record->n_services && !*ret; i++)
		if (strcmp(record->services[i]->name, service) == 0)
			*ret = PB_COPY(Fairlead__V1__ServicePlan, record->services[i]);
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
	Fairlead__V1__ServicePlan *plan = NULL;
	off_t offset = 0;
	if (!text_is_name(logs->service))
		return err_set(err, ERR_INVALID, "a service name is not valid");
	if (core_app(call->core, command->app, command->environment, APP_EXISTING, &call->app,
		    err) < 0 ||
		service_plan(call->app, logs->service, &plan, err) < 0)
		return -1;
	const struct service_ops *ops = service_ops_find(plan->driver);
	struct stream *stream = stream_new(call, pump_log);
	stream->plan = plan;
	if (!ops)
		return err_set(err, ERR_CONFIG, "this agent has no driver '%s'", plan->driver);
	if (ops->open_log(&call->app->services, plan, 0, &stream->fd, err) < 0 ||
		tail_offset(stream->fd, logs->tail_lines, &offset, err) < 0)
		return -1;
	if (lseek(stream->fd, offset, SEEK_SET) < 0)
		return err_errno(err, ERR_IO, errno, "cannot seek in the log");
	if (logs->follow)
		follow(call, stream);
	stream_pump(call);
	return 0;
}
