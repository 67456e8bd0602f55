#include "coordinator/rollout/interrupt.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int signals[INTERRUPT_KINDS] = {
	[INTERRUPT_INT] = SIGINT,
	[INTERRUPT_TERM] = SIGTERM,
};

/* A handler, not a signalfd: nng's threads were started with these signals open, and one of them
 * may be the one that gets it. -1: nobody listens. */
static volatile sig_atomic_t event_fd = -1;

/* One counter for both: SIGTERM counts in its upper half. */
enum { TERM_SHIFT = 32 };

static void on_signal(int number)
{
	int before = errno;
	(void)eventfd_write(event_fd, number == SIGTERM ? (eventfd_t)1 << TERM_SHIFT : 1);
	errno = before;
}

int interrupt_init(struct interrupt *interrupt, struct err *err)
{
	assert(event_fd == -1);
	interrupt->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (interrupt->fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make an eventfd");
	event_fd = interrupt->fd;
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < INTERRUPT_KINDS; i++)
		sigaction(signals[i], &action, &interrupt->before[i]);
	return 0;
}

void interrupt_release(struct interrupt *interrupt)
{
	for (size_t i = 0; i < INTERRUPT_KINDS; i++)
		sigaction(signals[i], &interrupt->before[i], NULL);
	event_fd = -1;
	close(interrupt->fd);
}

unsigned interrupt_take(const struct interrupt *interrupt, unsigned ret[static INTERRUPT_KINDS])
{
	eventfd_t count = 0;
	if (eventfd_read(interrupt->fd, &count) < 0)
		count = 0;
	ret[INTERRUPT_INT] = (unsigned)count;
	ret[INTERRUPT_TERM] = (unsigned)(count >> TERM_SHIFT);
	return ret[INTERRUPT_INT] + ret[INTERRUPT_TERM];
}
