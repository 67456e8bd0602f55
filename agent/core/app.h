/* One app+environment on this host: its releases, journal, events, and the deployment in progress,
 * which is the lock. Opened on first use and kept. Loop thread only. */
#pragma once

#include "agent/core/events.h"
#include "agent/core/journal.h"
#include "agent/service/service.h"
#include "agent/store/store.h"
#include "common/base/err.h"

struct core;
struct deployment;
struct revival;
struct worker;

enum { APP_KEEP_MAX = 64 };

struct app {
	struct core *core; /* borrowed */
	char *name, *environment;
	struct store store;
	int state_dirfd;
	struct service_context services;
	struct journal *journal;
	struct events *events;
	struct deployment *running; /* NULL: free */
	struct worker *pruner;      /* NULL: none at work */
	struct store_keep keeping;  /* what the pruning under way keeps */
	struct digest kept[APP_KEEP_MAX];
	char *hook_place;        /* agent/hook/hook.h */
	uint64_t sequence;       /* the highest that is journalled */
	int rebooted;            /* and nobody has started the services since (reboot.h) */
	struct revival *revival; /* which does that now; NULL: not at work */
	Fairlead__V1__DeploymentStatus *last; /* of the newest finished deployment, NULL before */
	struct app *next;
};

/* Opens the app, replays its journal and takes up what a crash interrupted.
 * create: make it when it is new on this host, else ERR_NOT_FOUND. */
enum app_open { APP_EXISTING, APP_CREATE };
int app_open(struct core *core, const char *name, const char *environment, enum app_open how,
	struct app **ret, struct err *err);
void app_close(struct app *app);

/* The state of every service of the release that `current` points to, in its order. Asked from the
 * drivers; done comes later on the loop. The array is borrowed for the call of done. */
typedef void app_services_fn(
	void *user, Fairlead__V1__ServiceStatus *const *statuses, size_t count);
void app_services(struct app *app, app_services_fn *done, void *user);

/* The releases that running services were started from, the current and the previous one: those
 * that must be neither recycled nor pruned. ret holds at most APP_KEEP_MAX. */
size_t app_kept_releases(const struct app *app, Fairlead__V1__ServiceStatus *const *statuses,
	size_t count, struct digest ret[static APP_KEEP_MAX]);

/* Remove old releases in a worker; the store is safe whenever it is stopped. The lists of `keep`
 * are found here. A rollback does not say how many stay (releases 0), so it removes none. */
void app_prune(struct app *app, struct store_keep keep);
void app_stop_pruning(struct app *app);
