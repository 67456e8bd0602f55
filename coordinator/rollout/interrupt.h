/* SIGINT and SIGTERM as something a loop can poll. One at a time in a process. */
#pragma once

#include "common/base/err.h"

#include <signal.h>
#include <stddef.h>

enum interrupt_kind { INTERRUPT_INT, INTERRUPT_TERM, INTERRUPT_KINDS };

struct interrupt {
	int fd; /* readable when a signal has come */
	struct sigaction before[INTERRUPT_KINDS];
};

/* From here until release both signals are counted instead of ending the process. */
int interrupt_init(struct interrupt *interrupt, struct err *err);
void interrupt_release(struct interrupt *interrupt);
/* How many came since the last look, in all and of each kind. Never blocks. */
unsigned interrupt_take(const struct interrupt *interrupt, unsigned ret[static INTERRUPT_KINDS]);
