/* Preloaded into `fairlead` by tests that stop it between two lines: after each flush of stdout it
 * stops itself, as by SIGSTOP, until the test lets it go on or kills it
 * (tests/integration/pace.py). */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int fflush(FILE *file)
{
	static int (*real)(FILE *);
	if (!real) {
		*(void **)&real = dlsym(RTLD_NEXT, "fflush");
		if (!real)
			abort();
	}
	int rc = real(file);
	if (file == stdout)
		raise(SIGSTOP);
	return rc;
}
