#include "agent/service/prober.h"

#include "agent/service/health.h"
#include "agent/service/listener.h"
#include "agent/service/probe_worker.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "common/os/clock.h"

#include <inttypes.h>

/* The process itself is looked at this often beside its probes, doubling. */
enum { GUARD_FIRST_MS = 50, GUARD_MAX_MS = 1000 };
/* So long a verdict waits for answers under way: they tell who is at the port of a dead service. */
enum { LAST_ANSWER_MS = 500 };
enum { ANSWER_SIZE = 513 };

struct prober {
	struct probe_worker *worker;
	struct health_watch *watches;
	uv_loop_t *loop;
	uint64_t last_request;
};

/* One probe of a watch. */
struct one {
	const Fairlead__V1__Probe *probe;
	struct health health;
	uint64_t wake_ms;
	uint64_t request; /* under way in the worker; 0: none */
	char answer[ANSWER_SIZE];
	/* What the last answer that had any connected to; empty: none yet. */
	char peer[INET6_ADDRSTRLEN];
	unsigned peer_port;
};

struct health_watch {
	struct prober *prober;
	struct health_watch *next;
	const struct service_context *context;
	const Fairlead__V1__ServicePlan *plan;
	health_done_fn *done;
	void *user;
	uv_timer_t timer;
	struct one *probes;
	size_t count;

	/* The process, from the driver's status. */
	int asking_status; /* an operation that cannot be called back */
	int want_status;
	uint64_t guard_at_ms;
	uint64_t guard_pause_ms;
	int64_t pid; /* 0: not seen yet */
	int seen;
	uint32_t restarts_before; /* when it was first seen */

	enum { WATCH_OPEN, WATCH_DECIDED, WATCH_ENDED } phase;
	int timer_closed;
	struct err verdict;
	int is_lost;
	uint64_t tell_at_ms; /* of DECIDED: at the latest */
};

static const Fairlead__V1__Probe *default_probe(void)
{
	static Fairlead__V1__RunningProbe running = FAIRLEAD__V1__RUNNING_PROBE__INIT;
	static Fairlead__V1__Probe probe = FAIRLEAD__V1__PROBE__INIT;
	running.min_ms = 1000;
	probe.running = &running;
	probe.interval_ms = 200;
	return &probe;
}

/* ---- the end of a watch ---- */

static void free_if_done(struct health_watch *watch)
{
	if (!watch->timer_closed || watch->asking_status)
		return;
	free(watch->probes);
	free(watch);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct health_watch *watch = handle->data;
	watch->timer_closed = 1;
	free_if_done(watch);
}

static void end(struct health_watch *watch)
{
	struct health_watch **at = &watch->prober->watches;
	while (*at != watch)
		at = &(*at)->next;
	*at = watch->next;
	watch->phase = WATCH_ENDED;
	uv_close((uv_handle_t *)&watch->timer, on_timer_closed);
}

void health_watch_cancel(struct health_watch *watch)
{
	if (watch)
		end(watch);
}

/* The caller hears of it from the timer, never in the middle of our walk over the watches. */
static void decide(struct health_watch *watch, const struct err *verdict)
{
	if (watch->phase != WATCH_OPEN)
		return;
	watch->phase = WATCH_DECIDED;
	watch->verdict = *verdict;
	watch->tell_at_ms = clock_mono_ms();
}

static void name_holder(const struct health_watch *watch, const struct one *one, struct buf *out)
{
	if (one->peer[0])
		listener_describe((pid_t)watch->pid, one->peer, one->peer_port, out);
}

static void explain_loss(struct health_watch *watch)
{
	AUTO(buf) struct buf held = {0};
	for (size_t i = 0; i < watch->count && held.len == 0; i++)
		name_holder(watch, &watch->probes[i], &held);
	if (held.len)
		err_hint(&watch->verdict,
			"Now %s: if it should be the service's, end that process or use another "
			"port. Read what the service wrote: fairlead logs %s.",
			buf_str(&held), watch->plan->name);
	else
		err_hint(&watch->verdict, "Read what it wrote: fairlead logs %s.",
			watch->plan->name);
}

