#include "coordinator/rollout/takeover.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/plan/plan.h"

/* ---- which one ---- */

struct candidates {
	const char *prefix; /* NULL: what runs */
	uint8_t (*ids)[DEPLOYMENT_ID_SIZE];
	size_t count;
};

static void candidates_release(struct candidates *candidates)
{
	free(candidates->ids);
}

static bool is_attempt_of(const uint8_t *base, const uint8_t *id)
{
	uint8_t copy[DEPLOYMENT_ID_SIZE];
	memcpy(copy, id, sizeof(copy));
	const ProtobufCBinaryData said = {.len = sizeof(copy), .data = copy};
	return deployment_id_attempt(base, &said) < DEPLOYMENT_ATTEMPTS_MAX;
}

/* A candidate that is an attempt of `id` becomes `id`. */
static bool merge(struct candidates *candidates, const uint8_t *id)
{
	bool found = false;
	for (size_t i = 0; i < candidates->count; i++) {
		if (is_attempt_of(id, candidates->ids[i])) {
			memcpy(candidates->ids[i], id, DEPLOYMENT_ID_SIZE);
			found = true;
		}
		found = found || is_attempt_of(candidates->ids[i], id);
	}
	return found;
}

static void add(struct candidates *candidates, const uint8_t *id)
{
	char hex[DEPLOYMENT_ID_HEX_SIZE];
	const char *prefix = candidates->prefix;
	if (prefix && strncmp(deployment_id_hex(id, hex), prefix, strlen(prefix)) != 0)
		return;
	if (merge(candidates, id))
		return;
	candidates->ids =
		xrealloc(candidates->ids, (candidates->count + 1) * sizeof(*candidates->ids));
	memcpy(candidates->ids[candidates->count++], id, DEPLOYMENT_ID_SIZE);
}

static const uint8_t *id_of(const Fairlead__V1__DeploymentStatus *status)
{
	return status && status->deployment_id.len == DEPLOYMENT_ID_SIZE
		       ? status->deployment_id.data
		       : NULL;
}

static void add_of_hosts(struct candidates *candidates, struct hosts *hosts)
{
	for (size_t i = 0; i < hosts_count(hosts); i++) {
		const Fairlead__V1__AppStatus *app = member_app(hosts_member(hosts, i));
		const uint8_t *running = app ? id_of(app->running) : NULL;
		const uint8_t *last = app ? id_of(app->last) : NULL;
		if (running)
			add(candidates, running);
		if (last && candidates->prefix)
			add(candidates, last);
	}
	/* A first attempt that ended names the second one, which runs. */
	for (size_t i = 0; i < hosts_count(hosts); i++) {
		const Fairlead__V1__AppStatus *app = member_app(hosts_member(hosts, i));
		const uint8_t *last = app ? id_of(app->last) : NULL;
		if (last)
			merge(candidates, last);
	}
}

static int add_remembered(void *user, const struct ledger_deployment *deployment,
	const struct ledger_progress *progress, size_t count)
{
	struct candidates *candidates = user;
	uint8_t id[DEPLOYMENT_ID_SIZE];
	size_t len = 0;
	(void)progress;
	(void)count;
	if (sodium_hex2bin(id, sizeof(id), deployment->id, strlen(deployment->id), NULL, &len,
		    NULL) != 0 ||
		len != sizeof(id) || merge(candidates, id))
		return 0;
	/* What a host runs comes first; of those that none knows, the newest. */
	if (candidates->prefix || candidates->count == 0)
		add(candidates, id);
	return 0;
}

static int choose(const struct candidates *candidates, struct takeover *ret, struct err *err)
{
	if (candidates->count == 0 && !candidates->prefix)
		return TAKEOVER_NOTHING;
	if (candidates->count == 0) {
		err_set(err, ERR_NOT_FOUND,
			"neither the hosts nor the ledger know a deployment '%s'",
			candidates->prefix);
		return err_hint(err, "`fairlead history` and `fairlead status` show the ids.");
	}
	if (candidates->count > 1) {
		char one[DEPLOYMENT_ID_HEX_SIZE], other[DEPLOYMENT_ID_HEX_SIZE];
		err_set(err, ERR_USAGE, "more than one deployment it could be: %.12s, %.12s%s",
			deployment_id_hex(candidates->ids[0], one),
			deployment_id_hex(candidates->ids[1], other),
			candidates->count > 2 ? ", …" : "");
		return err_hint(err, "Name one by more of its id.");
	}
	memcpy(ret->id, candidates->ids[0], DEPLOYMENT_ID_SIZE);
	return TAKEOVER_FOUND;
}

