/* Events of the hosts on their way to the report: each once and in order, also over the death of a
 * coordinator. What is about to be shown is remembered before, and that it was shown after; what
 * lies between the two when a coordinator dies is shown once more, and marked. */
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/rollout/deployment_impl.h"

void target_news(struct deployment_target *target, const Fairlead__V1__Event *event)
{
	struct deployment *d = target->deployment;
	d->news = xrealloc(d->news, (d->news_count + 1) * sizeof(*d->news));
	d->news[d->news_count++] = (struct news){target, PB_COPY(Fairlead__V1__Event, event)};
}

static void show(struct deployment *d, const struct news *news)
{
	const struct deployment_target *target = news->target;
	const Fairlead__V1__Event *event = news->event;
	struct report *report = d->setup->report;
	bool now = !event->missed && event->number > target->told_by_event;
	if (now && !target->reported)
		report_phase(report, target->host->report_index, report_state_name(event->state),
			event->done, event->total);
	report_event(report, target->host->report_index, event,
		event->number <= target->shown_before ? REPORT_SEEN_PERHAPS : REPORT_UNSEEN);
}

void deployment_show_news(struct deployment *d)
{
	if (d->news_count == 0)
		return;
	struct news *all = TAKE(d->news);
	size_t count = d->news_count;
	d->news_count = 0;
	for (size_t i = 0; i < count; i++)
		all[i].target->shown = all[i].event->number;
	deployment_remember_news(d, REMEMBER_SHOWING);
	for (size_t i = 0; i < count; i++) {
		show(d, &all[i]);
		pb_free(&all[i].event->base);
	}
	deployment_remember_news(d, REMEMBER_SHOWN);
	free(all);
}

void deployment_drop_news(struct deployment *d)
{
	for (size_t i = 0; i < d->news_count; i++)
		pb_free(&d->news[i].event->base);
	free(d->news);
}
