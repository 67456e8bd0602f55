#include "common/link/loop.h"

#include "common/base/mem.h"
#include "common/os/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

/* How long link_loop_free lets links send their last frames. */
enum { FAREWELL_MS = 250 };
static const uint64_t HOUR_MS = UINT64_C(3600) * 1000;

static void wake(struct link_loop *loop)
{
	uint64_t one = 1;
	/* It only fails when the counter is full, and then the fd is readable anyway. */
	ssize_t n = write(loop->event_fd, &one, sizeof(one));
	(void)n;
}

void loop_post(struct link_loop *loop, struct loop_job *job)
{
	/* Waking under the lock: once it is released the loop may run the job, which may be the
	 * last thing it waited for before it frees itself. */
	pthread_mutex_lock(&loop->lock);
	bool first = STAILQ_EMPTY(&loop->posted);
	STAILQ_INSERT_TAIL(&loop->posted, job, next);
	if (first)
		wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

void loop_reap(struct link_loop *loop, struct loop_job *job)
{
	pthread_mutex_lock(&loop->lock);
	STAILQ_INSERT_TAIL(&loop->reapable, job, next);
	pthread_cond_signal(&loop->reap);
	pthread_mutex_unlock(&loop->lock);
}

static void *reaper_main(void *arg)
{
	struct link_loop *loop = arg;
	pthread_mutex_lock(&loop->lock);
	for (;;) {
		struct loop_job *job = STAILQ_FIRST(&loop->reapable);
		if (!job && loop->reaper_stops)
			break;
		if (!job) {
			pthread_cond_wait(&loop->reap, &loop->lock);
			continue;
		}
		STAILQ_REMOVE_HEAD(&loop->reapable, next);
		pthread_mutex_unlock(&loop->lock);
		job->run(job);
		pthread_mutex_lock(&loop->lock);
	}
	pthread_mutex_unlock(&loop->lock);
	return NULL;
}

void loop_defer(struct link_loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	if (!loop->now_ms && TAILQ_EMPTY(&loop->tasks))
		wake(loop); /* a dispatch in progress comes to it anyway */
	TAILQ_INSERT_TAIL(&loop->tasks, task, next);
}

void loop_forget(struct link_loop *loop, struct loop_task *task)
{
	if (task->queued)
		TAILQ_REMOVE(&loop->tasks, task, next);
	task->queued = false;
}

static uint64_t clock_now(const struct link_loop *loop)
{
	return clock_mono_ms() + loop->skew_ms;
}

uint64_t loop_now_ms(struct link_loop *loop)
{
	return loop->now_ms ? loop->now_ms : clock_now(loop);
}

/* Keep timer_fd on the first timer, or earlier: a dispatch for nothing arms it again. */
static void arm(struct link_loop *loop)
{
	const struct timer *first = timers_first(&loop->timers);
	if (!first || (loop->armed_ms && loop->armed_ms <= first->due_ms))
		return;
	uint64_t now = clock_now(loop);
	uint64_t wait = first->due_ms > now ? first->due_ms - now : 0;
	struct itimerspec when = {
		.it_value = {.tv_sec = (time_t)(wait / 1000),
			.tv_nsec = wait ? (long)(wait % 1000) * 1000000 : 1},
	};
	timerfd_settime(loop->timer_fd, 0, &when, NULL);
	loop->armed_ms = first->due_ms;
}

void loop_timer_set(struct link_loop *loop, struct timer *timer, uint64_t due_ms)
{
	timers_set(&loop->timers, timer, due_ms);
	arm(loop);
}

void loop_timer_stop(struct link_loop *loop, struct timer *timer)
{
	timers_stop(&loop->timers, timer);
}

void loop_advance(struct link_loop *loop, uint64_t ms)
{
	loop->skew_ms += ms;
	loop->armed_ms = 0;
	arm(loop);
}

static int open_fds(struct link_loop *loop, struct err *err)
{
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN};
	if (loop->epoll_fd < 0 || loop->event_fd < 0 || loop->timer_fd < 0 ||
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->event_fd, &event) < 0 ||
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make an event loop");
	return 0;
}

static void free_loop(struct link_loop *loop)
{
	int fds[] = {loop->epoll_fd, loop->event_fd, loop->timer_fd};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_cond_destroy(&loop->reap);
	pthread_mutex_destroy(&loop->lock);
	timers_release(&loop->timers);
	buf_release(&loop->plain_in);
	buf_release(&loop->plain_out);
	free(loop);
}

