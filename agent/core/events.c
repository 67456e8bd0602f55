#include "agent/core/events.h"

#include "agent/core/core.h"
#include "agent/core/event_mark.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"

struct kept {
	uint64_t number;
	size_t offset, len; /* of the packed event in bytes, behind its u32 length */
};

struct events {
	int dirfd;
	int fd; /* -1: the file cannot be opened */
	uint64_t last;
	struct event_mark mark; /* as it is on the disk */
	struct buf bytes;       /* the file's content as it would be written now */
	size_t file_bytes;
	struct kept *kept;
	size_t count, cap;
	void (*added)(void *user);
	void *user;
};

static void keep(struct events *events, uint64_t number, struct bytes packed)
{
	uint8_t length[4];
	put_u32(length, (uint32_t)packed.len);
	buf_append(&events->bytes, length, sizeof(length));
	if (events->count == events->cap) {
		events->cap = events->cap ? events->cap * 2 : 16;
		events->kept = xrealloc(events->kept, events->cap * sizeof(*events->kept));
	}
	events->kept[events->count++] = (struct kept){number, events->bytes.len, packed.len};
	buf_append(&events->bytes, packed.data, packed.len);
	events->last = number;
}

/* Forget the oldest so that at most EVENTS_KEPT_BYTES stay. */
static void trim(struct events *events)
{
	size_t drop = 0;
	while (drop + 1 < events->count &&
		events->bytes.len - (events->kept[drop].offset - 4) > EVENTS_KEPT_BYTES)
		drop++;
	if (drop == 0)
		return;
	size_t cut = events->kept[drop].offset - 4;
	buf_consume(&events->bytes, cut);
	memmove(events->kept, events->kept + drop, (events->count - drop) * sizeof(*events->kept));
	events->count -= drop;
	for (size_t i = 0; i < events->count; i++)
		events->kept[i].offset -= cut;
}

/* ---- the file ---- */

/* What the file holds, up to the first that does not fit. Returns whether it was all of it. */
static bool load_all(struct events *events, struct bytes file)
{
	for (size_t at = 0; at < file.len;) {
		Fairlead__V1__Event *event = NULL;
		size_t left = file.len - at;
		if (left < 4 || get_u32(file.data + at) > left - 4)
			return false;
		struct bytes packed = BYTES(file.data + at + 4, get_u32(file.data + at));
		if (PB_UNPACK(fairlead__v1__event, packed, &event, NULL) < 0)
			return false;
		uint64_t number = event->number;
		pb_free(&event->base);
		if (number <= events->last)
			return false;
		keep(events, number, packed);
		at += 4 + packed.len;
	}
	return true;
}

enum loaded { LOADED_ALL, LOADED_PART, LOADED_NONE };

static enum loaded load(struct events *events)
{
	AUTO(buf) struct buf file = {0};
	struct err err = ERR_INIT;
	if (file_read(events->dirfd, "events", 4 * (size_t)EVENTS_KEPT_BYTES, &file, &err) < 0) {
		if (err.code != ERR_NOT_FOUND)
			core_log("events: %s", err.message);
		return LOADED_NONE;
	}
	events->file_bytes = file.len;
	return load_all(events, buf_bytes(&file)) ? LOADED_ALL : LOADED_PART;
}

static void use_fd(struct events *events, int fd)
{
	if (events->fd >= 0)
		close(events->fd);
	events->fd = fd;
}

/* Replace the file by what is kept; on failure the old one stays. */
static int rewrite(struct events *events, struct err *err)
{
	if (file_write_atomic(events->dirfd, "events", buf_bytes(&events->bytes), 0600, err) < 0)
		return -1;
	int fd = open_beneath(events->dirfd, "events", O_WRONLY | O_APPEND, 0, err);
	if (fd < 0)
		return -1;
	use_fd(events, fd);
	events->file_bytes = events->bytes.len;
	return 0;
}

static int set_mark(struct events *events, uint64_t reserved, bool whole, struct err *err)
{
	const struct event_mark mark = {reserved, whole, true};
	if (events->mark.same_boot && events->mark.reserved == reserved &&
		events->mark.whole == whole)
		return 0;
	if (event_mark_write(events->dirfd, &mark, err) < 0)
		return -1;
	events->mark = mark;
	return 0;
}

/* ---- opening ---- */

/* Numbers that may have been used and seen, although no event with them is left. Without a mark
 * that can be read the clock is above them all: no agent tells an event every millisecond for as
 * long as there has been time. */
