#include "agent/core/releases.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"

void release_fill(const Fairlead__V1__ReleaseRecord *record, const struct digest *current,
	Fairlead__V1__Release *ret)
{
	fairlead__v1__release__init(ret);
	ret->manifest = record->manifest;
	ret->commit = record->commit;
	ret->installed_unix_ms = record->installed_unix_ms;
	ret->failed = record->failed;
	ret->failed_reason = record->failed_reason;
	ret->verified = record->verified;
	ret->pinned = record->pinned;
	ret->files = record->files;
	ret->bytes = record->bytes;
	ret->current = record->manifest.len == DIGEST_SIZE &&
		       memcmp(record->manifest.data, current->bytes, DIGEST_SIZE) == 0;
}

/* ---- the list ---- */

struct inquiry {
	struct core *core;
	uint64_t call; /* looked up again: it may have ended */
	struct app *app;
};

/* The verified one that was active before the current one. */
static void mark_previous(Fairlead__V1__Release *releases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!releases[i].verified || releases[i].current)
			continue;
		releases[i].previous = 1;
		return;
	}
}

/* Names of the services that run from it; free the array. */
static void add_services(
	Fairlead__V1__Release *release, Fairlead__V1__ServiceStatus *const *statuses, size_t count)
{
	release->services = xcalloc(count + 1, sizeof(*release->services));
	for (size_t i = 0; i < count; i++)
		if (statuses[i]->manifest.len == DIGEST_SIZE &&
			memcmp(statuses[i]->manifest.data, release->manifest.data, DIGEST_SIZE) ==
				0)
			release->services[release->n_services++] = statuses[i]->name;
}

static int reply(struct call *call, Fairlead__V1__ServiceStatus *const *statuses,
	size_t status_count, struct err *err)
{
	const struct store *store = &call->app->store;
	struct digest current;
	Fairlead__V1__ReleaseRecord **records = NULL;
	size_t count = 0;
	if (store_current(store, &current, err) < 0 ||
		store_records(store, &records, &count, err) < 0)
		return -1;
	AUTO_FREE Fairlead__V1__Release *releases = xcalloc(count + 1, sizeof(*releases));
	AUTO_FREE Fairlead__V1__Release **list = xcalloc(count + 1, sizeof(*list));
	Fairlead__V1__ReleaseList message = FAIRLEAD__V1__RELEASE_LIST__INIT;
	for (size_t i = 0; i < count; i++) {
		release_fill(records[i], &current, &releases[i]);
		add_services(&releases[i], statuses, status_count);
		list[i] = &releases[i];
	}
	mark_previous(releases, count);
	message.n_releases = count;
	message.releases = list;
	call_reply(call, &message.base);
	for (size_t i = 0; i < count; i++)
		free(releases[i].services);
	store_records_free(records, count);
	return 0;
}

static void on_services(void *user, Fairlead__V1__ServiceStatus *const *statuses, size_t count)
{
	struct inquiry *inquiry = user;
	struct call *call = call_find(inquiry->core, inquiry->call);
	struct err err = ERR_INIT;
	if (call && reply(call, statuses, count, &err) < 0)
		call_fail(call, &err);
	free(inquiry);
}

static void list_releases(struct call *call)
{
	struct inquiry *inquiry = xmalloc(sizeof(*inquiry));
	*inquiry = (struct inquiry){call->core, call->id, call->app};
	app_services(call->app, on_services, inquiry);
}

int handle_releases(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	if (core_app(call->core, command->app, command->environment, APP_EXISTING, &call->app,
		    err) < 0)
		return -1;
	list_releases(call);
	return 0;
}

/* ---- pins ---- */

/* Its sequence is durable before it is done, as with every command that changes something. */
static int journal_pin(struct call *call, const struct envelope *envelope, struct err *err)
{
	struct core *core = call->core;
	const Fairlead__V1__Command *command = envelope->command;
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	record.unix_ms = clock_unix_ms();
	record.deployment_id = command->deployment_id;
	record.sequence = command->sequence;
	record.pin = command->pin;
	if (journal_append(call->app->journal, &record, err) < 0) {
		core_die(core, err);
		return -1;
	}
	call->app->sequence = command->sequence;
	replay_record(&core->replay, command->app, command->environment, command->sequence,
		BYTES(NULL, 0), NULL);
	return 0;
}

static int check_free(const struct app *app, struct err *err)
{
	if (!app->running)
		return 0;
	err_set(err, ERR_LOCKED, "'%s' is deploying %s/%s (it is %s)",
		deployment_actor(app->running), app->name, app->environment,
		machine_state_name(deployment_state(app->running)));
	return err_hint(err, "Wait until it has ended; `fairlead status` shows it.");
}

static int find_release(const struct app *app, const Fairlead__V1__Pin *pin,
	Fairlead__V1__ReleaseRecord **ret, struct err *err)
{
	struct digest digest;
	if (!digest_from_bytes(pin->manifest.data, pin->manifest.len, &digest) ||
		digest_is_zero(&digest))
		return err_set(err, ERR_INVALID, "a manifest digest has not 32 bytes");
	if (store_record_read(&app->store, &digest, ret, err) < 0)
		return err_hint(err, "See `fairlead releases` for those this host has kept.");
	return 0;
}

int handle_pin(struct call *call, const struct envelope *envelope, struct err *err)
{
	const Fairlead__V1__Command *command = envelope->command;
	const Fairlead__V1__Pin *pin = command->pin;
	Fairlead__V1__ReleaseRecord *record = NULL;
	if (core_app(call->core, command->app, command->environment, APP_EXISTING, &call->app,
		    err) < 0)
		return -1;
	if (replay_check(&call->core->replay, envelope, err) != REPLAY_NEW) {
		core_log("ALARM %s/%s: refused %s: %s", command->app, command->environment,
			call->method->name, err->message);
		return -1;
	}
	if (check_free(call->app, err) < 0 || find_release(call->app, pin, &record, err) < 0)
		return -1;
	int rc = journal_pin(call, envelope, err);
	if (rc == 0) {
		app_stop_pruning(call->app); /* what it chose was chosen before */
		record->pinned = pin->pinned;
		rc = store_record_write(&call->app->store, record, err);
	}
	if (rc == 0) {
		core_log("%s/%s: '%s' %s release %.12s", command->app, command->environment,
			pin->actor, pin->pinned ? "pinned" : "unpinned", record->commit);
		list_releases(call);
	}
	pb_free(&record->base);
	return rc;
}
