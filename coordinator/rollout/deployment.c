#include "coordinator/rollout/deployment_impl.h"

#include "common/base/mem.h"
#include "common/os/clock.h"
#include "coordinator/rollout/background.h"

#include <poll.h>
#include <unistd.h>

enum { TICK_MS = 100 };

/* ---- the engine's wishes ---- */

static void act(struct deployment *d, size_t index, enum rollout_verb verb)
{
	struct deployment_target *target = &d->targets[index];
	if (verb == ROLLOUT_PREPARE && index != d->leader && !d->leader_spoke) {
		target->held = true;
	} else if (target->held) {
		/* Never asked, so there is nothing to abort. */
		target->held = false;
		target_tell(target, ROLLOUT_ON_ABORTED);
	} else {
		target_ask(target, verb);
	}
}

static void drain(struct deployment *d)
{
	struct rollout_action action;
	while (rollout_next(d->engine, &action)) {
		if (action.verb == ROLLOUT_FINISH)
			d->finished = true;
		else
			act(d, action.host, action.verb);
	}
}

/* After drain: who is held still has not been aborted. */
static void release_held(struct deployment *d)
{
	for (size_t i = 0; i < d->count; i++) {
		struct deployment_target *target = &d->targets[i];
		if (!target->held)
			continue;
		target->held = false;
		target_ask(target, ROLLOUT_PREPARE);
	}
}

/* ---- links ---- */

static void on_lost(void *user, struct member *member, const struct err *err)
{
	(void)user;
	if (member->user)
		target_lost(member->user, err);
}

static void on_back(void *user, struct member *member)
{
	(void)user;
	if (member->user)
		target_back(member->user);
}

/* ---- the loop ---- */

static void tick(struct deployment *d)
{
	uint64_t now = clock_mono_ms();
	if (now < d->next_tick_ms)
		return;
	d->next_tick_ms = now + TICK_MS;
	for (size_t i = 0; i < d->count; i++)
		target_tick(&d->targets[i], now);
	report_tick(d->setup->report);
}

static int wait_ms(const struct deployment *d)
{
	int due = link_loop_timeout_ms(hosts_loop(d->setup->hosts));
	return due >= 0 && due < TICK_MS ? due : TICK_MS;
}

void deployment_turn(struct deployment *d)
{
	struct link_loop *loop = hosts_loop(d->setup->hosts);
	struct pollfd fds[] = {
		{.fd = link_loop_fd(loop), .events = POLLIN},
		{.fd = d->interrupt.fd, .events = POLLIN},
		{.fd = d->asking ? STDIN_FILENO : -1, .events = POLLIN},
	};
	poll(fds, ARRAY_LEN(fds), wait_ms(d));
	link_loop_dispatch(loop);
	deployment_show_news(d);
	deployment_take_interrupts(d);
	if (d->asking && (fds[2].revents & (POLLIN | POLLHUP | POLLERR)))
		deployment_take_answer(d);
	tick(d);
}

/* Has every host that goes on been heard to run the new release? */
static bool all_switched(const struct deployment *d)
{
	size_t switched = 0;
	for (size_t i = 0; i < d->count; i++) {
		const struct deployment_target *target = &d->targets[i];
		if (target_is_over(target))
			continue;
		if (!target_state_is_switched(target->host_state))
			return false;
		switched++;
	}
	return switched > 0;
}

static void run(struct deployment *d)
{
	for (;;) {
		drain(d);
		if (!d->finished && d->setup->stay == DEPLOYMENT_DETACH && all_switched(d)) {
			d->left = LEFT_DETACHED;
			d->finished = true;
		}
		if (d->finished)
			return;
		if (d->leader_spoke)
			release_held(d);
		deployment_turn(d);
	}
}

/* ---- begin and end ---- */

static int make_bundles(void *work, struct err *err)
{
	struct deployment *d = work;
	for (size_t i = 0; i < d->count; i++)
		if (target_bundle(&d->targets[i], err) < 0)
			return -1;
	return 0;
}

static int prepare_bundles(struct deployment *d, struct err *err)
{
	struct background *background = NULL;
	if (background_start(make_bundles, d, &background, err) < 0)
		return -1;
	return background_finish(background, hosts_loop(d->setup->hosts), err);
}

static size_t find_leader(const struct deployment *d)
{
	size_t leader = d->count;
	for (size_t i = 0; i < d->count; i++) {
		const struct public_key *key = &d->targets[i].host->member->host->key;
		if (d->targets[i].attachment != ATTACHED)
			continue;
		if (leader == d->count ||
			memcmp(key, &d->targets[leader].host->member->host->key, sizeof(*key)) < 0)
			leader = i;
	}
	return leader;
}

static void watch_all(struct deployment *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->targets[i].attachment == ATTACHED)
			target_watch(&d->targets[i]);
}

static void begin(struct deployment *d)
{
	char hex[DEPLOYMENT_ID_HEX_SIZE];
	hosts_on_lost(d->setup->hosts, on_lost, d);
	hosts_on_back(d->setup->hosts, on_back, d);
	for (size_t i = 0; i < d->count; i++)
		target_begin(&d->targets[i]);
	d->leader = find_leader(d);
	/* Those who were asked by another coordinator are locked for it already. */
	d->leader_spoke = d->setup->takeover != NULL;
	report_say(d->setup->report, "deployment %.12s", deployment_id_hex(d->id, hex));
	/* Before anything is asked: what is not remembered could not be taken up. */
	deployment_remember_begin(d);
	if (d->setup->aim == DEPLOYMENT_UNDO)
		rollout_interrupt(d->engine);
	rollout_start(d->engine);
	/* Watched before they are asked, so that the leader's first word comes at once. */
	if (d->setup->takeover || rollout_outcome(d->engine) == ROLLOUT_RUNNING)
		watch_all(d);
}

static void deployment_init(struct deployment *d, const struct deployment_setup *setup)
{
	const struct rollout_policy policy = {
		.strategy = setup->config->strategy,
		.max_failures = setup->config->max_failures,
		.unreachable = setup->config->unreachable,
		.on_failure = setup->config->on_failure,
	};
	d->setup = setup;
	d->count = setup->count;
	d->engine = rollout_new(&policy, setup->count);
	d->targets = xcalloc(setup->count + 1, sizeof(*d->targets));
	d->started_unix_ms = setup->takeover ? setup->takeover->started_unix_ms : clock_unix_ms();
	if (setup->takeover)
		memcpy(d->id, setup->takeover->id, sizeof(d->id));
	else
		randombytes_buf(d->id, sizeof(d->id));
	for (size_t i = 0; i < d->count; i++)
		target_init(&d->targets[i], d, &setup->targets[i], i);
}

static void deployment_release(struct deployment *d)
{
	hosts_on_lost(d->setup->hosts, NULL, NULL);
	hosts_on_back(d->setup->hosts, NULL, NULL);
	for (size_t i = 0; i < d->count; i++)
		target_release(&d->targets[i]);
	deployment_drop_news(d);
	free(d->targets);
	rollout_free(d->engine);
	ledger_free(d->ledger);
}

int deployment_run(const struct deployment_setup *setup, struct err *err)
{
	struct deployment d = {0};
	deployment_init(&d, setup);
	int status = prepare_bundles(&d, err);
	if (status == 0)
		status = interrupt_init(&d.interrupt, err);
	if (status == 0) {
		begin(&d);
		run(&d);
		if (d.left == LEFT_NOT)
			deployment_read_back(&d);
		status = deployment_conclude(&d);
		interrupt_release(&d.interrupt);
	}
	deployment_release(&d);
	return status;
}
