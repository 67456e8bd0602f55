/* The releases of an app as its operators see them, and their pins. */
#pragma once

#include "agent/core/calls.h"

/* Borrows from the record. Without what only the whole list tells: previous, services. */
void release_fill(const Fairlead__V1__ReleaseRecord *record, const struct digest *current,
	Fairlead__V1__Release *ret);

call_handler_fn handle_releases, handle_pin;
