/* Prints docs/deployment-states.md from the machine's table. tests/test_states.py holds the page to
 * it; `build/dev/tools/states > docs/deployment-states.md` writes it anew. */
#include "agent/core/machine.h"

#include <stdio.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

static const char *const intro =
	"# The states of a deployment on a host\n"
	"\n"
	"Drawn from the one table in `agent/core/machine.c` by `build/dev/tools/states`; do not "
	"edit "
	"this page by hand.\n"
	"Every state is journalled and durable before its act begins. An event that a state has no "
	"arrow for is refused.\n"
	"\n"
	"A state that runs steps (`activating`: the `before` hooks, `serving`: the `after` hooks) "
	"is "
	"passed over when the\n"
	"deployment has none of them.\n"
	"\n"
	"```mermaid\n"
	"stateDiagram-v2\n";

static const char *const recovery_text[] = {
	[MACHINE_RECOVERY_NONE] = "",
	[MACHINE_RECOVERY_ABORT] = "abort: nothing live was touched",
	[MACHINE_RECOVERY_WAIT] = "wait, until the deadline if there is one",
	[MACHINE_RECOVERY_LOOK] =
		"look at the switch: old, it was not touched: abort; new: the act again",
	[MACHINE_RECOVERY_AGAIN] = "the act again",
	[MACHINE_RECOVERY_STEPS] = "go on with the steps; one of class `once` that had begun: hold",
	[MACHINE_RECOVERY_CONCLUDE] = "record what was not recorded yet",
};

static void print_arrows(Fairlead__V1__State from)
{
	for (int e = 0; e < MACHINE_EVENT_COUNT; e++) {
		const struct machine_rule *rule = machine_rule(from, (enum machine_event)e);
		if (!rule)
			continue;
		printf("    %s --> %s: %s\n",
			from == S(UNSPECIFIED) ? "[*]" : machine_state_name(from),
			machine_state_name(rule->next), machine_event_name((enum machine_event)e));
	}
	if (machine_is_final(from))
		printf("    %s --> [*]\n", machine_state_name(from));
}

/* The first cell that leads to it: what a state does is the same whichever that is. */
static const struct machine_rule *entry_of(Fairlead__V1__State state)
{
	for (int s = 0; s < MACHINE_STATE_COUNT; s++) {
		for (int e = 0; e < MACHINE_EVENT_COUNT; e++) {
			const struct machine_rule *rule =
				machine_rule((Fairlead__V1__State)s, (enum machine_event)e);
			if (rule && rule->next == state)
				return rule;
		}
	}
	return NULL;
}

static void print_rows(void)
{
	printf("| state | act on entering it | deadline | after a crash |\n|---|---|---|---|\n");
	for (int s = 0; s < MACHINE_STATE_COUNT; s++) {
		Fairlead__V1__State state = (Fairlead__V1__State)s;
		const struct machine_rule *rule = entry_of(state);
		if (rule)
			printf("| %s | %s | %s | %s |\n", machine_state_name(state),
				machine_act_name(rule->act), machine_timer_name(rule->timer),
				recovery_text[machine_recovery_of(state)]);
	}
}

int main(void)
{
	fputs(intro, stdout);
	for (int s = 0; s < MACHINE_STATE_COUNT; s++)
		print_arrows((Fairlead__V1__State)s);
	printf("```\n\n");
	print_rows();
	printf("\nAn act, and a step, is taken up at most %d times after crashes; then the host is "
	       "`failed_safe` and the agent's log\nhas an ALARM. An event of the table that only "
	       "recovery raises: `untouched`, `stuck`, `hold`.\n",
		MACHINE_RECOVERIES_MAX);
	return 0;
}
