#include "coordinator/cli/member_report.h"

#include "common/base/mem.h"
#include "common/os/clock.h"
#include "coordinator/rollout/rollout.h"

struct report *member_report_new(const struct options *options, struct hosts *hosts)
{
	size_t count = hosts_count(hosts);
	AUTO_FREE const char **names = xcalloc(count + 1, sizeof(*names));
	for (size_t i = 0; i < count; i++)
		names[i] = hosts_member(hosts, i)->host->name;
	return report_new(
		options_style(options), options_verbosity(options), names, count, stdout, stderr);
}

int member_report_nothing(struct report *report, const struct context *context, const char *why)
{
	bool skipped = hosts_failure(context->hosts) != NULL;
	int status = rollout_outcome_exit_status(skipped ? ROLLOUT_DONE_SKIPPED : ROLLOUT_DONE);
	AUTO_FREE char *line = xasprintf("nothing to do: %s%s", why,
		skipped ? "; hosts that could not be reached were skipped" : "");
	report_end(report, "nothing", status, clock_mono_ms() - context->started_mono_ms, line);
	return status;
}
