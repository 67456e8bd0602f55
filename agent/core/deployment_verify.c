/* Evidence that a tree is what its manifest says: read by a worker, just before `current` points to
 * it and once the services run from it. */
#include "agent/core/deployment_impl.h"

#include "common/base/mem.h"

static int verify_work(void *user, struct worker_pipe *pipe, struct err *err)
{
	(void)pipe;
	const struct deployment *d = user;
	return store_verify(&d->app->store, &d->verifying, STORE_VERIFY_STAT, err);
}

static void on_verified(void *user, const struct err *err)
{
	struct deployment *d = user;
	d->worker = NULL;
	d->verified(d, err);
}

void deployment_verify(struct deployment *d, const struct digest *release,
	void (*verified)(struct deployment *d, const struct err *err))
{
	struct err err = ERR_INIT;
	worker_kill(TAKE(d->worker));
	d->verifying = *release;
	d->verified = verified;
	if (worker_start(&d->app->core->loop, verify_work, NULL, on_verified, d, &d->worker, &err) <
		0)
		verified(d, &err);
}
