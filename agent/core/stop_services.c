/* Stopping every service of this host: for the operator who takes it out of use. */
#include "agent/core/core.h"
#include "common/base/mem.h"
#include "common/base/pb.h"

struct stopping {
	unsigned pending, stopped;
	struct err first; /* error */
};

static void on_stopped(void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	(void)status;
	struct stopping *stopping = user;
	stopping->pending--;
	if (err->code == ERR_NONE)
		stopping->stopped++;
	else if (stopping->first.code == ERR_NONE)
		stopping->first = *err;
}

static int stop_app(struct app *app, struct stopping *stopping, struct err *err)
{
	struct digest current;
	Fairlead__V1__ReleaseRecord *record = NULL;
	if (store_current(&app->store, &current, err) < 0)
		return -1;
	if (digest_is_zero(&current))
		return 0;
	if (store_record_read(&app->store, &current, &record, err) < 0)
		return -1;
	for (size_t i = 0; i < record->n_services; i++) {
		const struct service_ops *ops = service_ops_find(record->services[i]->driver);
		if (ops && ops->stop(&app->services, record->services[i], SERVICE_ENDS, on_stopped,
				   stopping, &stopping->first) == 0)
			stopping->pending++;
	}
	while (stopping->pending > 0)
		uv_run(&app->core->loop, UV_RUN_ONCE);
	pb_free(&record->base);
	return 0;
}

int core_stop_services(struct core *core, unsigned *ret_count, struct err *err)
{
	struct stopping stopping = {0};
	for (struct app *app = core->apps; app; app = app->next)
		if (stop_app(app, &stopping, err) < 0)
			return err_wrap(err, "%s/%s", app->name, app->environment);
	*ret_count = stopping.stopped;
	if (stopping.first.code == ERR_NONE)
		return 0;
	*err = stopping.first;
	return -1;
}
