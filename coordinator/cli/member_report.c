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

/* Each host that was left out, and why; how many were not. */
static size_t say_skipped(struct report *report, struct hosts *hosts)
{
	size_t ready = 0;
	for (size_t i = 0; i < hosts_count(hosts); i++) {
		const struct member *member = hosts_member(hosts, i);
		ready += member->state == MEMBER_READY;
		if (member->state == MEMBER_FAILED)
			report_say(report, "skipped: %s", member->err.message);
	}
	return ready;
}

static enum rollout_outcome outcome_of(size_t reached, size_t count)
{
	if (reached == count)
		return ROLLOUT_DONE;
	return reached ? ROLLOUT_DONE_SKIPPED : ROLLOUT_UNCHANGED;
}

int member_report_nothing(struct report *report, const struct context *context, const char *why)
{
	size_t reached = say_skipped(report, context->hosts), count = hosts_count(context->hosts);
	int status = rollout_outcome_exit_status(outcome_of(reached, count));
	AUTO(buf) struct buf line = {0};
	if (reached || !count)
		buf_printf(&line, "nothing to do: %s", why);
	else
		buf_append_str(&line, "no host could be reached, nothing was changed");
	if (reached && reached < count)
		buf_append_str(&line, "; hosts that could not be reached were skipped");
	report_end(report, "nothing", status, clock_mono_ms() - context->started_mono_ms,
		buf_str(&line));
	return status;
}
