#include "common/link/loop.h"
#include "common/link/transport.h"

#include "common/base/mem.h"

/* After an error such as EMFILE: accepting again at once would only spin. */
enum { BACK_OFF_MS = 100, CLOSING_BACK_OFF_MS = 10 };

struct listener {
	struct link_loop *loop;
	nng_stream_listener *listener;
	nng_aio *aio;
	listener_accepted *accepted; /* NULL once closed */
	void *user;
	int port;
	bool accepting; /* the aio is in use, or its completion waits in the loop */
	struct timer back_off;
	struct loop_job done, reap, reaped;
};

/* On one of nng's threads. */
static void on_aio(void *arg)
{
	struct listener *listener = arg;
	loop_post(listener->loop, &listener->done);
}

static void accept_next(struct listener *listener)
{
	if (listener->accepting || listener->back_off.place || !listener->accepted)
		return;
	listener->accepting = true;
	nng_stream_listener_accept(listener->listener, listener->aio);
}

static void run_back_off(struct timer *timer)
{
	accept_next(CONTAINER_OF(timer, struct listener, back_off));
}

static void back_off(struct listener *listener, uint64_t ms)
{
	loop_timer_set(listener->loop, &listener->back_off, loop_now_ms(listener->loop) + ms);
}

static void run_done(struct loop_job *job)
{
	struct listener *listener = CONTAINER_OF(job, struct listener, done);
	if (!listener->accepted)
		return; /* the reaper takes care of a stream that came in between */
	listener->accepting = false;
	if (nng_aio_result(listener->aio))
		back_off(listener, BACK_OFF_MS);
	else
		listener->accepted(listener->user, nng_aio_get_output(listener->aio, 0));
	if (listener->accepted && listener->loop->closing > CLOSING_MAX)
		back_off(listener, CLOSING_BACK_OFF_MS);
	accept_next(listener);
}

static void run_reap(struct loop_job *job)
{
	struct listener *listener = CONTAINER_OF(job, struct listener, reap);
	if (listener->listener)
		nng_stream_listener_close(listener->listener);
	if (listener->aio)
		nng_aio_stop(listener->aio);
	nng_stream *stream = NULL;
	if (listener->accepting && nng_aio_result(listener->aio) == 0)
		stream = nng_aio_get_output(listener->aio, 0);
	nng_aio_free(listener->aio);
	if (listener->listener)
		nng_stream_listener_free(listener->listener);
	if (stream) {
		nng_stream_close(stream);
		nng_stream_free(stream);
	}
	loop_post(listener->loop, &listener->reaped);
}

static void run_reaped(struct loop_job *job)
{
	struct listener *listener = CONTAINER_OF(job, struct listener, reaped);
	listener->loop->owned--;
	free(listener);
}

static int open_listener(struct listener *listener, const char *url, struct err *err)
{
	int rv = nng_aio_alloc(&listener->aio, on_aio, listener);
	if (rv == 0)
		rv = nng_stream_listener_alloc(&listener->listener, url);
	if (rv == 0) /* why: dial.c */
		rv = nng_stream_listener_set_bool(listener->listener, NNG_OPT_TCP_NODELAY, true);
	if (rv == 0)
		rv = nng_stream_listener_listen(listener->listener);
	if (rv == 0)
		rv = nng_stream_listener_get_int(
			listener->listener, NNG_OPT_TCP_BOUND_PORT, &listener->port);
	if (rv == 0)
		return 0;
	transport_err(err, rv, "cannot listen on", url + strlen("tcp://"));
	return err_hint(err, "Choose an address of this machine and a port that no other program "
			     "uses.");
}

int listener_start(struct link_loop *loop, const char *url, listener_accepted *accepted, void *user,
	struct listener **ret, struct err *err)
{
	struct listener *listener = xcalloc(1, sizeof(*listener));
	*listener = (struct listener){
		.loop = loop,
		.accepted = accepted,
		.user = user,
		.back_off.run = run_back_off,
		.done.run = run_done,
		.reap.run = run_reap,
		.reaped.run = run_reaped,
	};
	loop->owned++;
	if (open_listener(listener, url, err) < 0) {
		listener_close(listener);
		return -1;
	}
	accept_next(listener);
	*ret = listener;
	return 0;
}

int listener_port(const struct listener *listener)
{
	return listener->port;
}

void listener_close(struct listener *listener)
{
	if (!listener)
		return;
	listener->accepted = NULL;
	loop_timer_stop(listener->loop, &listener->back_off);
	loop_reap(listener->loop, &listener->reap);
}
