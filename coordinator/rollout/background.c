#include "coordinator/rollout/background.h"

#include "common/base/mem.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

struct background {
	pthread_t thread;
	int done_fd; /* readable when the work is done */
	background_fn *fn;
	void *work;
	int result;
	struct err err;
};

static void *run(void *user)
{
	struct background *background = user;
	background->result = background->fn(background->work, &background->err);
	/* The counter starts at 0, so this neither blocks nor fails. */
	(void)eventfd_write(background->done_fd, 1);
	return NULL;
}

static void background_free(struct background *background)
{
	close(background->done_fd);
	free(background);
}

int background_start(background_fn *fn, void *work, struct background **ret, struct err *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make an eventfd");
	struct background *background = xcalloc(1, sizeof(*background));
	background->done_fd = fd;
	background->fn = fn;
	background->work = work;
	int rc = pthread_create(&background->thread, NULL, run, background);
	if (rc != 0) {
		background_free(background);
		return err_errno(err, ERR_INTERNAL, rc, "cannot start a thread");
	}
	*ret = background;
	return 0;
}

static void wait_done(const struct background *background, struct link_loop *loop)
{
	for (;;) {
		struct pollfd fds[] = {
			{.fd = background->done_fd, .events = POLLIN},
			{.fd = link_loop_fd(loop), .events = POLLIN},
		};
		poll(fds, ARRAY_LEN(fds), link_loop_timeout_ms(loop));
		link_loop_dispatch(loop);
		if (fds[0].revents)
			return;
	}
}

int background_finish(struct background *background, struct link_loop *loop, struct err *err)
{
	if (loop)
		wait_done(background, loop);
	pthread_join(background->thread, NULL);
	int result = background->result;
	if (result < 0 && err)
		*err = background->err;
	background_free(background);
	return result;
}
