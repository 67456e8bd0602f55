#include "agent/service/operation.h"

#include "common/base/mem.h"

static void handle_closed(uv_handle_t *handle)
{
	struct operation *op = handle->data;
	if (--op->open_handles > 0)
		return;
	buf_release(&op->received);
	free(op->service);
	free(op);
}

struct operation *operation_new(const struct service_context *context, const char *service,
	service_done_fn *done, void *user)
{
	struct operation *op = xcalloc(1, sizeof(*op));
	op->fd = -1;
	op->context = context;
	op->service = xstrdup(service);
	op->done = done;
	op->user = user;
	uv_timer_init(context->loop, &op->timer);
	op->timer.data = op;
	op->open_handles = 1;
	return op;
}

static void poll_closed(uv_handle_t *handle)
{
	struct operation *op = handle->data;
	op->polling = 0;
	handle_closed(handle);
}

int operation_wait(struct operation *op, int fd, uv_poll_cb readable, struct err *err)
{
	op->fd = fd;
	int rc = uv_poll_init(op->context->loop, &op->poll, fd);
	if (rc < 0)
		return err_set(err, ERR_INTERNAL, "cannot wait for '%s': %s", op->service,
			uv_strerror(rc));
	op->poll.data = op;
	op->polling = 1;
	op->open_handles++;
	uv_poll_start(&op->poll, UV_READABLE | UV_DISCONNECT, readable);
	return 0;
}

void operation_unwait(struct operation *op)
{
	if (op->polling && !uv_is_closing((uv_handle_t *)&op->poll))
		uv_close((uv_handle_t *)&op->poll, poll_closed);
	if (op->fd >= 0)
		close(TAKE_FD(op->fd));
}

void operation_after(struct operation *op, uint64_t ms, uv_timer_cb then)
{
	/* The loop's idea of now may be old when we come from outside it. */
	uv_update_time(op->context->loop);
	uv_timer_start(&op->timer, then, ms, 0);
}

void operation_free(struct operation *op)
{
	operation_unwait(op);
	uv_close((uv_handle_t *)&op->timer, handle_closed);
}

void operation_finish(struct operation *op, const Fairlead__V1__ServiceStatus *status)
{
	struct err none = ERR_INIT;
	/* Closed first, freed later by the loop: `done` may start the next operation. */
	operation_free(op);
	op->done(op->user, status, &none);
}

void operation_fail(struct operation *op, const struct err *err)
{
	operation_free(op);
	op->done(op->user, NULL, err);
}