/* ---- what is known of it ---- */

static int remember(void *user, const struct ledger_deployment *row,
	const struct ledger_progress *progress, size_t count)
{
	struct takeover *takeover = user;
	takeover->ledger = row->ended_unix_ms ? TAKEOVER_ENDED : TAKEOVER_UNFINISHED;
	takeover->kind = xstrdup(row->kind);
	takeover->class_name = xstrdup(row->class_name);
	takeover->commit_from = xstrdup(row->commit_from);
	takeover->commit_to = xstrdup(row->commit_to);
	takeover->folder = xstrdup(row->folder);
	takeover->forced = xstrdup(row->forced);
	takeover->actor = xstrdup(row->actor);
	takeover->retry_bad = row->retry_bad;
	takeover->started_unix_ms = row->started_unix_ms;
	takeover->memories = xcalloc(count + 1, sizeof(*takeover->memories));
	for (size_t i = 0; i < count; i++)
		takeover->memories[takeover->memory_count++] = (struct takeover_memory){
			.host = xstrdup(progress[i].host),
			.showing = progress[i].showing,
			.shown = progress[i].shown,
		};
	return 1;
}

/* What a host's status tells beside its state, where there is no ledger. */
static void learn(struct takeover *takeover)
{
	const Fairlead__V1__DeploymentStatus *status = NULL;
	for (size_t i = 0; i < takeover->count && !status; i++)
		status = takeover->hosts[i].status;
	takeover->kind = xstrdup("deploy");
	takeover->class_name = xstrdup(status ? plan_class_name(status->class_) : "");
	takeover->commit_from = xstrdup(status ? status->commit_from : "");
	takeover->commit_to = xstrdup(status ? status->commit_to : "");
	takeover->actor = xstrdup(status ? status->actor : "");
	takeover->folder = xstrdup("");
	takeover->forced = xstrdup("");
	takeover->started_unix_ms = status ? status->started_unix_ms : 0;
}

int takeover_find(struct hosts *hosts, const struct app_config *config, struct ledger *ledger,
	const char *id_prefix, struct takeover *ret, struct err *err)
{
	AUTO(candidates) struct candidates candidates = {.prefix = id_prefix};
	char hex[DEPLOYMENT_ID_HEX_SIZE];
	if (deployment_id_check(id_prefix, err) < 0)
		return -1;
	add_of_hosts(&candidates, hosts);
	if (ledger && ledger_recall(ledger, config->app, config->environment, id_prefix,
			      add_remembered, &candidates, err) < 0)
		return -1;
	int rc = choose(&candidates, ret, err);
	if (rc != TAKEOVER_FOUND)
		return rc;
	if (ledger && ledger_recall(ledger, config->app, config->environment,
			      deployment_id_hex(ret->id, hex), remember, ret, err) < 0)
		return -1;
	if (takeover_survey(ret, hosts, config, err) < 0)
		return -1;
	if (ret->ledger == TAKEOVER_UNKNOWN)
		learn(ret);
	return TAKEOVER_FOUND;
}

void takeover_release(struct takeover *takeover)
{
	char *const texts[] = {takeover->kind, takeover->class_name, takeover->commit_from,
		takeover->commit_to, takeover->folder, takeover->forced, takeover->actor};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	for (size_t i = 0; i < takeover->memory_count; i++)
		free(takeover->memories[i].host);
	for (size_t i = 0; i < takeover->count; i++)
		if (takeover->hosts[i].proven)
			pb_free(&takeover->hosts[i].proven->base);
	free(takeover->memories);
	free(takeover->hosts);
	*takeover = (struct takeover){0};
}
