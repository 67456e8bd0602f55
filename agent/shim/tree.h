/* All processes below this one. As a subreaper (prctl(2)) we become the parent of every
 * descendant that its own parent left behind, so: no child left means no descendant left. */
#pragma once

#include "common/base/err.h"

/* Become the subreaper. */
int tree_adopt(struct err *err);
/* Send `signal` once to every descendant. One that is forked meanwhile is missed: repeat SIGKILL
 * until waitid(2) says ECHILD. May block as reading /proc does. */
int tree_signal(int signal, struct err *err);
