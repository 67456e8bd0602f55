#include "check.h"

#include "common/base/mem.h"
#include "fleet.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

uint64_t check_new_deployment(struct check *check)
{
	if (check->count == CHECK_DEPLOYMENTS)
		abort(); /* a scenario asks for fewer */
	check->deployments[check->count] = (struct check_deployment){0};
	return ++check->count;
}

struct check_deployment *check_deployment(struct check *check, uint64_t deployment)
{
	return &check->deployments[deployment - 1];
}

static struct check_host *find(struct check *check, uint64_t deployment, size_t host)
{
	return &check_deployment(check, deployment)->hosts[host];
}

/* ---- the journal ---- */

static void check_sequence(struct check *check, size_t host, uint64_t sequence)
{
	if (sequence && sequence <= check->journals[host].sequence)
		world_wrong(check->world, "host %zu: sequence %llu after %llu", host,
			(unsigned long long)sequence,
			(unsigned long long)check->journals[host].sequence);
	if (sequence)
		check->journals[host].sequence = sequence;
}

static void check_one_at_a_time(struct check *check, size_t host, uint64_t deployment)
{
	uint64_t before = check->journals[host].deployment;
	if (before && before != deployment && !machine_is_final(check->journals[host].state))
		world_wrong(check->world, "host %zu: deployment %llu begins, %llu is %s", host,
			(unsigned long long)deployment, (unsigned long long)before,
			machine_state_name(check->journals[host].state));
}

static void check_committed(
	struct check *check, size_t host, uint64_t deployment, uint64_t sequence)
{
	const struct check_host *known = find(check, deployment, host);
	if (!known->saw_healthy)
		world_wrong(check->world, "host %zu: committed without healthy", host);
	if (!known->confirm_sent || !sequence)
		world_wrong(check->world, "host %zu: committed, and nobody confirmed", host);
}

static void check_held(struct check *check, size_t host, enum machine_event event)
{
	bool decided = event == MACHINE_RESOLVE_DONE || event == MACHINE_RESOLVE_REDO ||
		       event == MACHINE_RESOLVE_UNDO;
	if (machine_is_held(check->journals[host].state) && !decided)
		world_wrong(check->world, "host %zu: held, and went on by %s", host,
			machine_event_name(event));
}

static void allow_again(struct check *check, size_t host, uint64_t deployment, unsigned step)
{
	struct check_host *known = find(check, deployment, host);
	unsigned where = check->journals[host].state == S(HELD_AFTER);
	if (step < CHECK_STEPS)
		known->allowed[where][step]++;
}

void check_journalled(struct check *check, size_t host, uint64_t deployment,
	const struct machine *machine, enum machine_event event, uint64_t sequence)
{
	struct check_host *known = find(check, deployment, host);
	Fairlead__V1__State state = machine->state;
	check_sequence(check, host, sequence);
	check_one_at_a_time(check, host, deployment);
	check_held(check, host, event);
	if (known->ended)
		world_wrong(check->world, "host %zu: %s after the end", host,
			machine_state_name(state));
	if (event == MACHINE_RESOLVE_REDO)
		allow_again(check, host, deployment, machine->step);
	if (state == S(SWITCHED) && !known->activate_sent)
		world_wrong(check->world, "host %zu: activated, and nobody asked for it", host);
	if (state == S(COMMITTED))
		check_committed(check, host, deployment, sequence);
	known->accepted = true;
	known->cancelled |= event == MACHINE_ABORT;
	known->saw_healthy = state == S(HEALTHY);
	known->ended = machine_is_final(state);
	known->end = state;
	check->journals[host].state = state;
	check->journals[host].deployment = deployment;
}

void check_recovered(struct check *check, size_t host, uint64_t deployment,
	Fairlead__V1__State state, uint64_t last_sequence)
{
	if (check->journals[host].deployment == deployment &&
		check->journals[host].state == state &&
		check->journals[host].sequence == last_sequence)
		return;
	world_wrong(check->world,
		"host %zu: the journal has deployment %llu %s, sequence %llu; durable was %llu %s, "
		"%llu",
		host, (unsigned long long)deployment, machine_state_name(state),
		(unsigned long long)last_sequence,
		(unsigned long long)check->journals[host].deployment,
		machine_state_name(check->journals[host].state),
		(unsigned long long)check->journals[host].sequence);
}

/* ---- acts ---- */

void check_switching(struct check *check, size_t host, uint64_t deployment, unsigned release)
{
	const struct check_deployment *known = check_deployment(check, deployment);
	bool forward = release == known->plan.to;
	Fairlead__V1__State state = check->journals[host].state;
	if (check->journals[host].deployment != deployment ||
		state != (forward ? S(SWITCHED) : S(ROLLING_BACK)))
		world_wrong(check->world,
			"host %zu: switches to release %u, and the journal says %s", host, release,
			machine_state_name(state));
}

