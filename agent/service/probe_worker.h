/* The fairlead-probe program as the core sees it: questions in, answers by number out.
 *
 * Started on the first question, and again on the next one after it died. On the loop, never
 * blocking but for the start of the program. */
#pragma once

#include "agent/service/service.h"

/* An answer; NULL: the worker died, and every question under way with it. */
typedef void probe_answer_fn(void *user, const Fairlead__V1__ProbeReply *reply);

struct probe_worker;
int probe_worker_new(uv_loop_t *loop, const char *path, const char *run_as,
	probe_answer_fn *answered, void *user, struct probe_worker **ret, struct err *err);
/* Ends the program; the loop runs once more before it is closed. */
void probe_worker_free(struct probe_worker *worker);
/* Never answers from inside the call. */
int probe_worker_ask(
	struct probe_worker *worker, const Fairlead__V1__ProbeRequest *request, struct err *err);
