#include "agent/service/prober.h"

#include "agent/service/health_watch.h"
#include "common/base/mem.h"

int prober_new(uv_loop_t *loop, const char *probe_path, const char *probe_user, struct prober **ret,
	struct err *err)
{
	struct prober *prober = xcalloc(1, sizeof(*prober));
	prober->loop = loop;
	if (probe_worker_new(loop, probe_path, probe_user, health_ask_replied, prober,
		    &prober->worker, err) < 0) {
		free(prober);
		return -1;
	}
	*ret = prober;
	return 0;
}

void prober_free(struct prober *prober)
{
	if (!prober)
		return;
	probe_worker_free(prober->worker);
	free(prober);
}
