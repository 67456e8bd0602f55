#include "coordinator/rollout/deployment_impl.h"

#include "common/base/mem.h"
#include "common/os/clock.h"
#include "coordinator/rollout/label.h"

#include <assert.h>

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
	const struct deployment_host *first = label_first(setup->targets, setup->count);
	AUTO_FREE char *to = label_short(first ? first->commit_to : "");
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
	add_group(d, ROLLOUT_LOST, "not known how it ended, it decides on its own", out);
	add_group(d, ROLLOUT_FAILED_SAFE, "could not go back", out);
}

static const struct {
	const char *start; /* NULL: a line of its own */
	const char *advice;
} sayings[] = {
	[ROLLOUT_RUNNING] =
		{"left: the hosts go on alone, and what nobody confirms in time goes back",
			"`fairlead resume` takes it up, `fairlead abort` ends it"},
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

/* What was asked for was done, but for hosts that could not be told. */
static int exit_status_of_undoing(const struct deployment *d, enum rollout_outcome outcome)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->targets[i].err.code == ERR_DENIED || d->targets[i].err.code == ERR_AUTH)
			return rollout_outcome_exit_status(ROLLOUT_DENIED);
	if (outcome != ROLLOUT_INTERRUPTED)
		return rollout_outcome_exit_status(outcome);
	return count_in(d, ROLLOUT_UNREACHED) ? rollout_outcome_exit_status(ROLLOUT_UNCHANGED) : 0;
}

static int exit_status_of(const struct deployment *d, enum rollout_outcome outcome)
{
	static const int left[] = {
		[LEFT_AT_ONCE] = 10,
		[LEFT_DETACHED] = DEPLOYMENT_EXIT_DETACHED,
	};
	if (d->left != LEFT_NOT)
		return left[d->left];
	if (d->setup->aim == DEPLOYMENT_UNDO)
		return exit_status_of_undoing(d, outcome);
	return rollout_outcome_exit_status(outcome);
}

int deployment_conclude(struct deployment *d)
{
	enum rollout_outcome outcome = rollout_outcome(d->engine);
	if (d->left != LEFT_NOT)
		outcome = ROLLOUT_RUNNING;
	int exit_status = exit_status_of(d, outcome);
	const char *name = d->left == LEFT_DETACHED ? "detached" : rollout_outcome_name(outcome);
	AUTO(buf) struct buf line = {0};
	deployment_show_news(d);
	say(d, outcome, &line);
	report_end(d->setup->report, name, exit_status, clock_mono_ms() - d->setup->started_mono_ms,
		buf_str(&line));
	/* Left alone it goes on, so the ledger says that it runs. */
	if (d->left == LEFT_NOT)
		deployment_remember_end(d, outcome);
	return exit_status;
}
