/* Turning an app's journal to a new page: the first record of each new file is what all the older
 * ones come to. Only while no deployment is under way, so that this is little: how far the sequence
 * and the events have come, and how the newest deployment ended. */
#pragma once

#include "agent/core/app.h"

/* A deployment has ended and is recorded everywhere: `accepted` is how it began. A page that cannot
 * be turned is tried again after the next one; a sync that failed ends the core. */
void page_turn_when_due(struct app *app, const Fairlead__V1__Accepted *accepted);
/* The first record of the newest file; the deployment in it is the caller's to take. */
void page_replay(struct app *app, const Fairlead__V1__JournalSegment *segment);
