/* The shell of a simulated host: what deployment.c does around the machine. */
#include "host.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "fleet.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

void host_init(struct host *host, struct fleet *fleet, size_t index)
{
	char name[32];
	*host = (struct host){.fleet = fleet, .index = index, .dirfd = -1};
	snprintf(name, sizeof(name), "host%zu", index);
	mkdirat(fleet->dirfd, name, 0700);
	host->dirfd = openat(fleet->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unlinkat(host->dirfd, "journal", 0);
}

void host_release(struct host *host)
{
	journal_close(TAKE(host->journal));
	replay_release(&host->replay);
	if (host->dirfd >= 0)
		close(TAKE_FD(host->dirfd));
}

void host_jump_clock(struct host *host, int64_t skew_ms)
{
	world_count(&host->fleet->world, TALLY_CLOCK_JUMPS);
	world_say(&host->fleet->world, "host %zu: the clock jumps, now %+lld ms", host->index,
		(long long)skew_ms);
	host->skew_ms = skew_ms;
}

/* ---- the deadline: a timer, armed by the clock on the wall ---- */

static void on_alarm(void *user, uint64_t alarm)
{
	struct host *host = user;
	if (host->alarm == alarm && host->work == HOST_BUSY)
		host_event(host, MACHINE_DEADLINE, 0);
}

void host_arm(struct host *host)
{
	uint64_t deadline = host->machine.deadline_unix_ms, now = host_now(host);
	host->alarm++;
	if (deadline)
		world_after(&host->fleet->world, deadline > now ? deadline - now : 0, on_alarm,
			host, host->alarm);
}

/* ---- moves ---- */

void host_event(struct host *host, enum machine_event event, uint64_t sequence)
{
	struct world *world = &host->fleet->world;
	struct machine after = host->machine;
	struct machine_move move;
	if (machine_step(&after, event, host_now(host), &move) == MACHINE_REFUSED) {
		world_say(world, "host %zu: %s means nothing in %s", host->index,
			machine_event_name(event), machine_state_name(host->machine.state));
		return;
	}
	host->machine = after;
	host->act++;
	world_say(world, "host %zu: %s -> %s (%s)", host->index, machine_state_name(move.from),
		machine_state_name(move.to), machine_event_name(event));
	if (host_journal(host, event, sequence) < 0)
		return;
	host_arm(host);
	if (!machine_is_final(move.to))
		host_tell(host);
	host_act(host, move.act);
}

/* ---- answers ---- */

static bool is_cancelled(const struct host *host, uint64_t deployment)
{
	return deployment &&
	       check_deployment(&host->fleet->check, deployment)->hosts[host->index].cancelled;
}

static struct answer describe(const struct host *host)
{
	bool busy = host->work == HOST_BUSY;
	return (struct answer){
		.deployment = busy ? host->plan.deployment : host->last,
		.state = busy ? host->machine.state : host->last_state,
		.current = busy ? host->plan.from : host->current,
		.last_sequence = replay_last_sequence(&host->replay, "app", "sim"),
		.running = busy ? host->plan.deployment : 0,
		.running_state = host->machine.state,
		.last = host->last,
		.last_state = host->last_state,
		.running_cancelled = busy && is_cancelled(host, host->plan.deployment),
		.last_cancelled = is_cancelled(host, host->last),
	};
}

static void refuse(
	struct host *host, uint64_t link, const struct command *command, enum err_code error)
{
	struct answer answer = describe(host);
	answer.call = command->call;
	answer.error = error;
	net_answer(&host->fleet->net, host->index, link, &answer);
}

/* The state that answers a call, as in agent/core/handlers.c. */
static Fairlead__V1__State goal_of(Fairlead__V1__Action action)
{
	if (action == FAIRLEAD__V1__ACTION__ACTION_ACTIVATE)
		return S(HEALTHY);
	if (action == FAIRLEAD__V1__ACTION__ACTION_CONFIRM)
		return S(COMMITTED);
	return action == FAIRLEAD__V1__ACTION__ACTION_PREPARE ? S(PREPARED) : S(ABORTED);
}

/* True: it has its answer. */
static bool satisfy(struct host *host, const struct host_waiter *waiter, Fairlead__V1__State state)
{
	if (state != goal_of(waiter->action) && !machine_is_final(state))
		return false;
	bool failed =
		waiter->action == FAIRLEAD__V1__ACTION__ACTION_PREPARE && state != S(PREPARED);
	struct answer answer = describe(host);
	answer.call = waiter->call;
	answer.state = state;
	answer.error = failed ? ERR_FAILED : ERR_NONE;
	net_answer(&host->fleet->net, host->index, waiter->link, &answer);
	return true;
}

void host_tell(struct host *host)
{
	struct answer event = describe(host);
	size_t kept = 0;
	for (size_t i = 0; i < host->waiter_count; i++)
		if (!satisfy(host, &host->waiters[i], event.state))
			host->waiters[kept++] = host->waiters[i];
	host->waiter_count = kept;
	net_event(&host->fleet->net, host->index, &event);
}

static void wait_for(struct host *host, uint64_t link, const struct command *command)
{
	if (host->waiter_count < HOST_WAITERS)
		host->waiters[host->waiter_count++] =
			(struct host_waiter){link, command->call, command->action};
}

void host_lost(struct host *host, uint64_t link)
{
	size_t kept = 0;
	bool sends = false; /* the bundle came over this link */
	for (size_t i = 0; i < host->waiter_count; i++) {
		if (host->waiters[i].link == link)
			sends |= host->waiters[i].action == FAIRLEAD__V1__ACTION__ACTION_PREPARE;
		else
			host->waiters[kept++] = host->waiters[i];
	}
	host->waiter_count = kept;
	if (sends && host->work == HOST_BUSY && host->machine.state == S(ACCEPTED))
		host_event(host, MACHINE_FAIL, 0);
}

/* ---- commands ---- */

static enum replay_verdict judge(const struct host *host, const struct command *command)
{
	const struct policy_signer signer = {.name = pb_str("ci")};
	Fairlead__V1__Command inner = FAIRLEAD__V1__COMMAND__INIT;
	struct envelope envelope = {.command = &inner, .signer = &signer};
	struct err err = ERR_INIT;
	uint8_t id[16] = {0};
	put_u64(id, command->deployment);
	inner.app = pb_str("app");
	inner.environment = pb_str("sim");
	inner.action = command->action;
	inner.deployment_id = pb_borrow(id, sizeof(id));
	inner.sequence = command->sequence;
	struct digest digest = command_digest(command);
	memcpy(envelope.command_digest, digest.bytes, DIGEST_SIZE);
	return replay_check(&host->replay, &envelope, &err);
}

static void remember(struct host *host, uint64_t deployment, uint64_t sequence,
	const uint8_t *command_digest_bytes)
{
	uint8_t id[16] = {0};
	put_u64(id, deployment);
	replay_record(
		&host->replay, "app", "sim", sequence, BYTES(id, sizeof(id)), command_digest_bytes);
}

static void begin(struct host *host, uint64_t link, const struct command *command)
{
	if (host->work == HOST_BUSY) {
		refuse(host, link, command, ERR_LOCKED);
		return;
	}
	if (command->from != host->current) {
		refuse(host, link, command, ERR_PREFLIGHT);
		return;
	}
	host->plan = *command;
	host->work = HOST_BUSY;
	check_deployment(&host->fleet->check, command->deployment)->hosts[host->index].from =
		command->from;
	machine_init(&host->machine, &command->plan);
	wait_for(host, link, command);
	uint64_t life = host->lives;
	host_event(host, MACHINE_ACCEPT, command->sequence);
	struct digest digest = command_digest(command);
	if (host->lives == life)
		remember(host, command->deployment, command->sequence, digest.bytes);
}

static void prepare(struct host *host, uint64_t link, const struct command *command)
{
	enum replay_verdict verdict = judge(host, command);
	struct host_waiter waiter = {link, command->call, command->action};
	if (verdict == REPLAY_NEW)
		begin(host, link, command);
	else if (verdict != REPLAY_REPEAT)
		refuse(host, link, command, ERR_AUTH);
	else if (host->work == HOST_BUSY && host->plan.deployment == command->deployment)
		refuse(host, link, command, ERR_LOCKED);
	else if (host->last != command->deployment || !satisfy(host, &waiter, host->last_state))
		refuse(host, link, command, ERR_NOT_FOUND);
}

static enum machine_event event_of(const struct command *command)
{
	if (command->action == FAIRLEAD__V1__ACTION__ACTION_ACTIVATE)
		return MACHINE_ACTIVATE;
	if (command->action == FAIRLEAD__V1__ACTION__ACTION_CONFIRM)
		return MACHINE_CONFIRM;
	return command->action == FAIRLEAD__V1__ACTION__ACTION_ABORT ? MACHINE_ABORT
								     : command->decision;
}

static void go_on(struct host *host, uint64_t link, const struct command *command)
{
	enum machine_event event = event_of(command);
	struct host_waiter waiter = {link, command->call, command->action};
	if (machine_is_on_its_way(host->machine.state, event)) {
		if (!satisfy(host, &waiter, host->machine.state))
			wait_for(host, link, command);
		return;
	}
	if (!machine_rule(host->machine.state, event)) {
		refuse(host, link, command, ERR_PREFLIGHT);
		return;
	}
	wait_for(host, link, command);
	uint64_t life = host->lives;
	host_event(host, event, command->sequence);
	if (host->lives == life)
		remember(host, command->deployment, command->sequence, NULL);
}

static void change(struct host *host, uint64_t link, const struct command *command)
{
	struct host_waiter waiter = {link, command->call, command->action};
	if (judge(host, command) != REPLAY_NEW)
		refuse(host, link, command, ERR_AUTH);
	else if (host->work == HOST_BUSY && host->plan.deployment == command->deployment)
		go_on(host, link, command);
	else if (host->last != command->deployment || !satisfy(host, &waiter, host->last_state))
		refuse(host, link, command, ERR_NOT_FOUND);
}

/* As common/trust/envelope.c judges it. */
static bool is_timely(const struct host *host, const struct command *command)
{
	uint64_t now = host_now(host);
	return command->not_before_unix_ms <= now + ENVELOPE_SKEW_MS &&
	       now <= command->expires_unix_ms + ENVELOPE_SKEW_MS;
}

void host_command(struct host *host, uint64_t link, const struct command *command)
{
	if (!is_timely(host, command))
		refuse(host, link, command, ERR_AUTH);
	else if (command->action == ACTION_ASK)
		refuse(host, link, command, ERR_NONE);
	else if (command->action == FAIRLEAD__V1__ACTION__ACTION_PREPARE)
		prepare(host, link, command);
	else
		change(host, link, command);
}

/* ---- a command out of turn ---- */

/* Signed as it must be, by somebody who is mistaken about where the host is. */
void host_mislead(struct host *host)
{
	static const struct {
		Fairlead__V1__Action action;
		enum machine_event decision;
		Fairlead__V1__State turn; /* in which it would be right */
	} commands[] = {
		{FAIRLEAD__V1__ACTION__ACTION_CONFIRM, 0, S(HEALTHY)},
		{FAIRLEAD__V1__ACTION__ACTION_ACTIVATE, 0, S(PREPARED)},
		{FAIRLEAD__V1__ACTION__ACTION_UNSPECIFIED, MACHINE_RESOLVE_DONE, S(HELD_AFTER)},
		{FAIRLEAD__V1__ACTION__ACTION_UNSPECIFIED, MACHINE_RESOLVE_UNDO, S(HELD_BEFORE)},
	};
	struct fleet *fleet = host->fleet;
	size_t i = world_random(&fleet->world, ARRAY_LEN(commands));
	struct command command = {
		.action = commands[i].action,
		.decision = commands[i].decision,
		.deployment = host->plan.deployment,
		.sequence = replay_last_sequence(&host->replay, "app", "sim") + 1,
		.not_before_unix_ms = host_now(host),
		.expires_unix_ms = host_now(host) + ENVELOPE_LIFETIME_MS,
	};
	if (host->life == HOST_DOWN || host->work == HOST_FREE ||
		machine_is_held(host->machine.state) || host->machine.state == commands[i].turn)
		return;
	world_count(&fleet->world, TALLY_MISLED);
	world_say(&fleet->world, "host %zu: is told to %s while it is %s", host->index,
		machine_event_name(event_of(&command)), machine_state_name(host->machine.state));
	host_command(host, 0, &command);
}
