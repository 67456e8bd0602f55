/* A comparison runs in a worker of its own and writes its report to a memory file, since it may be
 * larger than what goes through the worker's pipe. It ends with its call: a client that goes away
 * takes it along. */
#include "agent/core/drift.h"

#include "agent/core/streams.h"
#include "agent/core/worker.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"
#include "common/os/packet.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Of a report: what a packet to the gateway has room for, with space for the rest of it. */
enum { ITEMS_MAX = 1000, ITEM_BYTES_MAX = PACKET_DATA_MAX / 2, ITEM_OVERHEAD = 16 };

struct drift {
	struct app *app;
	struct call *call;
	struct digest release;
	struct worker *worker;
	int report_fd;
};

static unsigned at_once; /* loop thread */

/* ---- in the worker ---- */

struct findings {
	Fairlead__V1__DriftReport report;
	Fairlead__V1__DriftItem *items[ITEMS_MAX];
	size_t bytes;
};

static void on_difference(void *user, enum store_difference difference, const char *path)
{
	static const Fairlead__V1__DriftKind kinds[] = {
		[STORE_CHANGED] = FAIRLEAD__V1__DRIFT_KIND__DRIFT_CHANGED,
		[STORE_MISSING] = FAIRLEAD__V1__DRIFT_KIND__DRIFT_MISSING,
		[STORE_EXTRA] = FAIRLEAD__V1__DRIFT_KIND__DRIFT_EXTRA,
		[STORE_MODE] = FAIRLEAD__V1__DRIFT_KIND__DRIFT_MODE,
		[STORE_TYPE] = FAIRLEAD__V1__DRIFT_KIND__DRIFT_TYPE,
		[STORE_TARGET] = FAIRLEAD__V1__DRIFT_KIND__DRIFT_TARGET,
	};
	struct findings *findings = user;
	size_t len = strlen(path);
	findings->report.total++;
	if (findings->report.n_items == ITEMS_MAX ||
		findings->bytes + len + ITEM_OVERHEAD > ITEM_BYTES_MAX)
		return;
	findings->bytes += len + ITEM_OVERHEAD;
	Fairlead__V1__DriftItem *item = xmalloc(sizeof(*item));
	fairlead__v1__drift_item__init(item);
	item->kind = kinds[difference];
	pb_set_bytes(&item->path, path, len);
	findings->items[findings->report.n_items++] = item;
}

static int in_path_order(const void *a, const void *b)
{
	const Fairlead__V1__DriftItem *x = *(Fairlead__V1__DriftItem *const *)a;
	const Fairlead__V1__DriftItem *y = *(Fairlead__V1__DriftItem *const *)b;
	size_t shorter = x->path.len < y->path.len ? x->path.len : y->path.len;
	int order = memcmp(x->path.data, y->path.data, shorter);
	return order ? order : (x->path.len > y->path.len) - (x->path.len < y->path.len);
}

static int compare(void *user, struct worker_pipe *pipe, struct err *err)
{
	(void)pipe;
	const struct drift *drift = user;
	Fairlead__V1__ReleaseRecord *record = NULL;
	struct store_compared compared = {0};
	struct findings *findings = xcalloc(1, sizeof(*findings));
	AUTO(buf) struct buf packed = {0};
	fairlead__v1__drift_report__init(&findings->report);
	if (store_record_read(&drift->app->store, &drift->release, &record, err) < 0 ||
		store_compare(&drift->app->store, &drift->release, on_difference, findings,
			&compared, err) < 0)
		return -1;
	Fairlead__V1__DriftReport *report = &findings->report;
	qsort(findings->items, report->n_items, sizeof(findings->items[0]), in_path_order);
	report->items = findings->items;
	report->manifest = record->manifest;
	report->commit = record->commit;
	report->files = compared.files;
	report->bytes = compared.bytes;
	PB_PACK(report, &packed);
	return fd_pwrite_all(drift->report_fd, packed.data, packed.len, 0, err);
}

/* ---- in the core ---- */

static void release(void *state)
{
	struct drift *drift = state;
	worker_drop(drift->worker);
	close(drift->report_fd);
	at_once--;
	free(drift);
}

static int answer(struct drift *drift, struct err *err)
{
	struct stat st;
	AUTO(buf) struct buf packed = {0};
	Fairlead__V1__DriftReport *report = NULL;
	if (fstat(drift->report_fd, &st) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot read the comparison");
	buf_reserve(&packed, (size_t)st.st_size);
	packed.len = (size_t)st.st_size;
	if (fd_pread_exact(drift->report_fd, packed.data, packed.len, 0, err) < 0 ||
		PB_UNPACK(fairlead__v1__drift_report, buf_bytes(&packed), &report, err) < 0)
		return err_wrap(err, "the comparison");
	call_reply(drift->call, &report->base);
	pb_free(&report->base);
	return 0;
}

static void on_compared(void *user, const struct err *err)
{
	struct drift *drift = user;
	struct call *call = drift->call;
	struct err failure = *err;
	drift->worker = NULL;
	if (failure.code == ERR_NONE && answer(drift, &failure) == 0)
		return;
	call_fail(call, &failure);
}

static int check_limit(struct err *err)
{
	if (at_once < DRIFTS_AT_ONCE)
		return 0;
	err_set(err, ERR_LIMIT, "this host compares %d releases already", DRIFTS_AT_ONCE);
	return err_hint(err, "Wait until one of these comparisons has ended, and repeat it.");
}

static int find_current(const struct app *app, struct digest *ret, struct err *err)
{
	if (store_current(&app->store, ret, err) < 0)
		return -1;
	if (digest_is_zero(ret))
		return err_set(err, ERR_NOT_FOUND, "nothing is deployed here");
	return 0;
}

/* Nothing waits between the call and its worker, so whenever the call ends, the worker is known. */
int handle_drift(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	struct digest current;
	if (core_app(call->core, command->app, command->environment, APP_EXISTING, &call->app,
		    err) < 0 ||
		find_current(call->app, &current, err) < 0 || check_limit(err) < 0)
		return -1;
	int fd = memfd_create("drift", MFD_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a memory file");
	struct drift *drift = xcalloc(1, sizeof(*drift));
	*drift =
		(struct drift){.app = call->app, .call = call, .release = current, .report_fd = fd};
	at_once++;
	stream_attach(call, NULL, release, drift);
	return worker_start(
		&call->core->loop, compare, NULL, on_compared, drift, &drift->worker, err);
}
