#include "common/base/mem.h"
#include "common/os/clock.h"
#include "coordinator/cli/actor.h"
#include "coordinator/cli/member_report.h"
#include "coordinator/cli/planning.h"
#include "coordinator/cli/takeover_run.h"
#include "coordinator/rollout/deployment.h"
#include "coordinator/rollout/label.h"

#include <poll.h>

/* ---- what is said before ---- */

static void say_change(
	struct report *report, const struct plan *plan, const struct plan_change *change)
{
	AUTO(buf) struct buf hosts = {0};
	const struct plan_host *first = NULL;
	for (size_t i = 0; i < plan->host_count; i++) {
		const struct plan_host *host = &plan->hosts[i];
		if (host->change != change || plan_host_is_nothing(host))
			continue;
		buf_printf(&hosts, "%s%s", hosts.len ? ", " : "", host->host->name);
		first = first ? first : host;
	}
	if (!first)
		return;
	AUTO_FREE char *from = label_short(first->commit_from);
	AUTO_FREE char *to = label_short(first->commit_to);
	report_say(report, "%s on %s: %s → %s: %s", plan_class_name(first->change->class),
		buf_str(&hosts), from, to, first->change->reason);
}

static void say_plan(struct report *report, const struct plan *plan)
{
	for (size_t i = 0; i < plan->change_count; i++)
		say_change(report, plan, &plan->changes[i]);
	for (size_t i = 0; i < plan->host_count; i++)
		if (plan_host_is_nothing(&plan->hosts[i]))
			report_say(report, "%s: nothing to do", plan->hosts[i].host->name);
}

/* ---- the deployment ---- */

static const struct plan_host *plan_of(const struct plan *plan, const struct member *member)
{
	for (size_t i = 0; i < plan->host_count; i++)
		if (plan->hosts[i].host == member->host)
			return &plan->hosts[i];
	return NULL;
}

/* The hosts with something to do, and those to be skipped. */
static size_t fill_targets(
	const struct context *context, const struct plan *plan, struct deployment_host *targets)
{
	size_t count = 0;
	for (size_t i = 0; i < hosts_count(context->hosts); i++) {
		struct member *member = hosts_member(context->hosts, i);
		const struct plan_host *host = plan_of(plan, member);
		if (host && plan_host_is_nothing(host))
			continue;
		targets[count++] = (struct deployment_host){
			.member = member,
			.report_index = i,
			.plan = host,
			.commit_from = host ? host->commit_from : "",
			.commit_to = plan->label,
		};
	}
	return count;
}

static int deploy(const struct options *options, const struct planning *planning, struct err *err)
{
	struct bundles bundles;
	const struct context *context = &planning->context;
	const struct plan *plan = &planning->planned.plan;
	AUTO_FREE char *actor = actor_name(options->actor);
	AUTO_FREE char *folder = options->from ? realpath(options->from, NULL) : NULL;
	AUTO_FREE struct deployment_host *targets =
		xcalloc(hosts_count(context->hosts) + 1, sizeof(*targets));
	struct report *report = member_report_new(options, context->hosts);
	bundles_init(&bundles, &planning->planned.bases, &planning->source);
	const struct deployment_setup setup = {
		.kind = "deploy",
		.config = &context->config,
		.plan = plan,
		.bundles = &bundles,
		.class_name = plan_class_name(plan_class(plan)),
		.actor = actor,
		.folder = folder,
		.forced = options->type,
		.stay = options->detach ? DEPLOYMENT_DETACH : DEPLOYMENT_STAY,
		.interrupts = interrupts_of(options),
		.bad = options->retry_bad ? DEPLOYMENT_BAD_RETRIED : DEPLOYMENT_BAD_REFUSED,
		.hosts = context->hosts,
		.report = report,
		.ledger_path = options->ledger,
		.targets = targets,
		.count = fill_targets(context, plan, targets),
		.started_mono_ms = context->started_mono_ms,
	};
	say_plan(report, plan);
	int status = deployment_run(&setup, err);
	bundles_release(&bundles);
	report_free(report);
	return status;
}

/* ---- the same again: the coordinator before has gone ---- */

/* One that was killed is seen to be gone a moment later. */
enum { GONE_MS = 2000, LOOK_AGAIN_MS = 50 };

static void count_watchers(
	void *user, struct member *member, const ProtobufCMessage *reply, const struct err *err)
{
	unsigned *watchers = user;
	(void)member;
	(void)err;
	if (reply)
		*watchers += ((const Fairlead__V1__AppStatus *)(const void *)reply)->watchers;
}

