/* Signals of a shim: by their names, and through a signalfd. */
#pragma once

#include "common/base/err.h"

/* The number of "TERM", "INT" …; 0 for a name that is none. "" is TERM. */
int signals_number(const char *name);
/* A non-blocking signalfd (the caller's) for SIGCHLD, SIGTERM, SIGINT and SIGHUP, which are blocked
 * from now on; SIGPIPE is ignored. */
int signals_open(struct err *err);
