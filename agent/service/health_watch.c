#include "agent/service/health_watch.h"

#include "common/base/mem.h"
#include "common/os/clock.h"

/* So long a verdict waits for answers under way: they tell who is at the port of a dead service. */
enum { LAST_ANSWER_MS = 500 };

/* ---- the end of a watch ---- */

void health_watch_free_if_done(struct health_watch *watch)
{
	if (!watch->timer_closed || watch->asking_status)
		return;
	free(watch->checks);
	free(watch);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct health_watch *watch = handle->data;
	watch->timer_closed = 1;
	health_watch_free_if_done(watch);
}

static void end(struct health_watch *watch)
{
	struct health_watch **at = &watch->prober->watches;
	while (*at != watch)
		at = &(*at)->next;
	*at = watch->next;
	watch->phase = WATCH_ENDED;
	for (size_t i = 0; i < watch->count; i++)
		health_ask_cancel(&watch->checks[i]);
	uv_close((uv_handle_t *)&watch->timer, on_timer_closed);
}

void health_watch_cancel(struct health_watch *watch)
{
	if (watch)
		end(watch);
}

void health_watch_decide(struct health_watch *watch, const struct err *verdict)
{
	if (watch->phase != WATCH_OPEN)
		return;
	watch->phase = WATCH_DECIDED;
	watch->verdict = *verdict;
	watch->tell_at_ms = clock_mono_ms();
}

static void explain_loss(struct health_watch *watch)
{
	AUTO(buf) struct buf held = {0};
	const char *name = watch->subject.plan->name;
	for (size_t i = 0; i < watch->count && held.len == 0; i++)
		health_ask_name_holder(&watch->checks[i], &held);
	if (held.len)
		err_hint(&watch->verdict,
			"Now %s: if it should be the service's, end that process or use another "
			"port. Read what the service wrote: fairlead logs %s.",
			buf_str(&held), name);
	else
		err_hint(&watch->verdict, "Read what it wrote: fairlead logs %s.", name);
}

void health_watch_lost(struct health_watch *watch, const char *words)
{
	struct err err = ERR_INIT;
	err_set(&err, ERR_FAILED, "%s", words);
	health_watch_decide(watch, &err);
	watch->is_lost = 1;
	watch->tell_at_ms += LAST_ANSWER_MS;
}

static void decide_failed(const struct check *check)
{
	struct health_watch *watch = check->watch;
	AUTO(buf) struct buf what = {0};
	struct err err = ERR_INIT;
	AUTO(buf) struct buf held = {0};
	if (watch->phase != WATCH_OPEN)
		return;
	health_ask_describe(check->probe, &what);
	health_ask_name_holder(check, &held);
	err_set(&err, ERR_FAILED, "%s failed: %s%s%s", buf_str(&what), check->answer,
		held.len ? "; " : "", held.len ? buf_str(&held) : "");
	err_hint(&err, "Read what it wrote: fairlead logs %s.", watch->subject.plan->name);
	watch->failed = check;
	health_watch_decide(watch, &err);
}

/* ---- what follows from an answer ---- */

void health_watch_follow(struct check *check, struct health_step step)
{
	uint64_t now = clock_mono_ms();
	if (step.action == HEALTH_ASK) {
		health_ask_cancel(check); /* what was under way was too late */
		step = health_ask(check) == 0
			       ? health_tick(&check->health, now)
			       : health_answered(&check->health, HEALTH_ANSWER_BAD, now);
	}
	check->wake_ms = step.action == HEALTH_WAIT ? step.until_ms : UINT64_MAX;
	if (step.action == HEALTH_GAVE_UP)
		decide_failed(check);
}

void health_watch_answer(struct check *check, enum health_answer answer)
{
	check->request = 0;
	health_watch_follow(check, health_answered(&check->health, answer, clock_mono_ms()));
}

int health_watch_all_passed(const struct health_watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		if (watch->checks[i].health.phase != HEALTH_PASSED)
			return 0;
	return 1;
}

/* ---- the timer ---- */

static void on_timer(uv_timer_t *timer);

static int waits_for_answer(const struct health_watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		if (health_ask_waits(&watch->checks[i]))
			return 1;
	return 0;
}