/* The process has ended for good; a probe of `running` may have said so already. */
static void decide_lost(struct health_watch *watch, const char *words)
{
	struct err err = ERR_INIT;
	err_set(&err, ERR_FAILED, "%s", words);
	decide(watch, &err);
	watch->is_lost = 1;
	watch->tell_at_ms += LAST_ANSWER_MS;
}

static void describe(const Fairlead__V1__Probe *probe, struct buf *out)
{
	if (probe->http)
		buf_printf(out, "http probe of %s", probe->http->url);
	else if (probe->tcp)
		buf_printf(out, "tcp probe of %s:%u", probe->tcp->host, probe->tcp->port);
	else
		buf_append_str(out, "running");
}

static void decide_failed(struct health_watch *watch, const struct one *one)
{
	AUTO(buf) struct buf what = {0};
	struct err err = ERR_INIT;
	AUTO(buf) struct buf held = {0};
	describe(one->probe, &what);
	name_holder(watch, one, &held);
	err_set(&err, ERR_FAILED, "%s failed: %s%s%s", buf_str(&what), one->answer,
		held.len ? "; " : "", held.len ? buf_str(&held) : "");
	err_hint(&err, "Read what it wrote: fairlead logs %s.", watch->plan->name);
	decide(watch, &err);
}

/* ---- asking ---- */

static int ask(struct health_watch *watch, struct one *one)
{
	if (one->probe->running) {
		watch->want_status = 1;
		return 0;
	}
	struct err err = ERR_INIT;
	uint64_t request = ++watch->prober->last_request;
	if (probe_worker_ask(watch->prober->worker, request, one->probe, &err) < 0) {
		snprintf(one->answer, sizeof(one->answer), "%s", err.message);
		return -1;
	}
	one->request = request;
	return 0;
}

static void follow(struct health_watch *watch, struct one *one, struct health_step step)
{
	uint64_t now = clock_mono_ms();
	if (step.action == HEALTH_ASK) {
		/* What was under way was too late; its answer will not be known any more. */
		one->request = 0;
		step = ask(watch, one) == 0 ? health_tick(&one->health, now)
					    : health_answered(&one->health, HEALTH_ANSWER_BAD, now);
	}
	one->wake_ms = step.action == HEALTH_WAIT ? step.until_ms : UINT64_MAX;
	if (step.action == HEALTH_GAVE_UP)
		decide_failed(watch, one);
}

static void answer(struct health_watch *watch, struct one *one, enum health_answer answer)
{
	one->request = 0;
	follow(watch, one, health_answered(&one->health, answer, clock_mono_ms()));
}

static int all_passed(const struct health_watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		if (watch->probes[i].health.phase != HEALTH_PASSED)
			return 0;
	return 1;
}

static void on_status(void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err);

static void ask_status(struct health_watch *watch)
{
	if (watch->asking_status || watch->phase != WATCH_OPEN)
		return;
	uint64_t now = clock_mono_ms();
	watch->want_status = 0;
	watch->guard_pause_ms = watch->guard_pause_ms ? 2 * watch->guard_pause_ms : GUARD_FIRST_MS;
	if (watch->guard_pause_ms > GUARD_MAX_MS)
		watch->guard_pause_ms = GUARD_MAX_MS;
	watch->guard_at_ms = now + watch->guard_pause_ms;
	const struct service_ops *ops = service_ops_find(watch->plan->driver);
	struct err err = ERR_INIT;
	if (!ops)
		err_set(&err, ERR_CONFIG, "this agent has no driver '%s'", watch->plan->driver);
	else if (ops->status(watch->context, watch->plan, on_status, watch, &err) == 0)
		watch->asking_status = 1;
	if (err.code != ERR_NONE)
		decide(watch, &err);
}

static void on_timer(uv_timer_t *timer);

static int waits_for_answer(const struct health_watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		if (watch->probes[i].request)
			return 1;
	return 0;
}