int link_loop_new(struct link_loop **ret, struct err *err)
{
	struct link_loop *loop = xcalloc(1, sizeof(*loop));
	loop->epoll_fd = loop->event_fd = loop->timer_fd = -1;
	TAILQ_INIT(&loop->tasks);
	TAILQ_INIT(&loop->members);
	STAILQ_INIT(&loop->posted);
	STAILQ_INIT(&loop->reapable);
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->reap, NULL);
	if (open_fds(loop, err) < 0) {
		free_loop(loop);
		return -1;
	}
	int errnum = pthread_create(&loop->reaper, NULL, reaper_main, loop);
	if (errnum) {
		free_loop(loop);
		return err_errno(err, ERR_INTERNAL, errnum, "cannot start a thread");
	}
	*ret = loop;
	return 0;
}

static void stop_reaper(struct link_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->reaper_stops = true;
	pthread_cond_signal(&loop->reap);
	pthread_mutex_unlock(&loop->lock);
	pthread_join(loop->reaper, NULL);
}

void link_loop_free(struct link_loop *loop)
{
	if (!loop)
		return;
	for (struct loop_member *member; (member = TAILQ_FIRST(&loop->members));)
		member->close(member);
	uint64_t until = clock_mono_ms() + FAREWELL_MS;
	while (loop->lingering > 0 && clock_mono_ms() < until)
		link_loop_wait(loop, 10);
	if (loop->lingering > 0)
		loop_advance(loop, HOUR_MS); /* every timer is due: they give up */
	while (loop->owned > 0 || loop->lingering > 0)
		link_loop_wait(loop, -1);
	stop_reaper(loop);
	free_loop(loop);
}

int link_loop_fd(const struct link_loop *loop)
{
	return loop->epoll_fd;
}

int link_loop_timeout_ms(const struct link_loop *loop)
{
	const struct timer *first = timers_first(&loop->timers);
	if (!TAILQ_EMPTY(&loop->tasks))
		return 0;
	if (!first)
		return -1;
	uint64_t now = clock_now(loop);
	uint64_t wait = first->due_ms > now ? first->due_ms - now : 0;
	return wait < HOUR_MS ? (int)wait : (int)HOUR_MS;
}

static void run_posted(struct link_loop *loop)
{
	struct loop_jobs jobs = STAILQ_HEAD_INITIALIZER(jobs);
	pthread_mutex_lock(&loop->lock);
	STAILQ_CONCAT(&jobs, &loop->posted);
	pthread_mutex_unlock(&loop->lock);
	for (struct loop_job *job; (job = STAILQ_FIRST(&jobs));) {
		STAILQ_REMOVE_HEAD(&jobs, next);
		job->run(job);
	}
}

static void run_timers(struct link_loop *loop)
{
	for (struct timer *timer;
		(timer = timers_first(&loop->timers)) && timer->due_ms <= loop->now_ms;) {
		timers_stop(&loop->timers, timer);
		timer->run(timer);
	}
}

static void run_tasks(struct link_loop *loop)
{
	for (struct loop_task *task; (task = TAILQ_FIRST(&loop->tasks));) {
		loop_forget(loop, task);
		task->run(task);
	}
}

void link_loop_dispatch(struct link_loop *loop)
{
	assert(!loop->now_ms); /* not from inside a callback */
	uint64_t count;
	ssize_t n = read(loop->event_fd, &count, sizeof(count));
	if (read(loop->timer_fd, &count, sizeof(count)) > 0)
		loop->armed_ms = 0;
	(void)n;
	loop->now_ms = clock_now(loop);
	run_posted(loop);
	run_timers(loop);
	run_tasks(loop);
	loop->now_ms = 0;
	arm(loop);
}

void link_loop_wait(struct link_loop *loop, int timeout_ms)
{
	int due = link_loop_timeout_ms(loop);
	if (timeout_ms < 0 || (due >= 0 && due < timeout_ms))
		timeout_ms = due;
	struct pollfd pfd = {.fd = loop->epoll_fd, .events = POLLIN};
	int n = poll(&pfd, 1, timeout_ms);
	(void)n; /* a signal or the time-out: what is due is run all the same */
	link_loop_dispatch(loop);
}
