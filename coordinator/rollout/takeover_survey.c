/* How far each host of a deployment is that another coordinator began. */
#include "common/base/mem.h"
#include "coordinator/rollout/takeover.h"

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

/* ---- one host ---- */

static const enum rollout_state meanings[] = {
	[S(UNSPECIFIED)] = ROLLOUT_WAITING,
	[S(ACCEPTED)] = ROLLOUT_PREPARING,
	[S(FETCHED)] = ROLLOUT_PREPARING,
	[S(STAGED)] = ROLLOUT_PREPARING,
	[S(BUILT)] = ROLLOUT_PREPARING,
	[S(BACKED_UP)] = ROLLOUT_PREPARING,
	[S(PREPARED)] = ROLLOUT_PREPARED,
	[S(MIGRATED)] = ROLLOUT_ACTIVATING,
	[S(SWITCHED)] = ROLLOUT_ACTIVATING,
	[S(RESTARTED)] = ROLLOUT_ACTIVATING,
	[S(HEALTHY)] = ROLLOUT_HEALTHY,
	[S(COMMITTED)] = ROLLOUT_COMMITTED,
	[S(ABORTED)] = ROLLOUT_ABORTED,
	[S(ROLLING_BACK)] = ROLLOUT_ROLLING_BACK,
	[S(ROLLED_BACK)] = ROLLOUT_ROLLED_BACK,
	[S(FAILED_SAFE)] = ROLLOUT_FAILED_SAFE,
};

static void take_error(const char *name, const Fairlead__V1__ErrorDetail *detail, struct err *ret)
{
	if (!detail || !detail->code[0])
		return;
	err_set(ret, err_code_from_name(detail->code), "host '%s': %s", name, detail->message);
	err_hint(ret, "%s", detail->hint);
}

/* The coordinator went away in the middle of the upload, and that is all that went wrong: the next
 * attempt sends it anew. */
static bool can_be_sent_again(const struct takeover_host *host)
{
	return host->state == ROLLOUT_ABORTED && host->err.code == ERR_UNREACHABLE &&
	       host->attempt + 1 < DEPLOYMENT_ATTEMPTS_MAX;
}

enum rollout_state takeover_state_of(Fairlead__V1__State state)
{
	return (size_t)state < ARRAY_LEN(meanings) ? meanings[state] : ROLLOUT_ACTIVATING;
}

static void take_status(const char *name, const Fairlead__V1__DeploymentStatus *status,
	unsigned attempt, struct takeover_host *ret)
{
	ret->status = status;
	ret->attempt = attempt;
	ret->state = takeover_state_of(status->state);
	take_error(name, status->error, &ret->err);
	if (!can_be_sent_again(ret))
		return;
	ret->state = ROLLOUT_WAITING;
	ret->attempt++;
	err_clear(&ret->err);
}

static void take_lock(
	const char *name, const Fairlead__V1__DeploymentStatus *other, struct takeover_host *ret)
{
	ret->state = ROLLOUT_ABORTED;
	err_set(&ret->err, ERR_LOCKED, "host '%s': '%s' has another deployment running there", name,
		other->actor);
	err_hint(&ret->err, "Wait until it has ended; `fairlead status` shows it.");
}

void takeover_judge(const uint8_t id[static DEPLOYMENT_ID_SIZE], const char *name,
	const Fairlead__V1__AppStatus *app, struct takeover_host *ret)
{
	const Fairlead__V1__DeploymentStatus *running = app ? app->running : NULL;
	const Fairlead__V1__DeploymentStatus *last = app ? app->last : NULL;
	unsigned of_running = running ? deployment_id_attempt(id, &running->deployment_id)
				      : DEPLOYMENT_ATTEMPTS_MAX;
	unsigned of_last =
		last ? deployment_id_attempt(id, &last->deployment_id) : DEPLOYMENT_ATTEMPTS_MAX;
	ret->state = ROLLOUT_WAITING;
	ret->part = TAKEOVER_PART;
	if (of_running < DEPLOYMENT_ATTEMPTS_MAX)
		take_status(name, running, of_running, ret);
	else if (of_last < DEPLOYMENT_ATTEMPTS_MAX)
		take_status(name, last, of_last, ret);
	else if (running)
		take_lock(name, running, ret);
}

/* ---- all of them ---- */

const Fairlead__V1__DeploymentStatus *takeover_newest(const struct member *member)
{
	const Fairlead__V1__AppStatus *app =
		member->state == MEMBER_READY ? member_app(member) : NULL;
	if (!app)
		return NULL;
	return app->running ? app->running : app->last;
}

static const struct takeover_memory *memory_of(const struct takeover *takeover, const char *name)
{
	for (size_t i = 0; i < takeover->memory_count; i++)
		if (strcmp(takeover->memories[i].host, name) == 0)
			return &takeover->memories[i];
	return NULL;
}

