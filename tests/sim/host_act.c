/* What a simulated host does on entering a state: it takes time, and may fail. */
#include "common/base/mem.h"
#include "fleet.h"

#include <stdio.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { ACT_MS = 8000, STEP_MS = 6000, DECISION_MS = 60000 };

static void later(struct host *host, uint64_t longest_ms, world_fn *fn)
{
	struct world *world = &host->fleet->world;
	world_after(world, world_between(world, 1, longest_ms), fn, host, host->act);
}

static bool fails(struct host *host)
{
	return world_chance(&host->fleet->world, host->fleet->scenario.fail_permille);
}

/* The event that says how an act has ended, unless it was given up meanwhile. */
static void end_act(struct host *host, uint64_t act, enum machine_event event)
{
	if (host->act == act)
		host_event(host, fails(host) ? MACHINE_FAIL : event, 0);
}

static void on_fetched(void *user, uint64_t act)
{
	end_act(user, act, MACHINE_FETCHED);
}

static void on_staged(void *user, uint64_t act)
{
	end_act(user, act, MACHINE_STAGED);
}

static void on_checked(void *user, uint64_t act)
{
	end_act(user, act, MACHINE_CHECKED);
}

static void on_restarted(void *user, uint64_t act)
{
	end_act(user, act, MACHINE_RESTARTED);
}

static void on_healthy(void *user, uint64_t act)
{
	end_act(user, act, MACHINE_HEALTHY);
}

static void on_undone(void *user, uint64_t act)
{
	end_act(user, act, MACHINE_UNDONE);
}

static void fetch(struct host *host)
{
	later(host, ACT_MS, on_fetched);
}

static void stage(struct host *host)
{
	later(host, ACT_MS, on_staged);
}

static void check_services(struct host *host)
{
	later(host, 1, on_checked);
}

static void switch_over(struct host *host)
{
	if (host_switch(host, host->plan.to) == 0)
		later(host, ACT_MS, on_restarted);
}

static void watch(struct host *host)
{
	later(host, ACT_MS, on_healthy);
}

static void undo(struct host *host)
{
	if (host_switch(host, host->plan.from) == 0)
		later(host, ACT_MS, on_undone);
}

/* ---- steps ---- */

static void run_steps(struct host *host);

static void on_step(void *user, uint64_t act)
{
	struct host *host = user;
	if (host->act != act)
		return;
	if (fails(host)) {
		host_event(host, MACHINE_FAIL, 0);
		return;
	}
	machine_step_end(&host->machine);
	char note[32];
	snprintf(note, sizeof(note), "END %u", host->machine.step);
	if (host_note(host, note) == 0)
		run_steps(host);
}

static void run_steps(struct host *host)
{
	unsigned step = host->machine.step;
	if (step >= machine_steps(&host->machine)) {
		host_event(host, MACHINE_STEPPED, 0);
		return;
	}
	machine_step_begin(&host->machine);
	if (host_note(host, "BEGIN") < 0)
		return;
	world_say(&host->fleet->world, "host %zu: step %u runs", host->index, step);
	check_step(&host->fleet->check, host->index, host->plan.deployment,
		host->machine.state == S(SERVING), step);
	later(host, STEP_MS, on_step);
}

/* ---- a decision about a host that is held ---- */

static struct command decide(struct host *host)
{
	static const enum machine_event decisions[] = {
		MACHINE_RESOLVE_DONE, MACHINE_RESOLVE_REDO, MACHINE_RESOLVE_UNDO};
	struct world *world = &host->fleet->world;
	return (struct command){
		.action = FAIRLEAD__V1__ACTION__ACTION_UNSPECIFIED,
		.deployment = host->plan.deployment,
		.sequence = replay_last_sequence(&host->replay, "app", "sim") + 1,
		.not_before_unix_ms = host_now(host),
		.expires_unix_ms = host_now(host) + ENVELOPE_LIFETIME_MS,
		.decision = decisions[world_random(world, ARRAY_LEN(decisions))],
	};
}

static void on_decision(void *user, uint64_t act)
{
	struct host *host = user;
	if (host->act != act || !machine_is_held(host->machine.state))
		return;
	struct command command = decide(host);
	world_count(&host->fleet->world, TALLY_DECISIONS);
	world_say(&host->fleet->world, "operator: host %zu, %s", host->index,
		machine_event_name(command.decision));
	host_command(host, 0, &command);
}

static void hold(struct host *host)
{
	world_count(&host->fleet->world, TALLY_HELD);
	later(host, DECISION_MS, on_decision);
}

/* ---- the end ---- */

static void end(struct host *host)
{
	static const enum tally tallies[MACHINE_STATE_COUNT] = {
		[S(COMMITTED)] = TALLY_COMMITTED,
		[S(ABORTED)] = TALLY_ABORTED,
		[S(ROLLED_BACK)] = TALLY_ROLLED_BACK,
		[S(FAILED_SAFE)] = TALLY_FAILED_SAFE,
	};
	host_tell(host);
	if (host_note(host, "CONCLUDED") < 0)
		return;
	world_count(&host->fleet->world, tallies[host->machine.state]);
	host->last = host->plan.deployment;
	host->last_state = host->machine.state;
	host->work = HOST_FREE;
	host->waiter_count = 0;
	host->alarm++;
}

/* Only where a command is waited for, or a decision. */
static void wait(struct host *host)
{
	Fairlead__V1__State state = host->machine.state;
	if (machine_is_held(state))
		hold(host); /* before a restart, too */
	else if (state != S(PREPARED) && state != S(HEALTHY))
		world_wrong(&host->fleet->world, "host %zu: is %s, and nobody is at work",
			host->index, machine_state_name(state));
}

void host_act(struct host *host, enum machine_act act)
{
	static void (*const acts[MACHINE_ACT_COUNT])(struct host *) = {
		[MACHINE_ACT_WAIT] = wait,
		[MACHINE_ACT_FETCH] = fetch,
		[MACHINE_ACT_STAGE] = stage,
		[MACHINE_ACT_CHECK] = check_services,
		[MACHINE_ACT_STEPS] = run_steps,
		[MACHINE_ACT_SWITCH] = switch_over,
		[MACHINE_ACT_WATCH] = watch,
		[MACHINE_ACT_HOLD] = hold,
		[MACHINE_ACT_UNDO] = undo,
		[MACHINE_ACT_END] = end,
	};
	acts[act](host);
}
