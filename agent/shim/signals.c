#include "agent/shim/signals.h"

#include "common/base/mem.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

int signals_number(const char *name)
{
	if (!*name)
		return SIGTERM;
	for (int signal = 1; signal < NSIG; signal++)
		if (sigabbrev_np(signal) && strcmp(sigabbrev_np(signal), name) == 0)
			return signal;
	return 0;
}

int signals_open(struct err *err)
{
	sigset_t set;
	sigemptyset(&set);
	static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN); /* the agent that started us may be gone */
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot wait for signals");
	return fd;
}