void check_switched(struct check *check, size_t host, uint64_t deployment, unsigned release)
{
	if (release == check_deployment(check, deployment)->plan.to)
		find(check, deployment, host)->was_new = true;
}

void check_step(
	struct check *check, size_t host, uint64_t deployment, unsigned where, unsigned step)
{
	const struct command *plan = &check_deployment(check, deployment)->plan;
	struct check_host *known = find(check, deployment, host);
	unsigned once = where ? plan->once_after : plan->once_before;
	if (step >= CHECK_STEPS || !(once >> step & 1))
		return;
	if (++known->runs[where][step] > 1 + known->allowed[where][step])
		world_wrong(check->world, "host %zu: step %u of class once ran %u times", host,
			step, known->runs[where][step]);
}

/* ---- the engine ---- */

static size_t count_in(const struct coordinator *c, enum rollout_state state)
{
	size_t n = 0;
	for (size_t i = 0; i < c->count; i++)
		n += rollout_host_state(c->engine, i) == state;
	return n;
}

/* Forward only as long as the policy allows it; but where a host has committed there is no way
 * but forward. */
static void check_policy(struct check *check, const struct coordinator *c, enum rollout_verb verb)
{
	const struct rollout_policy *policy = &c->fleet->scenario.policy;
	size_t failed = count_in(c, ROLLOUT_ABORTED) + count_in(c, ROLLOUT_ROLLED_BACK) +
			count_in(c, ROLLOUT_FAILED_SAFE) + count_in(c, ROLLOUT_LOST);
	bool at_once = verb == ROLLOUT_ACTIVATE && c->how == BEGINS;
	if (count_in(c, ROLLOUT_COMMITTED))
		return;
	if (c->called_back)
		world_wrong(check->world,
			"coordinator %zu: takes forward what somebody was taking back", c->index);
	if ((at_once || policy->on_failure == APP_ON_FAILURE_ROLLBACK_ALL) &&
		failed > policy->max_failures)
		world_wrong(check->world, "coordinator %zu: goes on after %zu failures, %u allowed",
			c->index, failed, policy->max_failures);
	if (at_once && policy->unreachable == APP_UNREACHABLE_FAIL &&
		count_in(c, ROLLOUT_UNREACHED))
		world_wrong(check->world, "coordinator %zu: goes on without a host", c->index);
	if (at_once && count_in(c, ROLLOUT_PREPARING))
		world_wrong(check->world, "coordinator %zu: activates before all are prepared",
			c->index);
}

void check_asked(
	struct check *check, const struct coordinator *c, size_t host, enum rollout_verb verb)
{
	struct check_host *known = find(check, c->deployment, host);
	if (verb == ROLLOUT_ACTIVATE || verb == ROLLOUT_CONFIRM)
		check_policy(check, c, verb);
	if (verb == ROLLOUT_CONFIRM && c->how == BEGINS && count_in(c, ROLLOUT_ACTIVATING))
		world_wrong(
			check->world, "coordinator %zu: confirms before all are healthy", c->index);
	known->activate_sent |= verb == ROLLOUT_ACTIVATE;
	known->confirm_sent |= verb == ROLLOUT_CONFIRM;
}

/* ---- the end ---- */

/* What each state that a coordinator reports says about the host's end. */
static const struct {
	enum { SAYS_NOTHING, SAYS_END, SAYS_ANY } says; /* ANY: it decides on its own */
	Fairlead__V1__State end;
} meanings[ROLLOUT_STATE_COUNT] = {
	[ROLLOUT_COMMITTED] = {SAYS_END, S(COMMITTED)},
	[ROLLOUT_ABORTED] = {SAYS_END, S(ABORTED)},
	[ROLLOUT_UNREACHED] = {SAYS_END, S(ABORTED)},
	[ROLLOUT_ROLLED_BACK] = {SAYS_END, S(ROLLED_BACK)},
	[ROLLOUT_FAILED_SAFE] = {SAYS_END, S(FAILED_SAFE)},
	[ROLLOUT_LOST] = {SAYS_ANY, 0},
};

static bool fits(enum rollout_state said, const struct check_host *host)
{
	Fairlead__V1__State end = host->accepted ? host->end : S(ABORTED);
	return meanings[said].says == SAYS_ANY ||
	       (meanings[said].says == SAYS_END && meanings[said].end == end);
}

struct ends {
	size_t hosts, committed, changed, failed_safe, lost;
};

