#include "agent/core/machine.h"

#include <assert.h>
#include <stddef.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

static const Fairlead__V1__State rules[MACHINE_STATE_COUNT][MACHINE_EVENT_COUNT] = {
	[S(ACCEPTED)] =
		{
			[MACHINE_FETCHED] = S(FETCHED),
			[MACHINE_ABORT] = S(ABORTED),
			[MACHINE_FAIL] = S(ABORTED),
			[MACHINE_DEADLINE] = S(ABORTED),
		},
	[S(FETCHED)] =
		{
			[MACHINE_STAGED] = S(STAGED),
			[MACHINE_ABORT] = S(ABORTED),
			[MACHINE_FAIL] = S(ABORTED),
			[MACHINE_DEADLINE] = S(ABORTED),
		},
	[S(STAGED)] =
		{
			[MACHINE_CHECKED] = S(PREPARED),
			[MACHINE_ABORT] = S(ABORTED),
			[MACHINE_FAIL] = S(ABORTED),
			[MACHINE_DEADLINE] = S(ABORTED),
		},
	[S(PREPARED)] =
		{
			[MACHINE_ACTIVATE] = S(SWITCHED),
			[MACHINE_ABORT] = S(ABORTED),
			[MACHINE_FAIL] = S(ABORTED),
			[MACHINE_DEADLINE] = S(ABORTED),
		},
	[S(SWITCHED)] =
		{
			[MACHINE_RESTARTED] = S(RESTARTED),
			[MACHINE_ABORT] = S(ROLLING_BACK),
			[MACHINE_FAIL] = S(ROLLING_BACK),
			[MACHINE_DEADLINE] = S(ROLLING_BACK),
			[MACHINE_UNTOUCHED] = S(ABORTED),
			[MACHINE_STUCK] = S(FAILED_SAFE),
		},
	[S(RESTARTED)] =
		{
			[MACHINE_HEALTHY] = S(HEALTHY),
			[MACHINE_ABORT] = S(ROLLING_BACK),
			[MACHINE_FAIL] = S(ROLLING_BACK),
			[MACHINE_DEADLINE] = S(ROLLING_BACK),
			[MACHINE_STUCK] = S(FAILED_SAFE),
		},
	[S(HEALTHY)] =
		{
			[MACHINE_CONFIRM] = S(COMMITTED),
			[MACHINE_ABORT] = S(ROLLING_BACK),
			[MACHINE_FAIL] = S(ROLLING_BACK),
			[MACHINE_DEADLINE] = S(ROLLING_BACK),
		},
	[S(ROLLING_BACK)] =
		{
			[MACHINE_UNDONE] = S(ROLLED_BACK),
			[MACHINE_FAIL] = S(FAILED_SAFE),
			[MACHINE_DEADLINE] = S(FAILED_SAFE),
			[MACHINE_STUCK] = S(FAILED_SAFE),
		},
};

static const char *const event_names[] = {
	[MACHINE_FETCHED] = "fetched",
	[MACHINE_STAGED] = "staged",
	[MACHINE_CHECKED] = "checked",
	[MACHINE_ACTIVATE] = "activate",
	[MACHINE_RESTARTED] = "restarted",
	[MACHINE_HEALTHY] = "healthy",
	[MACHINE_CONFIRM] = "confirm",
	[MACHINE_ABORT] = "abort",
	[MACHINE_FAIL] = "fail",
	[MACHINE_DEADLINE] = "deadline",
	[MACHINE_UNDONE] = "undone",
	[MACHINE_UNTOUCHED] = "untouched",
	[MACHINE_STUCK] = "stuck",
};
static_assert(sizeof(event_names) / sizeof(event_names[0]) == MACHINE_EVENT_COUNT,
	"an event without a name");

static const struct {
	const char *name;
	bool final;
} states[] = {
	[S(UNSPECIFIED)] = {"unspecified", false},
	[S(ACCEPTED)] = {"accepted", false},
	[S(FETCHED)] = {"fetched", false},
	[S(STAGED)] = {"staged", false},
	[S(BUILT)] = {"built", false},
	[S(BACKED_UP)] = {"backed_up", false},
	[S(PREPARED)] = {"prepared", false},
	[S(MIGRATED)] = {"migrated", false},
	[S(SWITCHED)] = {"switched", false},
	[S(RESTARTED)] = {"restarted", false},
	[S(HEALTHY)] = {"healthy", false},
	[S(COMMITTED)] = {"committed", true},
	[S(ABORTED)] = {"aborted", true},
	[S(ROLLING_BACK)] = {"rolling_back", false},
	[S(ROLLED_BACK)] = {"rolled_back", true},
	[S(FAILED_SAFE)] = {"failed_safe", true},
};
static_assert(sizeof(states) / sizeof(states[0]) == MACHINE_STATE_COUNT, "a state without a row");

static bool known(Fairlead__V1__State state)
{
	return (unsigned)state < MACHINE_STATE_COUNT;
}

Fairlead__V1__State machine_next(Fairlead__V1__State state, enum machine_event event)
{
	if (!known(state) || (unsigned)event >= MACHINE_EVENT_COUNT)
		return S(UNSPECIFIED);
	return rules[state][event];
}

bool machine_is_final(Fairlead__V1__State state)
{
	return known(state) && states[state].final;
}

const char *machine_event_name(enum machine_event event)
{
	return (unsigned)event < MACHINE_EVENT_COUNT ? event_names[event] : "unknown";
}

const char *machine_state_name(Fairlead__V1__State state)
{
	return known(state) ? states[state].name : "unknown";
}