static uint64_t floor_of(
	enum event_mark_found found, const struct event_mark *mark, enum loaded loaded)
{
	bool intact = loaded != LOADED_PART && mark->whole && mark->same_boot;
	if (found == EVENT_MARK_LOST)
		return clock_unix_ms();
	if (found == EVENT_MARK_NONE)
		return loaded == LOADED_PART ? clock_unix_ms() : 0;
	return intact && loaded == LOADED_ALL ? 0 : mark->reserved;
}

static int settle(struct events *events, enum loaded loaded, struct err *err)
{
	uint64_t newest = events->last;
	enum event_mark_found found = event_mark_read(events->dirfd, &events->mark);
	uint64_t floor = floor_of(found, &events->mark, loaded);
	if (floor > newest) {
		events->last = floor;
		core_log("events: %s, so numbers go on above %llu",
			loaded == LOADED_ALL ? "the newest may be lost" : "some are lost",
			(unsigned long long)floor);
	}
	uint64_t reserved = events->mark.reserved > events->last ? events->mark.reserved
								 : events->last + EVENT_MARK_BLOCK;
	size_t before = events->bytes.len;
	trim(events);
	bool whole = loaded == LOADED_ALL && events->bytes.len == before;
	struct err ignored = ERR_INIT;
	if (!whole)
		whole = rewrite(events, &ignored) == 0;
	/* A number must be reserved before it is used. */
	return set_mark(events, reserved, whole && events->fd >= 0, err);
}

int events_open(
	int dirfd, void (*added)(void *user), void *user, struct events **ret, struct err *err)
{
	struct events *events = xcalloc(1, sizeof(*events));
	events->dirfd = dirfd;
	events->added = added;
	events->user = user;
	events->fd = -1;
	enum loaded loaded = load(events);
	struct err ignored = ERR_INIT;
	if (loaded == LOADED_ALL)
		events->fd = open_beneath(dirfd, "events", O_WRONLY | O_APPEND, 0, &ignored);
	if (settle(events, loaded, err) < 0) {
		events_close(events);
		return err_wrap(err, "events");
	}
	*ret = events;
	return 0;
}

void events_close(struct events *events)
{
	if (!events)
		return;
	use_fd(events, -1);
	buf_release(&events->bytes);
	free(events->kept);
	free(events);
}

/* ---- adding ---- */

/* Where the file has a hole or grew too long, it is made anew; else one event is added to it. */
static int store(struct events *events, size_t from, struct err *err)
{
	if (!events->mark.whole || events->fd < 0 ||
		events->file_bytes > 2 * (size_t)EVENTS_KEPT_BYTES)
		return rewrite(events, err);
	size_t len = events->bytes.len - from;
	if (fd_write_all(events->fd, events->bytes.data + from, len, err) < 0)
		return -1;
	events->file_bytes += len;
	return 0;
}

/* Before anyone is told of it: the number may not come again, whatever happens to the file. */
static void secure(struct events *events, size_t from)
{
	struct err err = ERR_INIT;
	uint64_t reserved = events->mark.reserved;
	bool whole = store(events, from, &err) == 0;
	if (events->last + 1 >= reserved)
		reserved = events->last + EVENT_MARK_BLOCK;
	bool news = whole != events->mark.whole;
	if (set_mark(events, reserved, whole, whole ? &err : NULL) < 0 || (!whole && news))
		core_log("events: not on the disk, so lost at the next start: %s", err.message);
}

void events_add(struct events *events, Fairlead__V1__Event *event)
{
	event->number = events->last + 1;
	AUTO(buf) struct buf packed = {0};
	PB_PACK(event, &packed);
	size_t from = events->bytes.len;
	keep(events, event->number, buf_bytes(&packed));
	secure(events, from);
	trim(events);
	if (events->added)
		events->added(events->user);
}

uint64_t events_last(const struct events *events)
{
	return events->last;
}

void events_raise(struct events *events, uint64_t last)
{
	if (last > events->last)
		events->last = last;
}

struct bytes events_after(const struct events *events, uint64_t after, uint64_t *ret_number)
{
	size_t low = 0, high = events->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (events->kept[middle].number > after)
			high = middle;
		else
			low = middle + 1;
	}
	if (low == events->count)
		return BYTES(NULL, 0);
	*ret_number = events->kept[low].number;
	return BYTES(events->bytes.data + events->kept[low].offset, events->kept[low].len);
}
