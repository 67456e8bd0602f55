#include "common/base/mem.h"
#include "coordinator/cli/member_report.h"
#include "coordinator/cli/takeover_run.h"

static int nothing(const struct options *options, const struct context *context, const char *why)
{
	struct report *report = member_report_new(options, context->hosts);
	int status = member_report_nothing(report, context, why);
	report_free(report);
	return status;
}

static int check_not_too_late(
	const struct context *context, const struct takeover *takeover, struct err *err)
{
	for (size_t i = 0; i < takeover->count; i++) {
		if (takeover->hosts[i].part != TAKEOVER_PART ||
			takeover->hosts[i].state != ROLLOUT_COMMITTED)
			continue;
		err_set(err, ERR_PREFLIGHT, "too late to abort: host '%s' has committed already",
			hosts_member(context->hosts, i)->host->name);
		return err_hint(err, "`fairlead resume` finishes the other hosts, and `fairlead "
				     "rollback` takes all of them back.");
	}
	return 0;
}

static int abort_it(const struct options *options, const struct context *context,
	struct takeover *takeover, struct err *err)
{
	if (check_not_too_late(context, takeover, err) < 0)
		return -1;
	if (!takeover_is_running(takeover))
		return nothing(options, context, "the deployment does not run on any host");
	const struct takeover_run run = {
		.options = options,
		.context = context,
		.takeover = takeover,
		.aim = DEPLOYMENT_UNDO,
	};
	return takeover_run(&run, err);
}

static int run(const struct options *options, struct err *err)
{
	AUTO(context) struct context context = {0};
	AUTO(takeover) struct takeover takeover = {0};
	const char *prefix = options->arg_count ? options->args[0] : NULL;
	if (deployment_id_check(prefix, err) < 0 || context_open(options, &context, err) < 0)
		return -1;
	hosts_wait_described(context.hosts);
	if (context_check_hosts(&context, CONTEXT_MISSING_SKIP, err) < 0)
		return -1;
	int rc = takeover_find_with(options, &context, prefix, &takeover, err);
	if (rc == TAKEOVER_NOTHING)
		return nothing(options, &context, "no deployment is running");
	return rc < 0 ? -1 : abort_it(options, &context, &takeover, err);
}

static const struct option_row option_rows[] = {{0}};

const struct command command_abort = {
	.name = "abort",
	.args = "[ID]",
	.args_max = 1,
	.summary = "stop the deployment that runs, and bring its hosts back",
	.details =
		"Tells every host of the deployment to go back to its old release: what has not "
		"been "
		"switched stays as it is, what has been is rolled back with its health checked. ID "
		"is "
		"the beginning of the id that `fairlead deploy` says; without one, the deployment "
		"that "
		"runs is meant. The coordinator that began it, if it still runs, ends with status "
		"10.\n\n"
		"The status is 0 when every host is on its old release, 4 when a host could not be "
		"told or it is too late because one has committed, 6 when it is not known of a "
		"host, "
		"7 when one could not go back.",
	.options = option_rows,
	.run = run,
};
