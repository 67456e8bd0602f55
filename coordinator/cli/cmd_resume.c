#include "common/base/mem.h"
#include "coordinator/cli/member_report.h"
#include "coordinator/cli/resolve.h"
#include "coordinator/cli/takeover_run.h"
#include "coordinator/rollout/background.h"

struct resuming {
	struct context context;
	struct takeover takeover;
	struct source source;
	struct fleet_plan planned;
	enum { RESUMING_WITHOUT_PLAN, RESUMING_WITH_PLAN } plan;
};

static void resuming_release(struct resuming *resuming)
{
	if (resuming->plan == RESUMING_WITH_PLAN) {
		fleet_plan_release(&resuming->planned);
		source_release(&resuming->source);
	}
	takeover_release(&resuming->takeover);
	context_release(&resuming->context);
}

/* ---- hosts that have not prepared yet ---- */

static int read_source(void *work, struct err *err)
{
	struct resuming *resuming = work;
	const struct takeover *takeover = &resuming->takeover;
	const struct source_setup setup = {
		.folder = takeover->folder[0] ? takeover->folder : NULL,
		.revision = takeover->commit_to,
		.dirty = SOURCE_DIRTY_IGNORED,
	};
	return source_open(&setup, &resuming->source, err);
}

/* The tree must be the very one that the other hosts have. */
static int check_target(const struct resuming *resuming, struct err *err)
{
	struct digest digest = resuming->source.tree.manifest.digest;
	if (digest_is_zero(&resuming->takeover.target) ||
		digest_equal(&digest, &resuming->takeover.target))
		return 0;
	return err_set(err, ERR_PREFLIGHT, "'%s' is not what is being deployed any more",
		resuming->takeover.folder[0] ? resuming->takeover.folder
					     : resuming->takeover.commit_to);
}

static int plan_it(struct resuming *resuming, struct err *err)
{
	const struct takeover *takeover = &resuming->takeover;
	struct background *background = NULL;
	Fairlead__V1__ActionClass forced = FAIRLEAD__V1__ACTION_CLASS__ACTION_CLASS_UNSPECIFIED;
	if (strcmp(takeover->kind, "deploy") != 0)
		return err_set(err, ERR_PREFLIGHT, "a rollback is not begun anew");
	if (takeover->forced[0] && plan_parse_type(takeover->forced, &forced, err) < 0)
		return -1;
	if (background_start(read_source, resuming, &background, err) < 0 ||
		background_finish(background, hosts_loop(resuming->context.hosts), err) < 0)
		return -1;
	if (check_target(resuming, err) < 0 ||
		plan_hosts(&resuming->context.config, resuming->context.hosts, &resuming->source,
			forced, &resuming->planned, err) < 0) {
		source_release(&resuming->source);
		return -1;
	}
	resuming->plan = RESUMING_WITH_PLAN;
	return 0;
}

/* Without the tree they cannot go on, and then nobody does. */
static void plan_or_give_up(struct resuming *resuming)
{
	struct err err = ERR_INIT;
	if (!takeover_needs_plan(&resuming->takeover) || plan_it(resuming, &err) == 0)
		return;
	err_wrap(&err, "hosts have still to prepare");
	takeover_cannot_prepare(&resuming->takeover, &err);
}

/* ---- the verb ---- */

static int nothing(const struct options *options, const struct context *context)
{
	struct report *report = member_report_new(options, context->hosts);
	int status = member_report_nothing(report, context, "no deployment is unfinished");
	report_free(report);
	return status;
}

static int find(const struct options *options, struct resuming *resuming, struct err *err)
{
	const struct context *context = &resuming->context;
	const char *prefix = options->arg_count ? options->args[0] : NULL;
	hosts_wait_described(context->hosts);
	/* Those that do not answer are judged with the others; but somebody has to. */
	if (context_check_hosts(context, CONTEXT_MISSING_SKIP, err) < 0)
		return -1;
	return takeover_find_with(options, context, prefix, &resuming->takeover, err);
}

/* With links of its own: what the hosts say of themselves is asked anew afterwards. */
static int resolve(const struct options *options, struct err *err)
{
	AUTO(context) struct context context = {0};
	const char *prefix = options->arg_count ? options->args[0] : NULL;
	Fairlead__V1__Decision decision;
	if (resolve_parse(options->resolve, &decision, err) < 0 ||
		context_open(options, &context, err) < 0)
		return -1;
	hosts_wait_described(context.hosts);
	if (context_check_hosts(&context, CONTEXT_MISSING_SKIP, err) < 0)
		return -1;
	return resolve_held(&context, prefix, decision, err);
}

static int run(const struct options *options, struct err *err)
{
	AUTO(resuming) struct resuming resuming = {0};
	if (deployment_id_check(options->arg_count ? options->args[0] : NULL, err) < 0)
		return -1;
	if (options->resolve && resolve(options, err) < 0)
		return -1;
	if (context_open(options, &resuming.context, err) < 0)
		return -1;
	int rc = find(options, &resuming, err);
	if (rc == TAKEOVER_NOTHING)
		return nothing(options, &resuming.context);
	if (rc < 0)
		return -1;
	plan_or_give_up(&resuming);
	bool planned = resuming.plan == RESUMING_WITH_PLAN;
	const struct takeover_run takeover = {
		.options = options,
		.context = &resuming.context,
		.takeover = &resuming.takeover,
		.planned = planned ? &resuming.planned : NULL,
		.source = planned ? &resuming.source : NULL,
		.aim = DEPLOYMENT_FINISH,
	};
	return takeover_run(&takeover, err);
}

static const struct option_row option_rows[] = {
	{"resolve", 0, OPTION_STRING, "DECISION", offsetof(struct options, resolve),
		"about a step that was cut off: done, redo or undo"},
	{"detach", 0, OPTION_FLAG, NULL, offsetof(struct options, detach),
		"leave again once every host runs the new release"},
	{0},
};

const struct command command_resume = {
	.name = "resume",
	.args = "[ID]",
	.args_max = 1,
	.summary = "take up a deployment whose coordinator has gone",
	.details =
		"ID is the beginning of the id that `fairlead deploy` says; without one, the "
		"deployment that has not ended is taken up. Shows the events that were missed, "
		"each "
		"once. Goes on where the hosts are: if every one of them still can, the deployment "
		"is finished, else it is undone. One that has ended is told how.\n\n"
		"A host that holds, because its agent ended in the middle of a hook of class "
		"`once`, goes on only by a decision: --resolve done (the hook was done), redo "
		"(run it again) or undo (go back). `fairlead status` shows such a host.\n\n"
		"It works from another machine too. The hosts know enough; what only the ledger of "
		"the first coordinator knows is said to be unknown.",
	.options = option_rows,
	.run = run,
};
