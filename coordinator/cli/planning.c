#include "coordinator/cli/planning.h"

#include "common/base/mem.h"
#include "coordinator/report/style.h"
#include "coordinator/rollout/background.h"

struct reading {
	const struct source_setup setup;
	struct source *source;
};

static int read_source(void *work, struct err *err)
{
	struct reading *reading = work;
	return source_open(&reading->setup, reading->source, err);
}

static int read_and_reach(const struct options *options, struct planning *planning, struct err *err)
{
	struct background *background = NULL;
	struct context *context = &planning->context;
	bool any_tree = options->to || options->allow_dirty;
	struct reading reading = {
		.setup =
			{
				.folder = options->from,
				.revision = options->to,
				.dirty = any_tree ? SOURCE_DIRTY_IGNORED : SOURCE_DIRTY_REFUSED,
			},
		.source = &planning->source,
	};
	if (background_start(read_source, &reading, &background, err) < 0 ||
		background_finish(background, hosts_loop(context->hosts), err) < 0)
		return -1;
	hosts_wait_described(context->hosts);
	return context_check_hosts(context, context_missing_of(context), err);
}

int planning_open(const struct options *options, struct planning *ret, struct err *err)
{
	Fairlead__V1__ActionClass forced = FAIRLEAD__V1__ACTION_CLASS__ACTION_CLASS_UNSPECIFIED;
	if (options->from && options->to)
		return err_set(err, ERR_USAGE, "--from names a folder, --to a commit: not both");
	if (options->type && plan_parse_type(options->type, &forced, err) < 0)
		return -1;
	if (context_open(options, &ret->context, err) < 0 || read_and_reach(options, ret, err) < 0)
		return -1;
	return plan_hosts(
		&ret->context.config, ret->context.hosts, &ret->source, forced, &ret->planned, err);
}

void planning_release(struct planning *planning)
{
	fleet_plan_release(&planning->planned);
	source_release(&planning->source);
	context_release(&planning->context);
}

void planning_print(const struct planning *planning, const struct options *options)
{
	AUTO(buf) struct buf out = {0};
	if (options->json) {
		json_print_line(stdout, plan_json(&planning->planned.plan));
		return;
	}
	plan_print(&planning->planned.plan, &out, options->verbose);
	fputs(buf_str(&out), stdout);
}
