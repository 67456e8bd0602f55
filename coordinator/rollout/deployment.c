#include "coordinator/rollout/deployment_impl.h"

#include "common/base/mem.h"
#include "common/os/clock.h"
#include "coordinator/rollout/background.h"

#include <poll.h>

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

static void take_interrupts(struct deployment *d)
{
	unsigned count = interrupt_take(&d->interrupt);
	if (count == 0)
		return;
	d->interrupts += count;
	if (d->interrupts > 1) {
		d->left = d->finished = true;
		return;
	}
	if (rollout_interrupt(d->engine) == ROLLOUT_TAKEN)
		report_say(d->setup->report,
			"interrupted: bringing every host back (once more to leave at once)");
	else
		report_say(d->setup->report,
			"too late to abort, the hosts are being confirmed (once more to leave)");
}

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

static void run(struct deployment *d)
{
	struct link_loop *loop = hosts_loop(d->setup->hosts);
	for (;;) {
		drain(d);
		if (d->finished)
			return;
		if (d->leader_spoke)
			release_held(d);
		struct pollfd fds[] = {
			{.fd = link_loop_fd(loop), .events = POLLIN},
			{.fd = d->interrupt.fd, .events = POLLIN},
		};
		poll(fds, ARRAY_LEN(fds), wait_ms(d));
		link_loop_dispatch(loop);
		take_interrupts(d);
		tick(d);
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

static void begin(struct deployment *d)
{
	hosts_on_lost(d->setup->hosts, on_lost, d);
	hosts_on_back(d->setup->hosts, on_back, d);
	for (size_t i = 0; i < d->count; i++)
		target_begin(&d->targets[i]);
	d->leader = find_leader(d);
	rollout_start(d->engine);
	/* Watched before they are asked, so that the leader's first word comes at once. */
	for (size_t i = 0; i < d->count && rollout_outcome(d->engine) == ROLLOUT_RUNNING; i++)
		if (d->targets[i].attachment == ATTACHED)
			target_watch(&d->targets[i]);
	drain(d);
	/* Only now: the hosts are at work while the ledger writes. */
	deployment_remember_begin(d);
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
	d->started_unix_ms = clock_unix_ms();
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
		status = deployment_conclude(&d);
		interrupt_release(&d.interrupt);
	}
	deployment_release(&d);
	return status;
}