static struct ends count_ends(const struct check_deployment *known, const struct coordinator *c)
{
	struct ends ends = {.hosts = c->count};
	for (size_t i = 0; i < c->count; i++) {
		const struct check_host *host = &known->hosts[i];
		ends.committed += host->accepted && host->end == S(COMMITTED);
		ends.failed_safe += host->accepted && host->end == S(FAILED_SAFE);
		ends.changed += host->was_new;
		ends.lost += rollout_host_state(c->engine, i) == ROLLOUT_LOST;
	}
	return ends;
}

static bool all_committed(const struct ends *ends)
{
	return ends->committed == ends->hosts;
}

static bool some_committed(const struct ends *ends)
{
	return ends->committed > 0 && ends->committed < ends->hosts;
}

static bool skipped(const struct ends *ends)
{
	return some_committed(ends) && ends->changed == ends->committed;
}

static bool nothing_changed(const struct ends *ends)
{
	return ends->changed == 0;
}

static bool all_old(const struct ends *ends)
{
	return ends->committed + ends->failed_safe == 0;
}

static bool mixed(const struct ends *ends)
{
	return ends->lost > 0 || some_committed(ends);
}

static bool way_back_failed(const struct ends *ends)
{
	return ends->failed_safe > 0;
}

/* What the exit status says of the fleet; without a row it says nothing. */
static bool (*const outcomes[ROLLOUT_OUTCOME_COUNT])(const struct ends *) = {
	[ROLLOUT_DONE] = all_committed,
	[ROLLOUT_DONE_SKIPPED] = skipped,
	[ROLLOUT_LOCKED] = nothing_changed,
	[ROLLOUT_DENIED] = nothing_changed,
	[ROLLOUT_UNCHANGED] = nothing_changed,
	[ROLLOUT_REVERTED] = all_old,
	[ROLLOUT_INTERRUPTED] = all_old,
	[ROLLOUT_MIXED] = mixed,
	[ROLLOUT_REVERT_FAILED] = way_back_failed,
};

/* Somebody else goes on with it: then "not activated" is true only when it is said. */
static bool is_superseded(const struct coordinator *c)
{
	const struct fleet *fleet = c->fleet;
	if (c->accompanied)
		return true;
	for (size_t i = c->index + 1; i < fleet->coordinator_count; i++)
		if (fleet->coordinators[i].deployment == c->deployment)
			return true;
	return false;
}

static void check_report(struct check *check, const struct coordinator *c)
{
	const struct check_deployment *known = check_deployment(check, c->deployment);
	bool superseded = is_superseded(c);
	for (size_t i = 0; i < c->count; i++) {
		enum rollout_state said = rollout_host_state(c->engine, i);
		bool open = said == ROLLOUT_UNREACHED || said == ROLLOUT_ABORTED;
		if (!(superseded && open) && !fits(said, &known->hosts[i]))
			world_wrong(check->world,
				"coordinator %zu: reported %s for host %zu, its journal says %s",
				c->index, rollout_state_name(said), i,
				machine_state_name(known->hosts[i].end));
	}
	enum rollout_outcome outcome = rollout_outcome(c->engine);
	struct ends ends = count_ends(known, c);
	if (superseded)
		return;
	if (!outcomes[outcome] || !outcomes[outcome](&ends))
		world_wrong(check->world,
			"coordinator %zu: exit status %d (%s) is not what became of the fleet",
			c->index, rollout_outcome_exit_status(outcome),
			rollout_outcome_name(outcome));
}

/* On the old release or on the new one, and says which. */
static void check_host_end(struct check *check, const struct host *host)
{
	size_t i = host->index;
	Fairlead__V1__State state = check->journals[i].state;
	uint64_t deployment = check->journals[i].deployment;
	if (host->life != HOST_UP)
		world_wrong(check->world, "host %zu: does not come back", i);
	if (host->work == HOST_BUSY)
		world_wrong(check->world, "host %zu: is %s for ever", i,
			machine_state_name(host->machine.state));
	if (!deployment || state == S(FAILED_SAFE))
		return;
	const struct check_deployment *known = check_deployment(check, deployment);
	unsigned wanted = state == S(COMMITTED) ? known->plan.to : known->hosts[i].from;
	if (host->current != wanted)
		world_wrong(check->world, "host %zu: %s, and runs release %u instead of %u", i,
			machine_state_name(state), host->current, wanted);
}

void check_end(struct check *check, struct fleet *fleet)
{
	for (size_t i = 0; i < check->hosts; i++)
		check_host_end(check, &fleet->hosts[i]);
	for (size_t i = 0; i < fleet->coordinator_count; i++) {
		const struct coordinator *c = &fleet->coordinators[i];
		if (c->life == COORDINATOR_RUNS || c->life == COORDINATOR_CONNECTS)
			world_wrong(check->world, "coordinator %zu never ends", i);
		else if (c->life == COORDINATOR_DONE)
			check_report(check, c);
	}
}
