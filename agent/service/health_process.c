#include "agent/service/health_watch.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/clock.h"

#include <inttypes.h>

/* The process itself is looked at this often beside its checks, doubling. */
enum { GUARD_FIRST_MS = 50, GUARD_MAX_MS = 1000 };

enum process_verdict { PROCESS_FINE, PROCESS_NOT_NOW, PROCESS_LOST };

/* Whether the process is up, and the words for it. */
static enum process_verdict look(struct health_watch *watch,
	const Fairlead__V1__ServiceStatus *status, char words[static CHECK_ANSWER_SIZE])
{
	char *message = text_escaped(status->message);
	enum process_verdict verdict = PROCESS_FINE;
	if (strcmp(status->state, "running") != 0) {
		verdict =
			strcmp(status->state, "backing-off") == 0 ? PROCESS_NOT_NOW : PROCESS_LOST;
		snprintf(words, CHECK_ANSWER_SIZE, "it is %s%s%s", status->state,
			*message ? ": " : "", message);
	} else {
		snprintf(words, CHECK_ANSWER_SIZE,
			"it is running, pid %" PRId64 ", restarted %u times", status->pid,
			status->restarts - watch->restarts_before);
	}
	free(message);
	return verdict;
}

static enum health_answer judge_running(const struct check *check,
	const Fairlead__V1__ServiceStatus *status, enum process_verdict verdict)
{
	uint32_t restarts = status->restarts - check->watch->restarts_before;
	/* One that waits for its next start has as good as had it. */
	if (verdict == PROCESS_NOT_NOW)
		restarts++;
	if (verdict == PROCESS_LOST || restarts > check->probe->running->max_restarts)
		return HEALTH_ANSWER_HOPELESS;
	return verdict == PROCESS_FINE ? HEALTH_ANSWER_GOOD : HEALTH_ANSWER_BAD;
}

static void judge_check(struct check *check, const Fairlead__V1__ServiceStatus *status,
	enum process_verdict verdict, const char *words)
{
	enum health_answer judged = judge_running(check, status, verdict);
	snprintf(check->answer, sizeof(check->answer), "%s", words);
	if (check->health.asking || judged == HEALTH_ANSWER_HOPELESS)
		health_watch_answer(check, judged);
}

static void judge(struct health_watch *watch, const Fairlead__V1__ServiceStatus *status)
{
	char words[CHECK_ANSWER_SIZE];
	if (!watch->seen)
		watch->restarts_before = status->restarts;
	int another = !watch->seen || status->pid != watch->pid;
	watch->seen = 1;
	watch->pid = status->pid;
	enum process_verdict verdict = look(watch, status, words);
	for (size_t i = 0; i < watch->count; i++) {
		struct check *check = &watch->checks[i];
		uint64_t now = clock_mono_ms();
		if (another) {
			health_restarted(&check->health, now);
			health_watch_follow(check, health_tick(&check->health, now));
		}
		if (check->probe->running)
			judge_check(check, status, verdict, words);
	}
	if (verdict == PROCESS_LOST)
		health_watch_lost(watch, words);
	/* Good answers count only while the process they came from is still there. */
	if (verdict == PROCESS_FINE && health_watch_all_passed(watch))
		health_watch_decide(watch, &ERR_INIT);
}

static void on_status(void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	struct health_watch *watch = user;
	watch->asking_status = 0;
	if (watch->phase == WATCH_ENDED) {
		health_watch_free_if_done(watch);
		return;
	}
	int is_open = watch->phase == WATCH_OPEN;
	if (status && is_open)
		judge(watch, status);
	for (size_t i = 0; !status && is_open && i < watch->count; i++) {
		struct check *check = &watch->checks[i];
		if (!check->probe->running || !check->health.asking)
			continue;
		snprintf(check->answer, sizeof(check->answer), "%s", err->message);
		health_watch_answer(check, HEALTH_ANSWER_BAD);
	}
	health_watch_schedule(watch);
}

void health_process_ask(struct health_watch *watch)
{
	if (watch->asking_status || watch->phase != WATCH_OPEN)
		return;
	const Fairlead__V1__ServicePlan *plan = watch->subject.plan;
	watch->want_status = 0;
	watch->guard_pause_ms = watch->guard_pause_ms ? 2 * watch->guard_pause_ms : GUARD_FIRST_MS;
	if (watch->guard_pause_ms > GUARD_MAX_MS)
		watch->guard_pause_ms = GUARD_MAX_MS;
	watch->guard_at_ms = clock_mono_ms() + watch->guard_pause_ms;
	const struct service_ops *ops = service_ops_find(plan->driver);
	struct err err = ERR_INIT;
	if (!ops)
		err_set(&err, ERR_CONFIG, "this agent has no driver '%s'", plan->driver);
	else if (ops->status(watch->subject.context, plan, on_status, watch, &err) == 0)
		watch->asking_status = 1;
	if (err.code != ERR_NONE)
		health_watch_decide(watch, &err);
}
