#include "agent/service/probe_check.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>
#include <sys/stat.h>

static int read_regular(const char *path, size_t max, struct buf *ret, struct err *err)
{
	/* It may have become a FIFO; nobody waits for a writer. */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, ERR_CONFIG, errno, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode) || st.st_size < 1 || (uint64_t)st.st_size > max)
		return err_set(err, ERR_CONFIG, "'%s' is no file of 1 to %zu bytes", path, max);
	size_t len = (size_t)st.st_size;
	if (fd_pread_exact(fd, buf_reserve(ret, len), len, 0, err) < 0)
		return err_wrap(err, "'%s'", path);
	ret->len += len;
	return 0;
}

int probe_authorities(const Fairlead__V1__HttpProbe *http, const char *release_path,
	struct buf *ret, struct err *err)
{
	if (!*http->ca_file)
		return 0;
	AUTO_FREE char *path = http->ca_file[0] == '/'
				       ? xstrdup(http->ca_file)
				       : xasprintf("%s/%s", release_path, http->ca_file);
	if (read_regular(path, PROBE_AUTHORITIES_MAX, ret, err) == 0)
		return 0;
	err_wrap(err, "ca");
	return err_hint(err, "Write an absolute path of this host, or one of the release, to a PEM "
			     "file of certificates.");
}

static int check_one(const Fairlead__V1__Probe *probe, const char *release_path, struct err *err)
{
	AUTO(buf) struct buf authorities = {0};
	if (probe->http)
		return probe_authorities(probe->http, release_path, &authorities, err);
	return 0;
}

int probe_check(const Fairlead__V1__ServicePlan *plan, const char *release_path, struct err *err)
{
	for (size_t i = 0; i < plan->n_probes; i++)
		if (check_one(plan->probes[i], release_path, err) < 0)
			return err_wrap(err, "health check %zu", i + 1);
	return 0;
}
