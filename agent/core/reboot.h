/* After a reboot nothing runs: the services of each app's current release are started again.
 *
 * The file `boot` of the state directory holds the id of the boot in which somebody last saw to
 * that, replaced atomically once all of them run. So an agent that ends in between does it again,
 * and a service that runs already is left alone. Loop thread only. */
#pragma once

#include "agent/core/app.h"

/* An app was opened: has the host been rebooted since? A new app, or one of an older agent, has
 * not. */
int reboot_look(struct app *app, struct err *err);
/* Start what does not run, for every app that was not seen to in this boot and has nothing live
 * under way; returns when that is done. The others follow when their deployment has ended. */
void reboot_start_services(struct core *core);
/* A deployment has ended: what it did not touch may not run yet. */
void reboot_deployment_ended(struct app *app);
/* Let what is under way come to its end; bounded by what a start may take. */
void reboot_finish(struct core *core);
bool reboot_is_busy(const struct core *core);
