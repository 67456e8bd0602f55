#include "agent/service/service.h"

#include "agent/service/driver_command.h"
#include "agent/service/driver_process.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

enum { TAIL_MAX = 64 * 1024 };

const struct service_ops *const service_drivers[] = {
	&driver_process,
	&driver_command,
	NULL,
};

const struct service_ops *service_ops_find(const char *driver)
{
	for (size_t i = 0; service_drivers[i]; i++)
		if (strcmp(service_drivers[i]->name, driver) == 0)
			return service_drivers[i];
	return NULL;
}

/* Where the last `lines` lines begin; a newline at the very end ends a line, and begins none. */
static size_t tail_start(struct bytes text, unsigned lines)
{
	size_t at = text.len;
	if (at > 0 && text.data[at - 1] == '\n')
		at--;
	while (at > 0 && (text.data[at - 1] != '\n' || --lines > 0))
		at--;
	return at;
}

static void append_lines(struct buf *out, struct bytes text)
{
	while (text.len > 0) {
		const uint8_t *end = memchr(text.data, '\n', text.len);
		size_t len = end ? (size_t)(end - text.data) : text.len;
		text_escape(out, BYTES(text.data, len));
		buf_append_str(out, "\n");
		len += end != NULL;
		text = BYTES(text.data + len, text.len - len);
	}
}

/* Escapes may be longer than what they stand for: the oldest lines go. */
static void keep_last(struct buf *text, size_t max)
{
	if (text->len <= max)
		return;
	const uint8_t *cut = text->data + (text->len - max);
	const uint8_t *newline = memchr(cut, '\n', max);
	buf_consume(text, newline ? (size_t)(newline - text->data) + 1 : text->len - max);
}

int service_log_tail(int fd, unsigned lines, struct buf *ret, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(err, ERR_IO, errno, "cannot read the log");
	size_t len = st.st_size < TAIL_MAX ? (size_t)st.st_size : TAIL_MAX;
	AUTO(buf) struct buf raw = {0};
	if (lines == 0 || len == 0)
		return 0;
	if (fd_pread_exact(fd, buf_reserve(&raw, len), len, st.st_size - (off_t)len, err) < 0)
		return err_wrap(err, "the log");
	size_t start = tail_start(BYTES(raw.data, len), lines);
	struct buf text = {0};
	append_lines(&text, BYTES(raw.data + start, len - start));
	keep_last(&text, TAIL_MAX);
	buf_append(ret, text.data, text.len);
	buf_release(&text);
	return 0;
}
