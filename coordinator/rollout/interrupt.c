#include "coordinator/rollout/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

int interrupt_init(struct interrupt *interrupt, struct err *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	interrupt->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (interrupt->fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a signalfd");
	pthread_sigmask(SIG_BLOCK, &set, &interrupt->before);
	return 0;
}

void interrupt_release(struct interrupt *interrupt)
{
	pthread_sigmask(SIG_SETMASK, &interrupt->before, NULL);
	close(interrupt->fd);
}

unsigned interrupt_take(const struct interrupt *interrupt)
{
	struct signalfd_siginfo info;
	unsigned count = 0;
	while (read(interrupt->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		count++;
	return count;
}