/* Set the timer to the next thing to do. */
static void schedule(struct health_watch *watch)
{
	if (watch->phase == WATCH_ENDED)
		return;
	if (watch->phase == WATCH_OPEN && watch->want_status)
		ask_status(watch);
	uint64_t now = clock_mono_ms();
	uint64_t wake = watch->guard_at_ms;
	for (size_t i = 0; i < watch->count; i++)
		if (watch->probes[i].wake_ms < wake)
			wake = watch->probes[i].wake_ms;
	if (watch->phase == WATCH_DECIDED)
		wake = waits_for_answer(watch) ? watch->tell_at_ms : now;
	uint64_t wait = wake <= now ? 0 : wake - now;
	uv_update_time(watch->context->loop);
	uv_timer_start(&watch->timer, on_timer, wait, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct health_watch *watch = timer->data;
	if (watch->phase == WATCH_DECIDED) {
		if (watch->is_lost)
			explain_loss(watch);
		struct err verdict = watch->verdict;
		health_done_fn *done = watch->done;
		void *user = watch->user;
		end(watch);
		done(user, &verdict);
		return;
	}
	uint64_t now = clock_mono_ms();
	for (size_t i = 0; i < watch->count; i++) {
		struct one *one = &watch->probes[i];
		if (now < one->wake_ms)
			continue;
		if (one->health.asking)
			snprintf(one->answer, sizeof(one->answer), "no answer in time");
		follow(watch, one, health_tick(&one->health, now));
	}
	if (now >= watch->guard_at_ms)
		watch->want_status = 1;
	schedule(watch);
}

/* ---- the process ---- */

enum process_verdict { PROCESS_FINE, PROCESS_NOT_NOW, PROCESS_LOST };

/* Whether the process is up, and the words for it. */
static enum process_verdict look(struct health_watch *watch,
	const Fairlead__V1__ServiceStatus *status, char words[static ANSWER_SIZE])
{
	char *message = text_escaped(status->message);
	enum process_verdict verdict = PROCESS_FINE;
	if (strcmp(status->state, "running") != 0) {
		verdict =
			strcmp(status->state, "backing-off") == 0 ? PROCESS_NOT_NOW : PROCESS_LOST;
		snprintf(words, ANSWER_SIZE, "it is %s%s%s", status->state, *message ? ": " : "",
			message);
	} else {
		snprintf(words, ANSWER_SIZE, "it is running, pid %" PRId64 ", restarted %u times",
			status->pid, status->restarts - watch->restarts_before);
	}
	free(message);
	return verdict;
}

static enum health_answer judge_running(const struct health_watch *watch, const struct one *one,
	const Fairlead__V1__ServiceStatus *status, enum process_verdict verdict)
{
	uint32_t restarts = status->restarts - watch->restarts_before;
	/* One that waits for its next start has as good as had it. */
	if (verdict == PROCESS_NOT_NOW)
		restarts++;
	if (verdict == PROCESS_LOST || restarts > one->probe->running->max_restarts)
		return HEALTH_ANSWER_HOPELESS;
	return verdict == PROCESS_FINE ? HEALTH_ANSWER_GOOD : HEALTH_ANSWER_BAD;
}

static void judge_process(struct health_watch *watch, const Fairlead__V1__ServiceStatus *status)
{
	char words[ANSWER_SIZE];
	if (!watch->seen)
		watch->restarts_before = status->restarts;
	int another = !watch->seen || status->pid != watch->pid;
	watch->seen = 1;
	watch->pid = status->pid;
	enum process_verdict verdict = look(watch, status, words);
	for (size_t i = 0; i < watch->count; i++) {
		struct one *one = &watch->probes[i];
		if (another) {
			health_restarted(&one->health, clock_mono_ms());
			follow(watch, one, health_tick(&one->health, clock_mono_ms()));
		}
		if (!one->probe->running)
			continue;
		enum health_answer judged = judge_running(watch, one, status, verdict);
		snprintf(one->answer, sizeof(one->answer), "%s", words);
		if (one->health.asking || judged == HEALTH_ANSWER_HOPELESS)
			answer(watch, one, judged);
	}
	if (verdict == PROCESS_LOST)
		decide_lost(watch, words);
	/* Good answers count only while the process they came from is still there. */
	if (verdict == PROCESS_FINE && all_passed(watch))
		decide(watch, &ERR_INIT);
}

static void on_status(void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	struct health_watch *watch = user;
	watch->asking_status = 0;
	if (watch->phase == WATCH_ENDED) {
		free_if_done(watch);
		return;
	}
	int is_open = watch->phase == WATCH_OPEN;
	if (status && is_open)
		judge_process(watch, status);
	for (size_t i = 0; !status && is_open && i < watch->count; i++) {
		struct one *one = &watch->probes[i];
		if (!one->probe->running || !one->health.asking)
			continue;
		snprintf(one->answer, sizeof(one->answer), "%s", err->message);
		answer(watch, one, HEALTH_ANSWER_BAD);
	}
	schedule(watch);
}

/* ---- the worker's answers ---- */

static void note_peer(struct one *one, const Fairlead__V1__ProbeReply *reply)
{
	if (!reply || !reply->peer_port || strlen(reply->peer_address) >= sizeof(one->peer))
		return;
	snprintf(one->peer, sizeof(one->peer), "%s", reply->peer_address);
	one->peer_port = reply->peer_port;
}

static enum health_answer judge_reply(const struct health_watch *watch, const struct one *one,
	const Fairlead__V1__ProbeReply *reply)
{
	if (!reply || !reply->ok)
		return HEALTH_ANSWER_BAD;
	/* Proven or not is all the same by then. */
	if (clock_mono_ms() >= one->health.settled_ms)
		return HEALTH_ANSWER_GOOD;
	enum listener whose =
		listener_find((pid_t)watch->pid, reply->peer_address, reply->peer_port);
	return whose == LISTENER_OURS ? HEALTH_ANSWER_GOOD : HEALTH_ANSWER_UNPROVEN;
}

static void take_reply(
	struct health_watch *watch, struct one *one, const Fairlead__V1__ProbeReply *reply)
{
	note_peer(one, reply);
	one->request = 0;
	if (watch->phase == WATCH_OPEN) {
		snprintf(one->answer, sizeof(one->answer), "%s",
			reply ? reply->answer : "probe worker died");
		answer(watch, one, judge_reply(watch, one, reply));
	}
	if (all_passed(watch))
		watch->want_status = 1;
	schedule(watch);
}

static void on_reply(void *user, const Fairlead__V1__ProbeReply *reply)
{
	struct prober *prober = user;
	for (struct health_watch *watch = prober->watches; watch; watch = watch->next)
		for (size_t i = 0; i < watch->count; i++) {
			struct one *one = &watch->probes[i];
			if (one->request && (!reply || one->request == reply->request))
				take_reply(watch, one, reply);
		}
}

/* ---- beginning ---- */

static void begin(struct one *one, const Fairlead__V1__Probe *probe, uint64_t now)
{
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
	*one = (struct one){.probe = probe, .wake_ms = now};
	health_init(&one->health, &rule, now);
}

struct health_watch *health_watch_start(struct prober *prober,
	const struct service_context *context, const Fairlead__V1__ServicePlan *plan,
	health_done_fn *done, void *user)
{
	struct health_watch *watch = xcalloc(1, sizeof(*watch));
	uint64_t now = clock_mono_ms();
	watch->prober = prober;
	watch->context = context;
	watch->plan = plan;
	watch->done = done;
	watch->user = user;
	watch->count = plan->n_probes ? plan->n_probes : 1;
	watch->probes = xcalloc(watch->count, sizeof(*watch->probes));
	for (size_t i = 0; i < watch->count; i++)
		begin(&watch->probes[i], plan->n_probes ? plan->probes[i] : default_probe(), now);
	watch->guard_at_ms = now;
	uv_timer_init(prober->loop, &watch->timer);
	watch->timer.data = watch;
	watch->next = prober->watches;
	prober->watches = watch;
	schedule(watch);
	return watch;
}

int prober_new(uv_loop_t *loop, const char *probe_path, const char *probe_user, struct prober **ret,
	struct err *err)
{
	struct prober *prober = xcalloc(1, sizeof(*prober));
	prober->loop = loop;
	if (probe_worker_new(loop, probe_path, probe_user, on_reply, prober, &prober->worker, err) <
		0) {
		free(prober);
		return -1;
	}
	*ret = prober;
	return 0;
}

void prober_free(struct prober *prober)
{
	if (!prober)
		return;
	probe_worker_free(prober->worker);
	free(prober);
}
