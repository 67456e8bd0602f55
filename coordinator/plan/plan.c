#include "coordinator/plan/plan.h"

#include "common/base/mem.h"

struct maker {
	const struct app_config *config;
	const struct manifest *target;
	Fairlead__V1__ActionClass forced;
	struct plan *plan;
	/* What each change was computed from, beside plan->changes. */
	struct origin {
		enum plan_base known;
		struct digest base;
		const char *why;
	} * origins;
};

static bool origin_equal(const struct origin *a, const struct origin *b)
{
	return a->known == b->known && digest_equal(&a->base, &b->base) &&
	       strcmp(a->why, b->why) == 0;
}

/* The change for a base, computed once however many hosts stand on it. */
static int find_change(struct maker *m, const struct origin *origin, const struct manifest *base,
	const struct plan_change **ret, struct err *err)
{
	struct plan *plan = m->plan;
	size_t i = 0;
	while (i < plan->change_count && !origin_equal(&m->origins[i], origin))
		i++;
	if (i == plan->change_count) {
		if (change_compute(m->config, origin->known, base, m->target, origin->why,
			    m->forced, &plan->changes[i], err) < 0)
			return -1;
		m->origins[i] = *origin;
		plan->change_count++;
	}
	*ret = &plan->changes[i];
	return 0;
}

static bool is_down(const struct plan_host_state *state, const char *name)
{
	for (const char *const *down = state->down; down && *down; down++) {
		if (strcmp(*down, name) == 0)
			return true;
	}
	return false;
}

static int host_services(const struct app_config *config, const struct plan_host_state *state,
	struct plan_host *host, struct err *err)
{
	host->services = xcalloc(config->service_count + 1, sizeof(const struct app_service *));
	host->actions = xcalloc(config->service_count + 1, sizeof(*host->actions));
	for (size_t i = 0; i < config->service_count; i++) {
		const struct app_service *service = &config->services[i];
		struct selector *selector = NULL;
		if (selector_parse(service->hosts, &selector, err) < 0)
			return err_wrap(err, "%s:%u: services.%s.hosts", config->path,
				service->line, service->name);
		bool here = selector_matches(selector, state->host);
		selector_free(selector);
		if (!here)
			continue;
		host->services[host->service_count] = service;
		host->actions[host->service_count++] =
			is_down(state, service->name)
				? FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART
				: change_service_action(host->change, service);
	}
	return 0;
}

static int add_host(struct maker *m, const struct plan_host_state *state, struct err *err)
{
	struct plan_host *host = &m->plan->hosts[m->plan->host_count++];
	const struct manifest *base = state->base;
	struct origin origin = {state->known, {{0}}, state->why ? state->why : ""};
	host->host = state->host;
	host->from = state->current;
	host->to = m->target->digest;
	host->commit_from = xstrdup(state->commit ? state->commit : "");
	host->commit_to = xstrdup(m->plan->label);
	/* A host that has the target needs no history to be known. */
	if (origin.known == PLAN_BASE_UNKNOWN && digest_equal(&state->current, &host->to)) {
		origin.known = PLAN_BASE_KNOWN;
		base = m->target;
	}
	if (origin.known == PLAN_BASE_KNOWN)
		origin.base = base->digest;
	if (origin.known != PLAN_BASE_UNKNOWN)
		origin.why = "";
	if (find_change(m, &origin, base, &host->change, err) < 0)
		return -1;
	return host_services(m->config, state, host, err);
}

int plan_make(const struct app_config *config, const struct manifest *target, const char *label,
	const struct plan_host_state *states, size_t state_count, Fairlead__V1__ActionClass forced,
	struct plan *ret, struct err *err)
{
	/* One change per host at most; never moved, since hosts point into it. */
	struct plan plan = {
		.config = config,
		.changes = xcalloc(state_count + 1, sizeof(*plan.changes)),
		.hosts = xcalloc(state_count + 1, sizeof(*plan.hosts)),
		.target = target->digest,
		.label = xstrdup(label),
		.files = target->count,
		.bytes = target->bytes,
		.forced = xstrdup(forced == FAIRLEAD__V1__ACTION_CLASS__ACTION_CLASS_UNSPECIFIED
					  ? ""
					  : plan_type_name(forced)),
	};
	AUTO_FREE struct origin *origins = xcalloc(state_count + 1, sizeof(*origins));
	struct maker maker = {config, target, forced, &plan, origins};
	int rc = 0;
	for (size_t i = 0; i < state_count && rc == 0; i++)
		rc = add_host(&maker, &states[i], err);
	if (rc < 0)
		plan_release(&plan);
	else
		*ret = plan;
	return rc;
}

void plan_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->change_count; i++)
		change_release(&plan->changes[i]);
	for (size_t i = 0; i < plan->host_count; i++) {
		struct plan_host *host = &plan->hosts[i];
		free(host->commit_from);
		free(host->commit_to);
		free(host->services);
		free(host->actions);
	}
	free(plan->changes);
	free(plan->hosts);
	free(plan->label);
	free(plan->forced);
	*plan = (struct plan){0};
}

bool plan_host_is_nothing(const struct plan_host *host)
{
	for (size_t i = 0; i < host->service_count; i++) {
		if (host->actions[i] == FAIRLEAD__V1__SERVICE_ACTION__SERVICE_RESTART)
			return false;
	}
	return host->change->nothing;
}

bool plan_is_nothing(const struct plan *plan)
{
	for (size_t i = 0; i < plan->host_count; i++) {
		if (!plan_host_is_nothing(&plan->hosts[i]))
			return false;
	}
	return true;
}

Fairlead__V1__ActionClass plan_class(const struct plan *plan)
{
	Fairlead__V1__ActionClass class = FAIRLEAD__V1__ACTION_CLASS__NO_RESTART;
	for (size_t i = 0; i < plan->host_count; i++) {
		if (plan->hosts[i].change->class > class)
			class = plan->hosts[i].change->class;
	}
	return class;
}
