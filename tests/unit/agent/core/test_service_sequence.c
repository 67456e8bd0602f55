#include "agent/core/service_sequence.h"

#include "common/base/pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
	const char *why;
	struct service_identity before;
	int64_t pid;
	uint64_t started;
	uint8_t release;
	int rc;
} starts[] = {
	{"the first start", {0, 0}, 40, 1000, 1, 0},
	{"another process, later", {30, 900}, 40, 1000, 1, 0},
	{"its number is used again", {40, 900}, 40, 1000, 1, 0},
	{"it has ended already", {40, 1000}, 0, 0, 1, 0},
	{"the same process", {40, 1000}, 40, 1000, 1, -1},
	{"a process from before", {30, 1100}, 40, 1000, 1, -1},
	{"another release", {30, 900}, 40, 1000, 2, -1},
};

static void only_a_new_process_of_the_release_is_a_restart(void **state)
{
	(void)state;
	struct service_step step = {.kind = SERVICE_STEP_START};
	memset(step.release.bytes, 1, DIGEST_SIZE);
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		uint8_t manifest[DIGEST_SIZE];
		memset(manifest, starts[i].release, sizeof(manifest));
		Fairlead__V1__ServiceStatus status = FAIRLEAD__V1__SERVICE_STATUS__INIT;
		status.pid = starts[i].pid;
		status.started_unix_ms = starts[i].started;
		status.manifest = pb_borrow(manifest, sizeof(manifest));
		struct err err = ERR_INIT;
		if (service_started_anew(&step, &starts[i].before, &status, &err) != starts[i].rc)
			fail_msg("%s: %s", starts[i].why, err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_new_process_of_the_release_is_a_restart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
