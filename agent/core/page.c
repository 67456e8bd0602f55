#include "agent/core/page.h"

#include "agent/core/core.h"
#include "common/base/pb.h"
#include "common/os/clock.h"

static void turn(struct app *app, const Fairlead__V1__Accepted *accepted)
{
	struct core *core = app->core;
	struct err err = ERR_INIT;
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	Fairlead__V1__JournalSegment segment = FAIRLEAD__V1__JOURNAL_SEGMENT__INIT;
	segment.number = journal_segment(app->journal) + 1;
	segment.last_sequence = app->sequence;
	segment.last_event = events_last(app->events);
	segment.command_digest = accepted->command_digest;
	segment.last = app->last;
	record.unix_ms = clock_unix_ms();
	record.segment = &segment;
	int rc = journal_turn(app->journal, &record, core->config.journal.keep, &err);
	if (rc < 0)
		core_die(core, &err);
	else if (rc == JOURNAL_KEPT)
		core_log("%s/%s: %s", app->name, app->environment, err.message);
}

void page_turn_when_due(struct app *app, const Fairlead__V1__Accepted *accepted)
{
	if (journal_size(app->journal) >= app->core->config.journal.segment_bytes)
		turn(app, accepted);
}

void page_replay(struct app *app, const Fairlead__V1__JournalSegment *segment)
{
	bool known = segment->last && segment->command_digest.len == DIGEST_SIZE;
	struct bytes id = known ? PB_BYTES(segment->last->deployment_id) : BYTES(NULL, 0);
	replay_record(&app->core->replay, app->name, app->environment, segment->last_sequence, id,
		known ? segment->command_digest.data : NULL);
	app->sequence = segment->last_sequence;
	events_raise(app->events, segment->last_event);
}
