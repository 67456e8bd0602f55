/* The journal's files as they are, for whoever wants to verify them. What they are at the moment of
 * the call is what is sent, though the journal goes on meanwhile. */
#include "agent/core/drift.h"
#include "agent/core/streams.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

enum { PIECE = 32 * 1024 };

struct source {
	char *name;
	int fd;
	off_t sent, size;
};

struct sending {
	struct source *sources;
	size_t count, at;
};

static void release(void *state)
{
	struct sending *sending = state;
	for (size_t i = 0; i < sending->count; i++) {
		free(sending->sources[i].name);
		if (sending->sources[i].fd >= 0)
			close(sending->sources[i].fd);
	}
	free(sending->sources);
	free(sending);
}

static int open_sources(const struct app *app, struct sending *sending, struct err *err)
{
	char **files = NULL;
	size_t count = 0;
	if (journal_files(app->state_dirfd, "journal", &files, &count, err) < 0)
		return -1;
	sending->sources = xcalloc(count, sizeof(*sending->sources));
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct source *source = &sending->sources[sending->count++];
		struct stat st;
		source->name = xstrdup(files[i]);
		source->fd = open_beneath(app->state_dirfd, files[i], O_RDONLY, 0, err);
		if (source->fd < 0)
			rc = -1;
		else if (fstat(source->fd, &st) < 0)
			rc = err_errno(err, ERR_IO, errno, "cannot stat '%s'", files[i]);
		else
			source->size = st.st_size;
	}
	journal_files_free(files, count);
	return rc;
}

static int send_piece(struct call *call, struct source *source, struct err *err)
{
	uint8_t data[PIECE];
	off_t left = source->size - source->sent;
	size_t len = left < PIECE ? (size_t)left : PIECE;
	if (fd_pread_exact(source->fd, data, len, source->sent, err) < 0)
		return err_wrap(err, "'%s'", source->name);
	Fairlead__V1__AuditChunk chunk = FAIRLEAD__V1__AUDIT_CHUNK__INIT;
	chunk.file = source->name;
	chunk.data = pb_borrow(data, len);
	source->sent += (off_t)len;
	call_send(call, &chunk.base);
	return 0;
}

static void pump(struct call *call, void *state)
{
	struct sending *sending = state;
	struct err err = ERR_INIT;
	while (sending->at < sending->count) {
		struct source *source = &sending->sources[sending->at];
		if (call->credit == 0)
			return;
		/* An empty file is said too: one message without data. */
		if (send_piece(call, source, &err) < 0) {
			call_fail(call, &err);
			return;
		}
		if (source->sent == source->size)
			sending->at++;
	}
	call_finish(call);
}

int handle_audit(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	if (core_app(call->core, command->app, command->environment, APP_EXISTING, &call->app,
		    err) < 0)
		return -1;
	struct sending *sending = xcalloc(1, sizeof(*sending));
	stream_attach(call, pump, release, sending);
	if (open_sources(call->app, sending, err) < 0)
		return -1;
	stream_pump(call);
	return 0;
}
