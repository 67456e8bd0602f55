#include "common/link/loop.h"
#include "common/link/transport.h"

#include "common/base/mem.h"

#ifdef __SANITIZE_THREAD__
/* nng frees a dialer when its reference count, an atomic, reaches zero on one of its threads.
 * ThreadSanitizer does not see the atomics of a library that was built without it, so it takes
 * the end of the dialer's mutex there for a race with its last use on our reaper thread. Of
 * ours only a loop destroys a mutex, after it has joined its thread. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race_top:pthread_mutex_destroy\n";
}
#endif

struct dial {
	struct link_loop *loop;
	nng_stream_dialer *dialer;
	nng_aio *aio;
	dial_done *done; /* NULL once closed */
	void *user;
	char *name;
	bool claimed; /* the stream has gone to the callee */
	struct loop_job dialed, reap, reaped;
};

/* On one of nng's threads. */
static void on_aio(void *arg)
{
	struct dial *dial = arg;
	loop_post(dial->loop, &dial->dialed);
}

static void run_dialed(struct loop_job *job)
{
	struct dial *dial = CONTAINER_OF(job, struct dial, dialed);
	if (!dial->done)
		return;
	struct err err = ERR_INIT;
	int rv = nng_aio_result(dial->aio);
	if (rv) {
		transport_err(&err, rv, "cannot connect to", dial->name);
		err_hint(&err, "Check that fairlead-agent runs there and that the address and the "
			       "firewall are right.");
		dial->done(dial->user, NULL, &err);
		return;
	}
	dial->claimed = true;
	dial->done(dial->user, nng_aio_get_output(dial->aio, 0), NULL);
}

static void run_reap(struct loop_job *job)
{
	struct dial *dial = CONTAINER_OF(job, struct dial, reap);
	if (dial->dialer)
		nng_stream_dialer_close(dial->dialer);
	if (dial->aio)
		nng_aio_stop(dial->aio);
	nng_stream *stream = NULL;
	if (dial->aio && !dial->claimed && nng_aio_result(dial->aio) == 0)
		stream = nng_aio_get_output(dial->aio, 0);
	nng_aio_free(dial->aio);
	if (dial->dialer)
		nng_stream_dialer_free(dial->dialer);
	if (stream) {
		nng_stream_close(stream);
		nng_stream_free(stream);
	}
	loop_post(dial->loop, &dial->reaped);
}

static void run_reaped(struct loop_job *job)
{
	struct dial *dial = CONTAINER_OF(job, struct dial, reaped);
	dial->loop->owned--;
	free(dial->name);
	free(dial);
}

int dial_start(struct link_loop *loop, const char *url, const char *name, dial_done *done,
	void *user, struct dial **ret, struct err *err)
{
	struct dial *dial = xcalloc(1, sizeof(*dial));
	*dial = (struct dial){
		.loop = loop,
		.done = done,
		.user = user,
		.name = xstrdup(name),
		.dialed.run = run_dialed,
		.reap.run = run_reap,
		.reaped.run = run_reaped,
	};
	loop->owned++;
	int rv = nng_aio_alloc(&dial->aio, on_aio, dial);
	if (rv == 0)
		rv = nng_stream_dialer_alloc(&dial->dialer, url);
	/* Our frames are small answers to small questions: Nagle's algorithm would hold each back
	 * for the delayed acknowledgement of the one before, 40 ms a turn. */
	if (rv == 0)
		rv = nng_stream_dialer_set_bool(dial->dialer, NNG_OPT_TCP_NODELAY, true);
	if (rv) {
		transport_err(err, rv, "cannot connect to", name);
		dial->claimed = true;
		dial_close(dial);
		return -1;
	}
	nng_stream_dialer_dial(dial->dialer, dial->aio);
	*ret = dial;
	return 0;
}

void dial_close(struct dial *dial)
{
	if (!dial)
		return;
	dial->done = NULL;
	loop_reap(dial->loop, &dial->reap);
}
