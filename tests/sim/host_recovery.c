/* A simulated host starts: what its journal says is taken up, as deployment_recovery.c does. */
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "fleet.h"

#include <stdio.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

/* What one record says of the newest deployment. */
static int on_record(
	void *user, uint64_t number, const Fairlead__V1__JournalRecord *record, struct err *err)
{
	struct host *host = user;
	struct machine *machine = &host->machine;
	const Fairlead__V1__Accepted *accepted = record->accepted;
	(void)number;
	(void)err;
	uint64_t deployment = get_u64(record->deployment_id.data);
	replay_record(&host->replay, "app", "sim", record->sequence,
		PB_BYTES(record->deployment_id), accepted ? accepted->command_digest.data : NULL);
	if (accepted) {
		const struct check_deployment *known =
			check_deployment(&host->fleet->check, deployment);
		host->plan = known->plan;
		host->plan.from = known->hosts[host->index].from;
		host->work = HOST_BUSY;
		machine_init(machine, &host->plan.plan);
	}
	unsigned step = machine->step;
	if (strcmp(record->step, "RECOVERED") == 0) {
		machine->recoveries++;
	} else if (strcmp(record->step, "BEGIN") == 0) {
		machine_step_begin(machine);
	} else if (sscanf(record->step, "END %u", &step) == 1) {
		machine_step_end(machine);
		machine->step = step;
	} else if (strcmp(record->step, "CONCLUDED") == 0) {
		host->work = HOST_FREE;
		host->last = host->plan.deployment;
		host->last_state = machine->state;
	} else if (sscanf(record->step, "AT %u", &step) == 1) {
		machine->state = record->state;
		machine->deadline_unix_ms = record->deadline_unix_ms;
		machine->recoveries = 0;
		machine->step = step;
		if (!machine_is_held(record->state))
			machine->mark = MACHINE_MARK_NONE;
	}
	return 0;
}

static bool is_once(const struct host *host)
{
	bool after = host->machine.state == S(SERVING) || host->machine.state == S(HELD_AFTER);
	unsigned steps = after ? host->plan.once_after : host->plan.once_before;
	return steps >> host->machine.step & 1;
}

static void take_up(struct host *host)
{
	struct machine_evidence evidence = {
		.current = host->current == host->plan.to ? MACHINE_ON_NEW : MACHINE_ON_OLD,
		.class_ = is_once(host) ? MACHINE_STEP_ONCE : MACHINE_STEP_AGAIN,
	};
	world_say(&host->fleet->world, "host %zu: takes up a deployment that was %s", host->index,
		machine_state_name(host->machine.state));
	host_arm(host);
	struct machine_decision decision = machine_recover(&host->machine, &evidence);
	if (host->machine.recoveries > MACHINE_RECOVERIES_MAX)
		world_wrong(&host->fleet->world, "host %zu: %s is taken up %u times", host->index,
			machine_state_name(host->machine.state), host->machine.recoveries);
	if (decision.kind == MACHINE_DECIDE_WAIT)
		host_act(host, MACHINE_ACT_WAIT);
	else if (decision.kind == MACHINE_DECIDE_EVENT)
		host_event(host, decision.event, 0);
	else if (decision.kind == MACHINE_DECIDE_CONCLUDE)
		host_act(host, decision.act);
	else if (decision.kind == MACHINE_DECIDE_REFUSE)
		world_wrong(&host->fleet->world, "host %zu: %s cannot be recovered from",
			host->index, machine_state_name(host->machine.state));
	else if (host_note(host, "RECOVERED") == 0)
		host_act(host, decision.act);
}

void host_start(struct host *host)
{
	struct world *world = &host->fleet->world;
	struct err err = ERR_INIT;
	host->life = HOST_UP;
	host->lives++;
	if (journal_open(host->dirfd, "journal", on_record, host, &host->journal, &err) != 0) {
		world_wrong(world, "host %zu: %s", host->index, err.message);
		return;
	}
	world_say(world, "host %zu: the agent starts", host->index);
	check_recovered(&host->fleet->check, host->index, host->plan.deployment,
		host->machine.state, replay_last_sequence(&host->replay, "app", "sim"));
	if (host->work == HOST_BUSY)
		take_up(host);
}