/* A deployment has one driver: two would refuse and abort each other's steps. */
static bool is_driven(struct hosts *hosts)
{
	uint64_t give_up_ms = clock_mono_ms() + GONE_MS;
	for (;;) {
		unsigned watchers = 0;
		hosts_ask_all(
			hosts, FAIRLEAD__V1__ACTION__ACTION_STATUS, count_watchers, &watchers);
		if (!watchers || clock_mono_ms() >= give_up_ms)
			return watchers > 0;
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
}

static bool is_same(const struct planning *planning, const struct member *member)
{
	const Fairlead__V1__DeploymentStatus *running =
		member_app(member) ? member_app(member)->running : NULL;
	const struct plan *plan = &planning->planned.plan;
	const struct plan_host *host = plan_of(plan, member);
	struct digest target = {0};
	if (!running || !host)
		return true;
	return digest_from_bytes(running->to_manifest.data, running->to_manifest.len, &target) &&
	       digest_equal(&target, &host->to) &&
	       (!plan->forced[0] || running->class_ == host->change->class);
}

/* >0 TAKEOVER_NOTHING: nobody deploys here. ERR_LOCKED: somebody deploys something else, or is
 * still at it. */
static int find_same(const struct options *options, const struct planning *planning,
	struct takeover *ret, struct err *err)
{
	const struct context *context = &planning->context;
	if (context_check_unlocked(context, err) == 0)
		return TAKEOVER_NOTHING;
	for (size_t i = 0; i < hosts_count(context->hosts); i++)
		if (!is_same(planning, hosts_member(context->hosts, i)))
			return -1;
	if (is_driven(context->hosts))
		return -1;
	struct err locked = *err;
	err_clear(err);
	if (takeover_find_with(options, context, NULL, ret, err) == TAKEOVER_FOUND &&
		takeover_is_running(ret))
		return TAKEOVER_FOUND;
	*err = locked;
	return -1;
}

static int take_up(const struct options *options, const struct planning *planning,
	struct takeover *takeover, struct err *err)
{
	const struct takeover_run run = {
		.options = options,
		.context = &planning->context,
		.takeover = takeover,
		.planned = &planning->planned,
		.source = &planning->source,
		.aim = DEPLOYMENT_FINISH,
	};
	return takeover_run(&run, err);
}

/* Every reachable host has the target and runs it. */
static int say_nothing(const struct options *options, const struct planning *planning)
{
	const struct plan *plan = &planning->planned.plan;
	AUTO_FREE char *label = label_short(plan->label);
	AUTO_FREE char *why = xasprintf("%zu host%s on %s already", plan->host_count,
		plan->host_count == 1 ? " is" : "s are", label);
	struct report *report = member_report_new(options, planning->context.hosts);
	int status = member_report_nothing(report, &planning->context, why);
	report_free(report);
	return status;
}

static int run(const struct options *options, struct err *err)
{
	AUTO(planning) struct planning planning = {0};
	if (planning_open(options, &planning, err) < 0)
		return -1;
	if (options->dry_run) {
		planning_print(&planning, options);
		return 0;
	}
	AUTO(takeover) struct takeover takeover = {0};
	int rc = find_same(options, &planning, &takeover, err);
	if (rc != TAKEOVER_NOTHING)
		return rc < 0 ? -1 : take_up(options, &planning, &takeover, err);
	if (plan_is_nothing(&planning.planned.plan))
		return say_nothing(options, &planning);
	return deploy(options, &planning, err);
}

#define FIELD(name) offsetof(struct options, name)

static const struct option_row option_rows[] = {
	{"to", 0, OPTION_STRING, "REV", FIELD(to), "the commit to deploy (default HEAD)"},
	{"from", 0, OPTION_STRING, "DIR", FIELD(from), "deploy a plain folder instead"},
	{"type", 0, OPTION_STRING, "auto|full|app-only|no-restart", FIELD(type),
		"what to restart, whatever changed (default auto)"},
	{"dry-run", 0, OPTION_FLAG, NULL, FIELD(dry_run), "ask the hosts, print the plan, stop"},
	{"actor", 0, OPTION_STRING, "NAME", FIELD(actor),
		"who asks (default $GITHUB_ACTOR, else user@host)"},
	{"retry-bad", 0, OPTION_FLAG, NULL, FIELD(retry_bad),
		"deploy a release although it failed before"},
	{"detach", 0, OPTION_FLAG, NULL, FIELD(detach),
		"leave once every host runs the new release; `fairlead resume` confirms"},
	{"allow-dirty", 0, OPTION_FLAG, NULL, FIELD(allow_dirty),
		"deploy HEAD although there are uncommitted changes; they stay here"},
	{0},
};

const struct command command_deploy = {
	.name = "deploy",
	.args = "",
	.summary = "bring the hosts to a commit, or to a folder",
	.details =
		"Compares the commit with the release that each host runs, restarts only what "
		"the change needs, and sends only what differs. Every host prepares first; only "
		"when all are prepared are they switched, and only when all are healthy are they "
		"confirmed. If anything fails, every host goes back to its old release by "
		"itself.\n\n"
		"Ctrl-C asks whether to abort, which brings every host back, or to detach, which "
		"leaves the hosts to themselves; a second one aborts, a third one leaves at once. "
		"Without a terminal, or with --yes, the first one aborts.\n\n"
		"Should the coordinator die, the same command takes the deployment up where it is, "
		"and "
		"so does `fairlead resume`. What nobody confirms in time goes back by itself.",
	.options = option_rows,
	.run = run,
};
