#include "coordinator/cli/takeover_run.h"

#include "common/base/mem.h"
#include "coordinator/cli/member_report.h"
#include "coordinator/rollout/label.h"

#include <unistd.h>

enum deployment_interrupts interrupts_of(const struct options *options)
{
	bool somebody = isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && !options->yes;
	return somebody ? DEPLOYMENT_ASKS : DEPLOYMENT_ABORTS;
}

int takeover_find_with(const struct options *options, const struct context *context,
	const char *id_prefix, struct takeover *ret, struct err *err)
{
	struct ledger *ledger = NULL;
	struct err failure = ERR_INIT;
	if (ledger_open(options->ledger, &ledger, &failure) < 0)
		report_error(options_style(options), &failure);
	int rc = takeover_find(context->hosts, &context->config, ledger, id_prefix, ret, err);
	ledger_free(ledger);
	return rc;
}

/* ---- what is said ---- */

static void say_what(struct report *report, const struct takeover_run *run)
{
	const struct takeover *takeover = run->takeover;
	char hex[DEPLOYMENT_ID_HEX_SIZE];
	AUTO_FREE char *from = label_short(takeover->commit_from);
	AUTO_FREE char *to = label_short(takeover->commit_to);
	report_say(report, "%s deployment %.12s of '%s': %s %s → %s",
		run->aim == DEPLOYMENT_UNDO ? "aborting" : "taking up",
		deployment_id_hex(takeover->id, hex), takeover->actor, takeover->class_name, from,
		to);
}

static void say_unknown(struct report *report, const struct takeover_run *run)
{
	if (run->takeover->ledger != TAKEOVER_UNKNOWN)
		return;
	report_say(report,
		"the ledger here does not know it: how far its events were shown is not "
		"known, so all that the hosts have kept are shown; nor is it known whether "
		"hosts that do not answer belong to it");
}

static bool is_one_of(struct hosts *hosts, const char *name)
{
	for (size_t i = 0; i < hosts_count(hosts); i++)
		if (strcmp(hosts_member(hosts, i)->host->name, name) == 0)
			return true;
	return false;
}

static void say_hosts(struct report *report, const struct takeover_run *run)
{
	const struct takeover *takeover = run->takeover;
	for (size_t i = 0; i < takeover->memory_count; i++)
		if (!is_one_of(run->context->hosts, takeover->memories[i].host))
			report_say(report,
				"%s belongs to it, but is not among the hosts of this run",
				takeover->memories[i].host);
	for (size_t i = 0; i < takeover->count; i++) {
		const struct member *member = hosts_member(run->context->hosts, i);
		const Fairlead__V1__AppStatus *app = member_app(member);
		if (takeover->hosts[i].proven)
			report_say(report,
				"%s: %s there, as its journal says; it has had another one since",
				member->host->name, rollout_state_name(takeover->hosts[i].state));
		else if (takeover->hosts[i].part == TAKEOVER_PART && member->state == MEMBER_FAILED)
			report_say(report, "%s: not reached, so it is not known what it runs",
				member->host->name);
		else if (app && app->watchers > 0)
			report_say(report, "%s: another coordinator follows it too",
				member->host->name);
	}
}

/* ---- the run ---- */

static const struct plan_host *plan_of(const struct takeover_run *run, const struct member *member)
{
	const struct plan *plan = run->planned ? &run->planned->plan : NULL;
	for (size_t i = 0; plan && i < plan->host_count; i++)
		if (plan->hosts[i].host == member->host)
			return &plan->hosts[i];
	return NULL;
}

static void fill_target(const struct takeover_run *run, size_t i, struct deployment_host *ret)
{
	const struct takeover *takeover = run->takeover;
	const struct takeover_host *host = &takeover->hosts[i];
	bool unprepared = host->state == ROLLOUT_WAITING || host->state == ROLLOUT_PREPARING;
	*ret = (struct deployment_host){
		.member = hosts_member(run->context->hosts, i),
		.report_index = i,
		.taken = host,
		.commit_from = host->status ? host->status->commit_from : takeover->commit_from,
		.commit_to = host->status ? host->status->commit_to : takeover->commit_to,
	};
	if (unprepared)
		ret->plan = plan_of(run, ret->member);
}

static size_t fill_targets(const struct takeover_run *run, struct deployment_host *targets)
{
	size_t count = 0;
	for (size_t i = 0; i < run->takeover->count; i++)
		if (run->takeover->hosts[i].part == TAKEOVER_PART)
			fill_target(run, i, &targets[count++]);
	return count;
}

int takeover_run(const struct takeover_run *run, struct err *err)
{
	struct bundles bundles;
	const struct takeover *takeover = run->takeover;
	const struct options *options = run->options;
	AUTO_FREE struct deployment_host *targets = xcalloc(takeover->count + 1, sizeof(*targets));
	struct report *report = member_report_new(options, run->context->hosts);
	if (run->planned)
		bundles_init(&bundles, &run->planned->bases, run->source);
	const struct deployment_setup setup = {
		.kind = takeover->kind,
		.config = &run->context->config,
		.plan = run->planned ? &run->planned->plan : NULL,
		.bundles = run->planned ? &bundles : NULL,
		.class_name = takeover->class_name,
		.actor = takeover->actor,
		.folder = takeover->folder,
		.forced = takeover->forced,
		.bad = takeover->retry_bad ? DEPLOYMENT_BAD_RETRIED : DEPLOYMENT_BAD_REFUSED,
		.takeover = takeover,
		.aim = run->aim,
		.stay = options->detach ? DEPLOYMENT_DETACH : DEPLOYMENT_STAY,
		.interrupts = interrupts_of(options),
		.hosts = run->context->hosts,
		.report = report,
		.ledger_path = options->ledger,
		.targets = targets,
		.count = fill_targets(run, targets),
		.started_mono_ms = run->context->started_mono_ms,
	};
	say_what(report, run);
	say_unknown(report, run);
	say_hosts(report, run);
	int status = deployment_run(&setup, err);
	if (run->planned)
		bundles_release(&bundles);
	report_free(report);
	return status;
}
