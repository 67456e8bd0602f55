/* A deadline that is kept: by a running agent, on the disk, and after a reboot.
 *
 * The clock of people may be set at any time, so it is not what a deadline is measured on: that is
 * CLOCK_BOOTTIME, for as long as the boot lasts. After another boot there is only the clock of
 * people, which may be wrong (a machine without a battery begins in the past), so it may shorten
 * the time that was left, and never lengthens it; and a host that has been up for that long already
 * is late for certain. Pure. */
#pragma once

#include "common/os/process.h"
#include "fairlead/v1/record.pb-c.h"

#include <stdbool.h>

struct deadline {
	uint64_t unix_ms; /* 0: none */
	uint64_t boot_ms; /* the same moment on CLOCK_BOOTTIME of this boot */
};

struct deadline_now {
	uint64_t unix_ms, boot_ms;
	const char *boot; /* this boot's id */
};

/* A deadline at unix_ms (0: none). The same again changes nothing, though the clock was set. */
void deadline_set(struct deadline *deadline, uint64_t unix_ms, const struct deadline_now *now);
/* 0: it is over. Only for one that is set. */
uint64_t deadline_left_ms(const struct deadline *deadline, const struct deadline_now *now);

/* Into a journal record, and out of it; the record of an older agent has only the clock of people.
 */
void deadline_write(const struct deadline *deadline, const struct deadline_now *now,
	Fairlead__V1__JournalRecord *record);
struct deadline deadline_read(
	const Fairlead__V1__JournalRecord *record, const struct deadline_now *now);
/* The host was rebooted since this record was written. False where the record does not tell. */
bool deadline_other_boot(const Fairlead__V1__JournalRecord *record, const struct deadline_now *now);