void health_watch_schedule(struct health_watch *watch)
{
	if (watch->phase == WATCH_ENDED)
		return;
	if (watch->phase == WATCH_OPEN && watch->want_status)
		health_process_ask(watch);
	uint64_t now = clock_mono_ms();
	/* The answer under way schedules anew. A timer that is due meanwhile would come again at
	 * once, and libuv reads nothing between timers that are due. */
	uint64_t wake = watch->asking_status ? UINT64_MAX : watch->guard_at_ms;
	for (size_t i = 0; i < watch->count; i++)
		if (watch->checks[i].wake_ms < wake)
			wake = watch->checks[i].wake_ms;
	if (watch->phase == WATCH_DECIDED)
		wake = waits_for_answer(watch) ? watch->tell_at_ms : now;
	uint64_t wait = wake <= now ? 0 : wake - now;
	uv_update_time(watch->subject.context->loop);
	uv_timer_start(&watch->timer, on_timer, wait, 0);
}

static void tell(struct health_watch *watch)
{
	if (watch->is_lost)
		explain_loss(watch);
	struct err verdict = watch->verdict;
	health_done_fn *done = watch->done;
	void *user = watch->user;
	end(watch);
	done(user, &verdict);
}

static void on_timer(uv_timer_t *timer)
{
	struct health_watch *watch = timer->data;
	if (watch->phase == WATCH_DECIDED) {
		tell(watch);
		return;
	}
	uint64_t now = clock_mono_ms();
	for (size_t i = 0; i < watch->count; i++) {
		struct check *check = &watch->checks[i];
		if (now < check->wake_ms)
			continue;
		if (check->health.asking) {
			snprintf(check->answer, sizeof(check->answer), "no answer in time");
			check->latency_us = 0;
		}
		health_watch_follow(check, health_tick(&check->health, now));
	}
	if (!watch->asking_status && now >= watch->guard_at_ms)
		watch->want_status = 1;
	health_watch_schedule(watch);
}

/* ---- beginning ---- */

static const Fairlead__V1__Probe *default_probe(void)
{
	static Fairlead__V1__RunningProbe running = FAIRLEAD__V1__RUNNING_PROBE__INIT;
	static Fairlead__V1__Probe probe = FAIRLEAD__V1__PROBE__INIT;
	running.min_ms = 1000;
	probe.running = &running;
	probe.interval_ms = 200;
	return &probe;
}

static void begin(struct health_watch *watch, struct check *check, const Fairlead__V1__Probe *probe)
{
	uint64_t now = clock_mono_ms();
	struct health_rule rule = {
		.start_period_ms = probe->start_period_ms,
		.interval_ms = probe->interval_ms,
		.timeout_ms = probe->timeout_ms,
		.min_healthy_ms = probe->min_healthy_ms,
		.retries = probe->retries,
	};
	if (probe->running) {
		/* The driver keeps its own time, and answers always. */
		rule.timeout_ms = 0;
		if (probe->running->min_ms > rule.min_healthy_ms)
			rule.min_healthy_ms = probe->running->min_ms;
	}
	*check = (struct check){.watch = watch, .probe = probe, .wake_ms = now};
	health_init(&check->health, &rule, now);
}

struct health_watch *health_watch_start(struct prober *prober, const struct health_subject *subject,
	health_done_fn *done, void *user)
{
	const Fairlead__V1__ServicePlan *plan = subject->plan;
	struct health_watch *watch = xcalloc(1, sizeof(*watch));
	watch->prober = prober;
	watch->subject = *subject;
	watch->done = done;
	watch->user = user;
	watch->count = plan->n_probes ? plan->n_probes : 1;
	watch->checks = xcalloc(watch->count, sizeof(*watch->checks));
	for (size_t i = 0; i < watch->count; i++)
		begin(watch, &watch->checks[i], plan->n_probes ? plan->probes[i] : default_probe());
	watch->guard_at_ms = clock_mono_ms();
	uv_timer_init(prober->loop, &watch->timer);
	watch->timer.data = watch;
	watch->next = prober->watches;
	prober->watches = watch;
	health_watch_schedule(watch);
	return watch;
}
