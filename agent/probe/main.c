/* fairlead-probe: runs http and tcp probes for the core, without its rights or its memory.
 * Started by agent/service/prober.c with its socket in fd 3; ends when that closes. */
#include "agent/probe/probe.h"

enum { CORE_FD = 3 };

int main(void)
{
	struct err err = ERR_INIT;
	if (probe_serve(CORE_FD, &err) == 0)
		return 0;
	fprintf(stderr, "fairlead-probe: %s\n", err.message);
	return 1;
}
