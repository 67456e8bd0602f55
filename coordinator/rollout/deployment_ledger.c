#include "coordinator/rollout/deployment_impl.h"

#include "common/base/mem.h"
#include "common/os/clock.h"
#include "coordinator/rollout/label.h"

static void ledger_row(const struct deployment *d, struct ledger_deployment *row, char *id_hex)
{
	const struct deployment_setup *setup = d->setup;
	const struct deployment_host *first = label_first(setup->targets, setup->count);
	*row = (struct ledger_deployment){
		.id = deployment_id_hex(d->id, id_hex),
		.kind = setup->kind,
		.app = setup->config->app,
		.environment = setup->config->environment,
		.class_name = setup->class_name,
		.commit_from = first ? first->commit_from : "",
		.commit_to = first ? first->commit_to : "",
		.actor = setup->actor,
		.started_unix_ms = d->started_unix_ms,
		.outcome = rollout_outcome_name(ROLLOUT_RUNNING),
		.error = "",
		.folder = setup->folder,
		.forced = setup->forced,
		.retry_bad = setup->bad == DEPLOYMENT_BAD_RETRIED,
	};
}

/* Said once: what fails at one event fails at the next. */
static void ledger_failed(struct deployment *d, const struct err *err)
{
	if (!d->ledger_failed)
		report_say(
			d->setup->report, "warning: the ledger was not written: %s", err->message);
	d->ledger_failed = true;
}

/* Of the hosts that were reached: those it will be taken up on. */
static size_t fill_progress(
	const struct deployment *d, enum remember what, struct ledger_progress *ret)
{
	size_t count = 0;
	for (size_t i = 0; i < d->count; i++) {
		const struct deployment_target *target = &d->targets[i];
		if (target->host->member->state != MEMBER_READY)
			continue;
		ret[count++] = (struct ledger_progress){
			.host = target->host->member->host->name,
			.showing = target->shown,
			.shown = what == REMEMBER_SHOWN ? target->shown : target->remembered,
		};
	}
	return count;
}

static void has_remembered(struct deployment *d)
{
	for (size_t i = 0; i < d->count; i++)
		d->targets[i].remembered = d->targets[i].shown;
}

static bool knows_it_already(const struct deployment *d)
{
	const struct takeover *takeover = d->setup->takeover;
	return takeover && takeover->ledger != TAKEOVER_UNKNOWN;
}

void deployment_remember_begin(struct deployment *d)
{
	char id_hex[DEPLOYMENT_ID_HEX_SIZE];
	struct ledger_deployment row;
	struct err err = ERR_INIT;
	AUTO_FREE struct ledger_progress *progress = xcalloc(d->count + 1, sizeof(*progress));
	ledger_row(d, &row, id_hex);
	has_remembered(d);
	size_t count = fill_progress(d, REMEMBER_SHOWN, progress);
	if (ledger_open(d->setup->ledger_path, &d->ledger, &err) < 0 ||
		(!knows_it_already(d) && ledger_begin(d->ledger, &row, progress, count, &err) < 0))
		ledger_failed(d, &err);
}

void deployment_remember_news(struct deployment *d, enum remember what)
{
	char id_hex[DEPLOYMENT_ID_HEX_SIZE];
	struct err err = ERR_INIT;
	if (!d->ledger || d->ledger_failed)
		return;
	AUTO_FREE struct ledger_progress *progress = xcalloc(d->count + 1, sizeof(*progress));
	size_t count = fill_progress(d, what, progress);
	if (ledger_set_progress(
		    d->ledger, deployment_id_hex(d->id, id_hex), progress, count, &err) < 0)
		ledger_failed(d, &err);
	if (what == REMEMBER_SHOWN)
		has_remembered(d);
}

static void ledger_host_row(const struct deployment *d, size_t i, struct ledger_host *row)
{
	const struct deployment_target *target = &d->targets[i];
	uint64_t sent = agent_client_sent_bytes(target->host->member->client);
	*row = (struct ledger_host){
		.host = target->host->member->host->name,
		.state = rollout_state_name(rollout_host_state(d->engine, i)),
		.commit_from = target->host->commit_from,
		.commit_to = target->host->commit_to,
		.duration_ms = target->reported ? target->ended_ms - target->started_ms : 0,
		.bytes = sent - target->sent_before,
		.error = target->err.message,
	};
}

/* The first host that failed by itself speaks for the deployment. */
static const char *first_error(const struct deployment *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->targets[i].err.code != ERR_NONE && d->targets[i].err.code != ERR_CANCELLED)
			return d->targets[i].err.message;
	return "";
}

void deployment_remember_end(struct deployment *d, enum rollout_outcome outcome)
{
	char id_hex[DEPLOYMENT_ID_HEX_SIZE];
	struct ledger_deployment row;
	struct err err = ERR_INIT;
	if (!d->ledger)
		return;
	AUTO_FREE struct ledger_host *hosts = xcalloc(d->count + 1, sizeof(*hosts));
	ledger_row(d, &row, id_hex);
	for (size_t i = 0; i < d->count; i++) {
		const struct bundle_file *bundle = d->targets[i].bundle;
		ledger_host_row(d, i, &hosts[i]);
		row.bytes += hosts[i].bytes;
		if (bundle && bundle->info.files_changed > row.files_changed)
			row.files_changed = bundle->info.files_changed;
	}
	row.ended_unix_ms = clock_unix_ms();
	row.outcome = rollout_outcome_name(outcome);
	row.exit_status = rollout_outcome_exit_status(outcome);
	row.error = outcome == ROLLOUT_DONE ? "" : first_error(d);
	bool was_ours = outcome != ROLLOUT_LOCKED && outcome != ROLLOUT_DENIED;
	if (ledger_end(d->ledger, &row, hosts, d->count, &err) < 0 ||
		(was_ours && ledger_supersede(d->ledger, row.app, row.environment,
				     row.started_unix_ms, &err) < 0))
		ledger_failed(d, &err);
	deployment_remember_receipts(d);
}
