/* Ctrl-C and SIGTERM. The deployment goes on while a person makes up their mind. */
#include "common/base/mem.h"
#include "coordinator/rollout/deployment_impl.h"

#include <errno.h>
#include <unistd.h>

static void abort_all(struct deployment *d)
{
	struct report *report = d->setup->report;
	d->asking = false;
	if (rollout_interrupt(d->engine) == ROLLOUT_TAKEN) {
		d->aborted = true;
		report_say(report, "aborting: every host goes back to its old release (interrupt "
				   "once more to leave at once)");
	} else {
		report_say(report, "too late to abort, the hosts are being confirmed (interrupt "
				   "once more to leave)");
	}
}

static void leave(struct deployment *d, enum deployment_left how)
{
	d->asking = false;
	d->left = how;
	d->finished = true;
}

static void ask(struct deployment *d)
{
	struct report *report = d->setup->report;
	d->asking = true;
	report_say(report, "interrupted; the deployment goes on until you choose:");
	report_say(report,
		"  d      detach: leave the hosts to themselves; what nobody confirms in "
		"time goes back by itself, and `fairlead resume` takes it up");
	report_say(report, "  a      abort: every host goes back to its old release (Ctrl-C again "
			   "does the same)");
	report_say(report, "  Enter  go on");
}

/* Which comes how often: a terminal's first SIGINT asks, the next event aborts, the one after that
 * leaves. */
static void take_one(struct deployment *d, enum interrupt_kind kind)
{
	bool asks = d->setup->interrupts == DEPLOYMENT_ASKS && kind == INTERRUPT_INT;
	if (d->interrupted)
		leave(d, LEFT_AT_ONCE);
	else if (asks && !d->asking)
		ask(d);
	else {
		d->interrupted = true;
		abort_all(d);
	}
}

void deployment_take_interrupts(struct deployment *d)
{
	unsigned counts[INTERRUPT_KINDS];
	interrupt_take(&d->interrupt, counts);
	for (size_t kind = 0; kind < INTERRUPT_KINDS; kind++)
		for (unsigned i = 0; i < counts[kind] && d->left == LEFT_NOT; i++)
			take_one(d, (enum interrupt_kind)kind);
}

void deployment_take_answer(struct deployment *d)
{
	char answer[64];
	ssize_t n = read(STDIN_FILENO, answer, sizeof(answer));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0 && (answer[0] == 'd' || answer[0] == 'D')) {
		leave(d, LEFT_DETACHED);
	} else if (n > 0 && (answer[0] == 'a' || answer[0] == 'A')) {
		d->interrupted = true;
		abort_all(d);
	} else {
		/* Enter, the end of the input, or something else: nothing that changes anything. */
		d->asking = false;
		report_say(d->setup->report, "going on");
	}
}