static bool is_over(enum rollout_state state)
{
	return state == ROLLOUT_COMMITTED || state == ROLLOUT_ABORTED ||
	       state == ROLLOUT_ROLLED_BACK || state == ROLLOUT_FAILED_SAFE;
}

/* Hosts that say something of it: those that are still at it, and in all. */
static void count_spoken(const struct takeover *takeover, size_t *ret_at_it, size_t *ret_all)
{
	*ret_at_it = *ret_all = 0;
	for (size_t i = 0; i < takeover->count; i++) {
		if (!takeover->hosts[i].status)
			continue;
		++*ret_all;
		*ret_at_it += !is_over(takeover->hosts[i].state);
	}
}

static void take_target(struct takeover *takeover)
{
	for (size_t i = 0; i < takeover->count; i++) {
		const Fairlead__V1__DeploymentStatus *status = takeover->hosts[i].status;
		if (status && digest_is_zero(&takeover->target))
			digest_from_bytes(status->to_manifest.data, status->to_manifest.len,
				&takeover->target);
	}
}

static bool stands_on_target(const struct takeover *takeover, const struct member *member)
{
	const Fairlead__V1__AppStatus *app = member_app(member);
	struct digest current = {0};
	return app && app->current &&
	       digest_from_bytes(
		       app->current->manifest.data, app->current->manifest.len, &current) &&
	       !digest_is_zero(&current) && digest_equal(&current, &takeover->target);
}

/* Without a ledger: as a host has it. */
static void take_start(struct takeover *takeover)
{
	for (size_t i = 0; i < takeover->count && !takeover->started_unix_ms; i++)
		if (takeover->hosts[i].status)
			takeover->started_unix_ms = takeover->hosts[i].status->started_unix_ms;
}

/* It never began on any host, so it would begin now: not on top of what came after. */
static int check_not_moved(
	const struct takeover *takeover, const struct member *member, struct err *err)
{
	const Fairlead__V1__AppStatus *app = member_app(member);
	if (takeover->ledger == TAKEOVER_UNFINISHED &&
		(!app || !app->last || app->last->started_unix_ms < takeover->started_unix_ms))
		return 0;
	if (takeover->ledger == TAKEOVER_UNFINISHED)
		err_set(err, ERR_PREFLIGHT,
			"no host knows the deployment any more, and '%s' has moved on",
			member->host->name);
	else
		err_set(err, ERR_PREFLIGHT,
			"no host knows the deployment any more, and the ledger has its end");
	return err_hint(err, "`fairlead history` shows how it ended; `fairlead deploy --to REV` "
			     "brings back any commit.");
}

/* It is not said to have been aborted: nobody knows. */
static int take_forgotten(struct takeover_host *host, const struct member *member)
{
	const char *name = member->host->name;
	host->state = ROLLOUT_LOST;
	err_set(&host->err, ERR_NOT_FOUND,
		"host '%s' has since deployed '%s', and its journal does not tell how this "
		"deployment ended there",
		name, takeover_newest(member)->commit_to);
	err_hint(&host->err,
		"Run `fairlead audit %s`, and look at deployment.log on the host; `fairlead "
		"status` shows what it runs.",
		name);
	return 0;
}

/* It must not be deployed on top of what came after. */
static int take_overtaken(struct takeover_host *host, const struct member *member)
{
	host->state = ROLLOUT_ABORTED;
	err_set(&host->err, ERR_PREFLIGHT,
		"host '%s' never had this deployment, and has since deployed '%s'",
		member->host->name, takeover_newest(member)->commit_to);
	return 0;
}

static bool is_overtaken(const struct takeover *takeover, const struct takeover_host *host,
	const struct member *member)
{
	return host->past == TAKEOVER_NEVER &&
	       takeover_newest(member)->started_unix_ms >= takeover->started_unix_ms;
}

/* A reached host that says nothing of it, and is not at another one either. */
static int judge_silent(struct takeover *takeover, const struct member *member,
	struct takeover_host *host, struct err *err)
{
	size_t at_it = 0, all = 0;
	count_spoken(takeover, &at_it, &all);
	bool remembered = memory_of(takeover, member->host->name) != NULL;
	if (!remembered && stands_on_target(takeover, member)) {
		host->part = TAKEOVER_APART;
		return 0;
	}
	if (!remembered && takeover->memory_count > 0) {
		host->state = ROLLOUT_UNREACHED;
		err_set(&host->err, ERR_UNREACHABLE,
			"host '%s' was not there when the deployment began", member->host->name);
		return 0;
	}
	if (host->past == TAKEOVER_FORGOTTEN)
		return take_forgotten(host, member);
	if (all == 0)
		return check_not_moved(takeover, member, err);
	if (is_overtaken(takeover, host, member))
		return take_overtaken(host, member);
	if (at_it > 0)
		return 0; /* it was not asked yet */
	host->state = ROLLOUT_ABORTED;
	err_set(&host->err, ERR_NOT_FOUND, "host '%s' does not know the deployment",
		member->host->name);
	return 0;
}

