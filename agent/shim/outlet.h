/* The pipe a service writes to, on its way into the log. */
#pragma once

#include "agent/shim/rotate.h"

struct outlet {
	int read_fd;  /* ours, does not wait */
	int write_fd; /* an ordinary blocking one, for the service */
};

int outlet_open(struct outlet *output, struct err *err);
/* Move what is there to the log; bounded, so that a service that writes without end does not keep
 * us from its end. May block on disk. */
void outlet_drain(const struct outlet *output, struct rotate *log);
