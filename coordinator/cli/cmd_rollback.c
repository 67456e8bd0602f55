#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/cli/actor.h"
#include "coordinator/cli/context.h"
#include "coordinator/cli/member_report.h"
#include "coordinator/cli/release_choice.h"
#include "coordinator/cli/takeover_run.h"
#include "coordinator/rollout/deployment.h"
#include "coordinator/rollout/label.h"

/* One host's releases, and the one chosen; borrowed from `list`. */
struct choice {
	struct member *member;
	Fairlead__V1__ReleaseList *list; /* owned */
	const Fairlead__V1__Release *current, *target;
};

struct choices {
	const char *wanted; /* NULL: the release before */
	struct choice *items;
	size_t count;
	struct err err; /* the first that went wrong */
};

/* Newest activation first: the one that ran before is the next that did not fail. */
static int choose_before(struct choice *choice, struct err *err)
{
	bool behind = false;
	for (size_t i = 0; i < choice->list->n_releases && !choice->target; i++) {
		const Fairlead__V1__Release *release = choice->list->releases[i];
		if (behind && !release->failed)
			choice->target = release;
		behind = behind || release->current;
	}
	if (choice->target)
		return 0;
	err_set(err, ERR_NOT_FOUND, "host '%s' has no release before the current one",
		choice->member->host->name);
	return err_hint(err, "`fairlead deploy --to REV` brings back any commit.");
}

static int choose(struct choice *choice, const char *wanted, struct err *err)
{
	for (size_t i = 0; i < choice->list->n_releases; i++)
		if (choice->list->releases[i]->current)
			choice->current = choice->list->releases[i];
	if (!choice->current)
		return err_set(err, ERR_NOT_FOUND, "nothing is deployed on host '%s'",
			choice->member->host->name);
	return wanted ? release_choose(choice->list, wanted, choice->member->host->name,
				&choice->target, err)
		      : choose_before(choice, err);
}

static void on_releases(
	void *user, struct member *member, const ProtobufCMessage *reply, const struct err *err)
{
	struct choices *choices = user;
	struct err failure = *err;
	if (failure.code == ERR_NONE) {
		struct choice *choice = &choices->items[choices->count++];
		choice->member = member;
		choice->list = (Fairlead__V1__ReleaseList *)(void *)pb_copy(reply);
		choose(choice, choices->wanted, &failure);
	}
	if (failure.code != ERR_NONE && choices->err.code == ERR_NONE)
		choices->err = failure;
}

static void choices_release(struct choices *choices)
{
	for (size_t i = 0; i < choices->count; i++)
		pb_free(&choices->items[i].list->base);
	free(choices->items);
}

/* ---- the rollback ---- */

/* Hosts on the wanted release already have nothing to do. */
static size_t fill_targets(const struct context *context, const struct choices *choices,
	struct deployment_host *targets)
{
	size_t count = 0;
	for (size_t i = 0; i < choices->count; i++) {
		const struct choice *choice = &choices->items[i];
		if (choice->target == choice->current)
			continue;
		targets[count++] = (struct deployment_host){
			.member = choice->member,
			.report_index = member_index(context->hosts, choice->member),
			.rollback = choice->target,
			.commit_from = choice->current->commit,
			.commit_to = choice->target->commit,
		};
	}
	for (size_t i = 0; count > 0 && i < hosts_count(context->hosts); i++) {
		struct member *member = hosts_member(context->hosts, i);
		if (member->state == MEMBER_FAILED)
			targets[count++] = (struct deployment_host){
				.member = member,
				.report_index = i,
				.commit_from = "",
				.commit_to = "",
			};
	}
	return count;
}

static void say_targets(struct report *report, const struct deployment_host *targets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!targets[i].rollback)
			continue;
		AUTO_FREE char *from = label_short(targets[i].commit_from);
		AUTO_FREE char *to = label_short(targets[i].commit_to);
		report_say(
			report, "ROLLBACK on %s: %s → %s", targets[i].member->host->name, from, to);
	}
}

static int roll_back(const struct options *options, const struct context *context,
	const struct choices *choices, struct err *err)
{
	AUTO_FREE struct deployment_host *targets =
		xcalloc(hosts_count(context->hosts) + 1, sizeof(*targets));
	size_t count = fill_targets(context, choices, targets);
	struct report *report = member_report_new(options, context->hosts);
	if (count == 0) {
		int status = member_report_nothing(report, context, "the hosts run it already");
		report_free(report);
		return status;
	}
	AUTO_FREE char *actor = actor_name(options->actor);
	say_targets(report, targets, count);
	const struct deployment_setup setup = {
		.kind = "rollback",
		.config = &context->config,
		.class_name = "ROLLBACK",
		.interrupts = interrupts_of(options),
		.actor = actor,
		.hosts = context->hosts,
		.report = report,
		.ledger_path = options->ledger,
		.targets = targets,
		.count = count,
		.started_mono_ms = context->started_mono_ms,
	};
	int status = deployment_run(&setup, err);
	report_free(report);
	return status;
}

static int run(const struct options *options, struct err *err)
{
	AUTO(context) struct context context = {0};
	struct choices choices = {.wanted = options->arg_count ? options->args[0] : NULL};
	if (release_check_name(choices.wanted, err) < 0 || context_open(options, &context, err) < 0)
		return -1;
	hosts_wait_described(context.hosts);
	if (context_check_hosts(&context, context_missing_of(&context), err) < 0 ||
		context_check_unlocked(&context, err) < 0)
		return -1;
	choices.items = xcalloc(hosts_count(context.hosts) + 1, sizeof(*choices.items));
	hosts_ask_all(context.hosts, FAIRLEAD__V1__ACTION__ACTION_RELEASES, on_releases, &choices);
	int status = -1;
	if (choices.err.code != ERR_NONE)
		*err = choices.err;
	else
		status = roll_back(options, &context, &choices, err);
	choices_release(&choices);
	return status;
}

static const struct option_row option_rows[] = {
	{"actor", 0, OPTION_STRING, "NAME", offsetof(struct options, actor),
		"who asks (default $GITHUB_ACTOR, else user@host)"},
	{0},
};

const struct command command_rollback = {
	.name = "rollback",
	.args = "[RELEASE]",
	.args_max = 1,
	.summary = "bring the hosts back to a release they have kept",
	.details = "RELEASE is the beginning of a commit or of a digest that `fairlead releases` "
		   "shows; without one, each host goes back to the release that ran there before. "
		   "Doing that twice brings the newer one back.\n\n"
		   "Nothing is sent: the hosts use what they have kept, start every service of it, "
		   "and check its health as in a deployment. Shared folders stay as they are.",
	.options = option_rows,
	.run = run,
};
