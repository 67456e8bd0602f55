#include "coordinator/rollout/deployment_impl.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "coordinator/rollout/label.h"

#include <assert.h>

/* ---- the ledger ---- */

static void ledger_row(
	const struct deployment *d, struct ledger_deployment *row, char *id_hex, size_t id_hex_size)
{
	const struct deployment_setup *setup = d->setup;
	sodium_bin2hex(id_hex, id_hex_size, d->id, sizeof(d->id));
	*row = (struct ledger_deployment){
		.id = id_hex,
		.kind = setup->kind,
		.app = setup->config->app,
		.environment = setup->config->environment,
		.class_name = setup->class_name,
		.commit_from = setup->count ? setup->targets[0].commit_from : "",
		.commit_to = setup->count ? setup->targets[0].commit_to : "",
		.actor = setup->actor,
		.started_unix_ms = d->started_unix_ms,
		.outcome = rollout_outcome_name(ROLLOUT_RUNNING),
		.error = "",
	};
}

static void ledger_failed(const struct deployment *d, const struct err *err)
{
	report_say(d->setup->report, "warning: the ledger was not written: %s", err->message);
}

void deployment_remember_begin(struct deployment *d)
{
	char id_hex[2 * DEPLOYMENT_ID_SIZE + 1];
	struct ledger_deployment row;
	struct err err = ERR_INIT;
	if (!d->setup->ledger)
		return;
	ledger_row(d, &row, id_hex, sizeof(id_hex));
	if (ledger_begin(d->setup->ledger, &row, &err) < 0)
		ledger_failed(d, &err);
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

static void remember_end(const struct deployment *d, enum rollout_outcome outcome)
{
	char id_hex[2 * DEPLOYMENT_ID_SIZE + 1];
	struct ledger_deployment row;
	struct err err = ERR_INIT;
	if (!d->setup->ledger)
		return;
	AUTO_FREE struct ledger_host *hosts = xcalloc(d->count + 1, sizeof(*hosts));
	ledger_row(d, &row, id_hex, sizeof(id_hex));
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
	if (ledger_end(d->setup->ledger, &row, hosts, d->count, &err) < 0)
		ledger_failed(d, &err);
}

/* ---- the last line ---- */

static size_t count_in(const struct deployment *d, enum rollout_state state)
{
	size_t n = 0;
	for (size_t i = 0; i < d->count; i++)
		n += rollout_host_state(d->engine, i) == state;
	return n;
}

static void add_names(const struct deployment *d, enum rollout_state state, struct buf *out)
{
	const char *separator = "";
	for (size_t i = 0; i < d->count; i++) {
		if (rollout_host_state(d->engine, i) != state)
			continue;
		buf_printf(out, "%s%s", separator, d->targets[i].host->member->host->name);
		separator = ", ";
	}
}

/* Names behind `title`, if any host is in the state. */
static void add_group(
	const struct deployment *d, enum rollout_state state, const char *title, struct buf *out)
{
	if (count_in(d, state) == 0)
		return;
	buf_printf(out, "%s%s: ", out->len ? "; " : "", title);
	add_names(d, state, out);
}

static void say_done(const struct deployment *d, struct buf *out)
{
	const struct deployment_setup *setup = d->setup;
	size_t done = count_in(d, ROLLOUT_COMMITTED);
	AUTO_FREE char *from = label_of_all(setup->targets, setup->count);
	AUTO_FREE char *to = label_short(setup->targets[0].commit_to);
	buf_printf(out, "%s: %s → %s on %zu host%s", setup->class_name, from, to, done,
		done == 1 ? "" : "s");
	if (count_in(d, ROLLOUT_UNREACHED) == 0)
		return;
	buf_append_str(out, "; skipped because unreachable: ");
	add_names(d, ROLLOUT_UNREACHED, out);
}

static void say_groups(const struct deployment *d, struct buf *out)
{
	add_group(d, ROLLOUT_COMMITTED, "on the new release", out);
	add_group(d, ROLLOUT_ROLLED_BACK, "rolled back", out);
	add_group(d, ROLLOUT_ABORTED, "not changed", out);
	add_group(d, ROLLOUT_UNREACHED, "unreachable, not changed", out);
	add_group(d, ROLLOUT_LOST, "lost on the way, decides on its own", out);
	add_group(d, ROLLOUT_FAILED_SAFE, "could not go back", out);
}

static const struct {
	const char *start; /* NULL: a line of its own */
	const char *advice;
} sayings[] = {
	[ROLLOUT_RUNNING] = {"left at once: the hosts finish or go back on their own",
		"see `fairlead status`"},
	[ROLLOUT_DONE] = {NULL, NULL},
	[ROLLOUT_DONE_SKIPPED] = {NULL, "deploy again when they are back"},
	[ROLLOUT_LOCKED] = {"nothing was changed, another deployment is running",
		"try again when it has ended"},
	[ROLLOUT_DENIED] = {"nothing was changed, not allowed", NULL},
	[ROLLOUT_UNCHANGED] = {"nothing was changed", NULL},
	[ROLLOUT_REVERTED] = {"failed, every host is back on its old release", NULL},
	[ROLLOUT_MIXED] = {"failed, the hosts differ now",
		"see `fairlead status`, then deploy again or `fairlead rollback`"},
	[ROLLOUT_REVERT_FAILED] = {"failed, and so did the way back",
		"see `fairlead logs SERVICE`, mend it and deploy again"},
	[ROLLOUT_INTERRUPTED] = {"aborted, every host is on its old release", NULL},
};
static_assert(ARRAY_LEN(sayings) == ROLLOUT_OUTCOME_COUNT, "an outcome without words");

static void say(const struct deployment *d, enum rollout_outcome outcome, struct buf *out)
{
	if (sayings[outcome].start) {
		AUTO(buf) struct buf groups = {0};
		say_groups(d, &groups);
		buf_append_str(out, sayings[outcome].start);
		if (groups.len)
			buf_printf(out, " (%s)", buf_str(&groups));
	} else {
		say_done(d, out);
	}
	if (sayings[outcome].advice)
		buf_printf(out, "; %s", sayings[outcome].advice);
}

int deployment_conclude(struct deployment *d)
{
	enum rollout_outcome outcome = rollout_outcome(d->engine);
	int exit_status = d->left ? rollout_outcome_exit_status(ROLLOUT_INTERRUPTED)
				  : rollout_outcome_exit_status(outcome);
	AUTO(buf) struct buf line = {0};
	say(d, outcome, &line);
	report_end(d->setup->report, rollout_outcome_name(outcome), exit_status,
		clock_mono_ms() - d->setup->started_mono_ms, buf_str(&line));
	remember_end(d, outcome);
	return exit_status;
}
