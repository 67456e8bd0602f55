#include "agent/core/events.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

struct kept {
	uint64_t number;
	size_t offset, len; /* of the packed event in bytes, behind its u32 length */
};

struct events {
	int dirfd;
	int fd;
	uint64_t last;
	struct buf bytes; /* the file's content as it would be written now */
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

static void load(struct events *events)
{
	AUTO(buf) struct buf file = {0};
	if (file_read(events->dirfd, "events", 4 * (size_t)EVENTS_KEPT_BYTES, &file, NULL) < 0)
		return;
	for (size_t at = 0; at + 4 <= file.len;) {
		size_t len = get_u32(file.data + at);
		Fairlead__V1__Event *event = NULL;
		if (len > file.len - at - 4 ||
			PB_UNPACK(fairlead__v1__event, BYTES(file.data + at + 4, len), &event,
				NULL) < 0)
			return;
		keep(events, event->number, BYTES(file.data + at + 4, len));
		pb_free(&event->base);
		at += 4 + len;
	}
}

/* Replace the file by what is kept; on failure the old one stays. */
static void rewrite(struct events *events)
{
	if (file_write_atomic(events->dirfd, "events", buf_bytes(&events->bytes), 0600, NULL) < 0)
		return;
	int fd = open_beneath(events->dirfd, "events", O_WRONLY | O_APPEND, 0, NULL);
	if (fd < 0)
		return;
	if (events->fd >= 0)
		close(events->fd);
	events->fd = fd;
	events->file_bytes = events->bytes.len;
}

int events_open(
	int dirfd, void (*added)(void *user), void *user, struct events **ret, struct err *err)
{
	int fd = open_beneath(dirfd, "events", O_WRONLY | O_APPEND | O_CREAT, 0600, err);
	if (fd < 0)
		return -1;
	struct events *events = xcalloc(1, sizeof(*events));
	events->dirfd = dirfd;
	events->fd = fd;
	events->added = added;
	events->user = user;
	load(events);
	trim(events);
	rewrite(events);
	*ret = events;
	return 0;
}

void events_close(struct events *events)
{
	if (!events)
		return;
	close(events->fd);
	buf_release(&events->bytes);
	free(events->kept);
	free(events);
}

void events_add(struct events *events, Fairlead__V1__Event *event)
{
	event->number = events->last + 1;
	AUTO(buf) struct buf packed = {0};
	PB_PACK(event, &packed);
	size_t from = events->bytes.len;
	keep(events, event->number, buf_bytes(&packed));
	if (fd_write_all(events->fd, events->bytes.data + from, events->bytes.len - from, NULL) ==
		0)
		events->file_bytes += events->bytes.len - from;
	trim(events);
	if (events->file_bytes > 2 * (size_t)EVENTS_KEPT_BYTES)
		rewrite(events);
	if (events->added)
		events->added(events->user);
}

uint64_t events_last(const struct events *events)
{
	return events->last;
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
