/* SIGINT and SIGTERM as something a loop can poll. One at a time in a process. */
#pragma once

#include "common/base/err.h"

#include <signal.h>

struct interrupt {
	int fd; /* readable when a signal has come */
	sigset_t before;
};

/* From here until release both signals are held back from the calling thread. */
int interrupt_init(struct interrupt *interrupt, struct err *err);
void interrupt_release(struct interrupt *interrupt);
/* How many came since the last look. Never blocks. */
unsigned interrupt_take(const struct interrupt *interrupt);
