/* What became of a deployment on hosts that have had another one since: a host speaks of the newest
 * only, but its journal has the receipt of each. */
#include "coordinator/rollout/takeover.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/evidence/audit_feed.h"
#include "coordinator/fleet/hosts_call.h"

enum {
	READ_DEADLINE_MS = 60 * 1000,
	SKEW_MS = 300 * 1000, /* as far as clocks may differ (docs/protocol.md) */
};

/* One host's journal, as it comes. */
struct reading {
	struct readings *all;
	struct takeover_host *host;
	struct audit_feed feed;
	bool reaches_back; /* to before the deployment began, so that it would be in it */
};

struct readings {
	struct takeover *takeover;
	struct hosts *hosts;
	const struct app_config *config;
	struct reading *list;
};

/* ---- who is asked ---- */

/* Its newest may have come after this deployment, whatever the clocks say. */
static bool may_have_moved_on(const struct takeover *takeover, const struct member *member)
{
	const Fairlead__V1__DeploymentStatus *newest = takeover_newest(member);
	return newest && newest->started_unix_ms + SKEW_MS >= takeover->started_unix_ms;
}

/* ---- reading ---- */

static void prove(struct takeover_host *host, const Fairlead__V1__SignedReceipt *message,
	const Fairlead__V1__Receipt *receipt)
{
	Fairlead__V1__ErrorDetail error = FAIRLEAD__V1__ERROR_DETAIL__INIT;
	Fairlead__V1__DeploymentStatus status = FAIRLEAD__V1__DEPLOYMENT_STATUS__INIT;
	Fairlead__V1__SignedReceipt copy = *message;
	status.deployment_id = receipt->deployment_id;
	status.state = receipt->outcome;
	status.from_manifest = receipt->from_manifest;
	status.to_manifest = receipt->to_manifest;
	status.commit_from = receipt->commit_from;
	status.commit_to = receipt->commit_to;
	status.class_ = receipt->class_;
	status.actor = receipt->actor;
	status.started_unix_ms = receipt->started_unix_ms;
	status.ended_unix_ms = receipt->ended_unix_ms;
	status.receipt = &copy;
	error.code = receipt->reason_code;
	error.message = receipt->reason;
	if (receipt->reason_code[0])
		status.error = &error;
	if (host->proven)
		pb_free(&host->proven->base);
	host->proven = PB_COPY(Fairlead__V1__DeploymentStatus, &status);
}

/* Of several attempts the last one stands. */
static void on_receipt(void *user, uint64_t record, const Fairlead__V1__SignedReceipt *message,
	const Fairlead__V1__Receipt *receipt)
{
	struct reading *reading = user;
	const struct takeover *takeover = reading->all->takeover;
	unsigned attempt = deployment_id_attempt(takeover->id, &receipt->deployment_id);
	(void)record;
	if (receipt->ended_unix_ms + SKEW_MS < takeover->started_unix_ms)
		reading->reaches_back = true;
	if (attempt == DEPLOYMENT_ATTEMPTS_MAX)
		return;
	reading->host->attempt = attempt;
	prove(reading->host, message, receipt);
}

static struct reading *reading_of(struct readings *readings, const struct member *member)
{
	return &readings->list[member_index(readings->hosts, member)];
}

static bool begin(void *user, struct member *member, Fairlead__V1__Command *command)
{
	struct readings *readings = user;
	struct reading *reading = reading_of(readings, member);
	(void)command;
	if (reading->host->status || !may_have_moved_on(readings->takeover, member))
		return false;
	const struct audit_setup setup = {
		.host = &member->host->key,
		.app = readings->config->app,
		.environment = readings->config->environment,
		.receipt = on_receipt,
		.user = reading,
	};
	audit_init(&reading->feed.audit, &setup);
	return true;
}

static void on_chunk(void *user, struct member *member, const ProtobufCMessage *message)
{
	audit_feed_take(&reading_of(user, member)->feed, (const void *)message);
}

/* ---- what it comes to ---- */

static void take_proven(struct takeover_host *host, const char *name)
{
	const Fairlead__V1__ErrorDetail *error = host->proven->error;
	host->status = host->proven;
	host->state = takeover_state_of(host->proven->state);
	err_clear(&host->err);
	if (error)
		err_set(&host->err, err_code_from_name(error->code), "host '%s': %s", name,
			error->message);
}

static void on_ended(void *user, struct member *member, const struct err *err)
{
	struct readings *readings = user;
	struct reading *reading = reading_of(readings, member);
	audit_feed_end(&reading->feed);
	const struct audit *audit = &reading->feed.audit;
	bool whole = err->code == ERR_NONE && !audit->finding.record && audit->first;
	if (reading->host->proven)
		take_proven(reading->host, member->host->name);
	else if (whole && (audit->first == 1 || reading->reaches_back))
		reading->host->past = TAKEOVER_NEVER;
	else
		reading->host->past = TAKEOVER_FORGOTTEN;
}

static const struct hosts_call_ops read_ops = {
	.fill = begin,
	.message = on_chunk,
	.ended = on_ended,
};

void takeover_read_journals(
	struct takeover *takeover, struct hosts *hosts, const struct app_config *config)
{
	AUTO_FREE struct reading *list = xcalloc(takeover->count + 1, sizeof(*list));
	struct readings readings = {takeover, hosts, config, list};
	for (size_t i = 0; i < takeover->count; i++) {
		list[i].all = &readings;
		list[i].host = &takeover->hosts[i];
	}
	hosts_call_all(
		hosts, FAIRLEAD__V1__ACTION__ACTION_AUDIT, READ_DEADLINE_MS, &read_ops, &readings);
	for (size_t i = 0; i < takeover->count; i++)
		audit_feed_release(&list[i].feed);
}