/* It may be live when nothing speaks against it. */
static void judge_unreached(struct takeover *takeover, const struct member *member,
	enum app_unreachable unreachable, struct takeover_host *host)
{
	bool remembered = memory_of(takeover, member->host->name) != NULL;
	bool known = takeover->memory_count > 0;
	bool left_out = known ? !remembered : unreachable == APP_UNREACHABLE_SKIP;
	/* Of the others, while this one is not one of them: who waits for one waits for all. */
	bool nobody_is_live = takeover_needs_plan(takeover);
	host->part = TAKEOVER_PART;
	host->err = member->err;
	host->state = left_out || nobody_is_live ? ROLLOUT_UNREACHED : ROLLOUT_LOST;
}

static void recall_shown(struct takeover *takeover, struct hosts *hosts)
{
	for (size_t i = 0; i < takeover->count; i++) {
		const struct takeover_memory *memory =
			memory_of(takeover, hosts_member(hosts, i)->host->name);
		if (!memory)
			continue;
		takeover->hosts[i].showing = memory->showing;
		takeover->hosts[i].shown = memory->shown;
	}
}

int takeover_survey(struct takeover *takeover, struct hosts *hosts, const struct app_config *config,
	struct err *err)
{
	takeover->count = hosts_count(hosts);
	takeover->hosts = xcalloc(takeover->count + 1, sizeof(*takeover->hosts));
	for (size_t i = 0; i < takeover->count; i++) {
		const struct member *member = hosts_member(hosts, i);
		if (member->state == MEMBER_READY)
			takeover_judge(takeover->id, member->host->name, member_app(member),
				&takeover->hosts[i]);
	}
	take_start(takeover);
	takeover_read_journals(takeover, hosts, config);
	take_target(takeover);
	for (size_t i = 0; i < takeover->count; i++) {
		struct takeover_host *host = &takeover->hosts[i];
		const struct member *member = hosts_member(hosts, i);
		bool silent = host->part == TAKEOVER_PART && !host->status;
		/* One that is at another deployment has got rid of this one, somehow. */
		if (silent && host->state != ROLLOUT_WAITING && host->past == TAKEOVER_FORGOTTEN)
			take_forgotten(host, member);
		else if (silent && host->state == ROLLOUT_WAITING &&
			 judge_silent(takeover, member, host, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < takeover->count; i++) {
		const struct member *member = hosts_member(hosts, i);
		if (member->state != MEMBER_READY)
			judge_unreached(takeover, member, config->unreachable, &takeover->hosts[i]);
	}
	recall_shown(takeover, hosts);
	return 0;
}

static bool any_in(const struct takeover *takeover, const bool states[static ROLLOUT_STATE_COUNT])
{
	for (size_t i = 0; i < takeover->count; i++)
		if (takeover->hosts[i].part == TAKEOVER_PART && states[takeover->hosts[i].state])
			return true;
	return false;
}

bool takeover_is_live(const struct takeover *takeover)
{
	static const bool live[ROLLOUT_STATE_COUNT] = {
		[ROLLOUT_ACTIVATING] = true,
		[ROLLOUT_HEALTHY] = true,
		[ROLLOUT_COMMITTED] = true,
		[ROLLOUT_ROLLING_BACK] = true,
		[ROLLOUT_ROLLED_BACK] = true,
		[ROLLOUT_FAILED_SAFE] = true,
	};
	return any_in(takeover, live);
}

bool takeover_is_running(const struct takeover *takeover)
{
	static const bool running[ROLLOUT_STATE_COUNT] = {
		[ROLLOUT_PREPARING] = true,
		[ROLLOUT_PREPARED] = true,
		[ROLLOUT_ACTIVATING] = true,
		[ROLLOUT_HEALTHY] = true,
		[ROLLOUT_ROLLING_BACK] = true,
	};
	return any_in(takeover, running);
}

bool takeover_needs_plan(const struct takeover *takeover)
{
	static const bool unprepared[ROLLOUT_STATE_COUNT] = {
		[ROLLOUT_WAITING] = true,
		[ROLLOUT_PREPARING] = true,
	};
	return !takeover_is_live(takeover) && any_in(takeover, unprepared);
}

void takeover_cannot_prepare(struct takeover *takeover, const struct err *why)
{
	for (size_t i = 0; i < takeover->count; i++) {
		struct takeover_host *host = &takeover->hosts[i];
		if (host->part != TAKEOVER_PART || host->state != ROLLOUT_WAITING)
			continue;
		host->state = ROLLOUT_ABORTED;
		host->err = *why;
	}
}
