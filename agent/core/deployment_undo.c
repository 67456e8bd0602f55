/* Going back: the old tree, the old processes, watched like the new ones were. */
#include "agent/core/deployment_impl.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { UNDO_ATTEMPTS = 3 };

static int switch_back(struct deployment *d, struct err *err)
{
	if (!digest_is_zero(&d->from))
		return store_switch(&d->app->store, &d->from, err);
	if (unlinkat(d->app->store.dirfd, "current", 0) < 0 && errno != ENOENT)
		return err_errno(err, ERR_IO, errno, "cannot remove 'current'");
	return dir_sync(d->app->store.dirfd, err);
}

static struct service_step *undo_steps(const struct deployment *d, size_t *ret_count)
{
	struct service_step *steps = xcalloc(2 * d->service_count, sizeof(*steps));
	for (size_t i = 0; i < d->service_count; i++) {
		const struct deployment_service *service = &d->services[i];
		if (service->touched == SERVICE_UNTOUCHED)
			continue;
		deployment_add_step(steps, ret_count, SERVICE_STEP_STOP,
			service->new_plan ? service->new_plan : service->old_plan, &d->to, i);
		if (service->old_plan)
			deployment_add_step(steps, ret_count, SERVICE_STEP_START, service->old_plan,
				&d->from, i);
	}
	return steps;
}

static void on_undone(void *user, const struct err *err)
{
	struct deployment *d = user;
	d->sequence = NULL;
	if (machine_is_final(d->status->state))
		return;
	if (err->code != ERR_NONE)
		deployment_undo_failed(d, err);
	else
		deployment_watch_health(d);
}

/* The old release is what the host must have: what a passing trouble of the host has kept from
 * being done is done again, from the start. */
void deployment_undo_failed(struct deployment *d, const struct err *err)
{
	if (!err_is_of_host(err) || ++d->undo_failures == UNDO_ATTEMPTS) {
		deployment_fail(d, err);
		return;
	}
	core_log("%s/%s: rolling back once more: %s", d->app->name, d->app->environment,
		err->message);
	deployment_stop_watching(d);
	deployment_undo_now(d);
}

static void on_tree_verified(struct deployment *d, const struct err *wrong)
{
	struct err err = *wrong;
	if (err.code != ERR_NONE)
		err_wrap(&err, "the release to go back to is not what it was");
	if (err.code != ERR_NONE || switch_back(d, &err) < 0) {
		deployment_undo_failed(d, &err);
		return;
	}
	size_t count = 0;
	struct service_step *steps = undo_steps(d, &count);
	d->sequence = service_sequence_start(
		&d->app->services, steps, count, deployment_service_begun, on_undone, d);
}

void deployment_undo_now(struct deployment *d)
{
	const struct err none = ERR_INIT;
	d->undo_waits = 0;
	if (digest_is_zero(&d->from))
		on_tree_verified(d, &none);
	else
		deployment_verify(d, &d->from, on_tree_verified);
}

void deployment_undo(struct deployment *d)
{
	worker_kill(TAKE(d->worker)); /* it may be verifying */
	deployment_stop_watching(d);
	if (d->sequence) {
		d->undo_waits = 1;
		service_sequence_stop(d->sequence);
	} else {
		deployment_undo_now(d);
	}
}
