#include "coordinator/rollout/plan_hosts.h"

#include "common/base/mem.h"

/* Names of the services that do not run, NULL-terminated; borrows the strings. app may be NULL. */
static const char **services_down(const Fairlead__V1__AppStatus *app)
{
	size_t count = 0, services = app ? app->n_services : 0;
	const char **down = xcalloc(services + 1, sizeof(*down));
	for (size_t i = 0; i < services; i++)
		if (strcmp(app->services[i]->state, "running") != 0)
			down[count++] = app->services[i]->name;
	return down;
}

/* `down` is freed by the caller, after the plan is made. */
static void fill_state(const struct member *member, const struct bases *bases,
	const struct source *source, const char **down, struct plan_host_state *state)
{
	const Fairlead__V1__AppStatus *app = member_app(member);
	state->host = member->host;
	state->current = member_current(member);
	state->commit = app && app->current ? app->current->commit : "";
	state->down = down;
	state->known = PLAN_BASE_FIRST;
	const struct base *base = bases_get(bases, &state->current);
	if (!base)
		return;
	state->known = base->known;
	state->why = base->why;
	if (base->known != PLAN_BASE_KNOWN)
		return;
	const struct manifest *manifest = base_manifest(base);
	state->base = manifest ? manifest : &source->tree.manifest;
}

int plan_hosts(const struct app_config *config, struct hosts *hosts, const struct source *source,
	Fairlead__V1__ActionClass forced, struct fleet_plan *ret, struct err *err)
{
	struct fleet_plan made = {0};
	bases_find(hosts, source, &made.bases);
	size_t count = 0;
	struct plan_host_state *states = xcalloc(hosts_count(hosts) + 1, sizeof(*states));
	const char ***down = xcalloc(hosts_count(hosts) + 1, sizeof(*down));
	for (size_t i = 0; i < hosts_count(hosts); i++) {
		const struct member *member = hosts_member(hosts, i);
		if (member->state != MEMBER_READY)
			continue;
		down[count] = services_down(member_app(member));
		fill_state(member, &made.bases, source, down[count], &states[count]);
		count++;
	}
	int r = plan_make(config, &source->tree.manifest, source->tree.label, states, count, forced,
		&made.plan, err);
	for (size_t i = 0; i < count; i++)
		free(down[i]);
	free(down);
	free(states);
	if (r < 0)
		bases_release(&made.bases);
	else
		*ret = made;
	return r;
}

void fleet_plan_release(struct fleet_plan *fleet_plan)
{
	plan_release(&fleet_plan->plan);
	bases_release(&fleet_plan->bases);
}
