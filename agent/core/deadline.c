#include "agent/core/deadline.h"

#include "common/base/pb.h"

#include <string.h>

void deadline_set(struct deadline *deadline, uint64_t unix_ms, const struct deadline_now *now)
{
	if (deadline->unix_ms == unix_ms)
		return;
	uint64_t left = unix_ms > now->unix_ms ? unix_ms - now->unix_ms : 0;
	*deadline = (struct deadline){unix_ms, unix_ms ? now->boot_ms + left : 0};
}

uint64_t deadline_left_ms(const struct deadline *deadline, const struct deadline_now *now)
{
	return deadline->boot_ms > now->boot_ms ? deadline->boot_ms - now->boot_ms : 0;
}

void deadline_write(const struct deadline *deadline, const struct deadline_now *now,
	Fairlead__V1__JournalRecord *record)
{
	record->boot = pb_str(now->boot);
	record->deadline_unix_ms = deadline->unix_ms;
	record->deadline_boot_ms = deadline->boot_ms;
}

bool deadline_other_boot(const Fairlead__V1__JournalRecord *record, const struct deadline_now *now)
{
	return record->boot[0] && strcmp(record->boot, now->boot) != 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* By the clock of people, and by how long it was from the record. */
static uint64_t left_after_reboot(
	const Fairlead__V1__JournalRecord *record, const struct deadline_now *now)
{
	uint64_t at = record->deadline_unix_ms;
	uint64_t wall = at > now->unix_ms ? at - now->unix_ms : 0;
	uint64_t length = at > record->unix_ms ? at - record->unix_ms : 0;
	return smaller(wall, length > now->boot_ms ? length - now->boot_ms : 0);
}

struct deadline deadline_read(
	const Fairlead__V1__JournalRecord *record, const struct deadline_now *now)
{
	uint64_t at = record->deadline_unix_ms;
	if (!at)
		return (struct deadline){0};
	uint64_t left = at > now->unix_ms ? at - now->unix_ms : 0;
	if (deadline_other_boot(record, now))
		left = left_after_reboot(record, now);
	else if (record->boot[0])
		left = record->deadline_boot_ms > now->boot_ms
			       ? record->deadline_boot_ms - now->boot_ms
			       : 0;
	return (struct deadline){now->unix_ms + left, now->boot_ms + left};
}
