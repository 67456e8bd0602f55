#include "agent/shim/rotate.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

enum { LOG_MODE = 0640 };

static int reopen(struct rotate *rotate)
{
	rotate->fd = openat(rotate->dirfd, rotate->name,
		O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, LOG_MODE);
	struct stat st;
	rotate->size = rotate->fd >= 0 && fstat(rotate->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	return rotate->fd;
}

int rotate_open(
	struct rotate *rotate, const char *path, uint64_t max_bytes, unsigned keep, struct err *err)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return err_set(err, ERR_INVALID, "'%s' is not an absolute path", path);
	AUTO_FREE char *parent = xstrndup(path, (size_t)(slash - path) + 1);
	*rotate = (struct rotate){
		.dirfd = open_dir(parent, err),
		.name = xstrdup(slash + 1),
		.fd = -1,
		.max_bytes = max_bytes,
		.keep = keep,
	};
	if (rotate->dirfd < 0)
		return -1;
	if (reopen(rotate) < 0)
		return err_errno(err, ERR_IO, errno, "cannot open the log '%s'", path);
	return 0;
}

static void move_aside(struct rotate *rotate)
{
	close(TAKE_FD(rotate->fd));
	if (rotate->keep == 0)
		unlinkat(rotate->dirfd, rotate->name, 0);
	for (unsigned i = rotate->keep; i > 0; i--) {
		AUTO_FREE char *to = xasprintf("%s.%u", rotate->name, i);
		AUTO_FREE char *from =
			i == 1 ? xstrdup(rotate->name) : xasprintf("%s.%u", rotate->name, i - 1);
		/* Not there yet is fine; anything else only keeps a log longer. */
		renameat(rotate->dirfd, from, rotate->dirfd, to);
	}
	reopen(rotate);
}

void rotate_write(struct rotate *rotate, struct bytes data)
{
	if (rotate->fd < 0 && reopen(rotate) < 0)
		return;
	if (rotate->max_bytes && rotate->size && rotate->size + data.len > rotate->max_bytes)
		move_aside(rotate);
	if (rotate->fd >= 0 && fd_write_all(rotate->fd, data.data, data.len, NULL) == 0)
		rotate->size += data.len;
}

void rotate_note(struct rotate *rotate, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	char when[TEXT_TIME_SIZE];
	AUTO(buf) struct buf line = {0};
	buf_printf(&line, "%s [fairlead] ", text_time(clock_unix_ms(), when));
	text_escape(&line, BYTES_STR(text));
	buf_append_str(&line, "\n");
	rotate_write(rotate, buf_bytes(&line));
	free(text);
}

void rotate_release(struct rotate *rotate)
{
	if (rotate->fd >= 0)
		close(rotate->fd);
	if (rotate->dirfd >= 0)
		close(rotate->dirfd);
	free(rotate->name);
	*rotate = (struct rotate){.fd = -1, .dirfd = -1};
}
