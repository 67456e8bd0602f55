#include "coordinator/cli/resolve.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "coordinator/fleet/hosts_call.h"
#include "coordinator/report/report.h"

enum { ID_SIZE = 16, ID_HEX_SIZE = 2 * ID_SIZE + 1, MARGIN_MS = 30000 };

static const struct {
	const char *name;
	Fairlead__V1__Decision decision;
} decisions[] = {
	{"done", FAIRLEAD__V1__DECISION__DECISION_DONE},
	{"redo", FAIRLEAD__V1__DECISION__DECISION_REDO},
	{"undo", FAIRLEAD__V1__DECISION__DECISION_UNDO},
};

struct resolving {
	struct hosts *hosts;
	uint8_t id[ID_SIZE];
	Fairlead__V1__Resolve message;
	struct err err; /* the first that went wrong */
};

int resolve_parse(const char *text, Fairlead__V1__Decision *ret, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(decisions); i++) {
		if (strcmp(decisions[i].name, text) == 0) {
			*ret = decisions[i].decision;
			return 0;
		}
	}
	err_set(err, ERR_USAGE, "--resolve '%s' is no decision", text);
	return err_hint(err, "Write done (the step was done, go on), redo (run it again) or undo "
			     "(go back).");
}

/* The deployment that this host holds, NULL if it holds none of that id. */
static const Fairlead__V1__DeploymentStatus *held_by(
	const struct member *member, const char *id_prefix)
{
	const Fairlead__V1__AppStatus *app =
		member->state == MEMBER_READY ? member_app(member) : NULL;
	const Fairlead__V1__DeploymentStatus *running = app ? app->running : NULL;
	char hex[ID_HEX_SIZE];
	if (!running || running->deployment_id.len != ID_SIZE ||
		(running->state != FAIRLEAD__V1__STATE__STATE_HELD_BEFORE &&
			running->state != FAIRLEAD__V1__STATE__STATE_HELD_AFTER))
		return NULL;
	sodium_bin2hex(hex, sizeof(hex), running->deployment_id.data, ID_SIZE);
	return !id_prefix || strncmp(hex, id_prefix, strlen(id_prefix)) == 0 ? running : NULL;
}

static int find(struct resolving *resolving, const char *id_prefix, struct err *err)
{
	size_t found = 0;
	for (size_t i = 0; i < hosts_count(resolving->hosts); i++) {
		const Fairlead__V1__DeploymentStatus *held =
			held_by(hosts_member(resolving->hosts, i), id_prefix);
		if (!held)
			continue;
		if (found++ && memcmp(resolving->id, held->deployment_id.data, ID_SIZE) != 0)
			return err_set(err, ERR_USAGE,
				"more than one deployment is held; name one by its id");
		memcpy(resolving->id, held->deployment_id.data, ID_SIZE);
	}
	if (found)
		return 0;
	err_set(err, ERR_PREFLIGHT, "no host holds %s%s for a decision",
		id_prefix ? "deployment " : "a deployment", id_prefix ? id_prefix : "");
	return err_hint(err, "See `fairlead status` for where the hosts stand.");
}

/* ---- the calls ---- */

static bool fill(void *user, struct member *member, Fairlead__V1__Command *command)
{
	struct resolving *resolving = user;
	const Fairlead__V1__DeploymentStatus *held = held_by(member, NULL);
	if (!held || memcmp(resolving->id, held->deployment_id.data, ID_SIZE) != 0)
		return false;
	command->deployment_id = pb_borrow(resolving->id, ID_SIZE);
	command->resolve = &resolving->message;
	return true;
}

static void on_status(void *user, struct member *member, const ProtobufCMessage *message)
{
	(void)user;
	const Fairlead__V1__DeploymentStatus *status = (const void *)message;
	AUTO_FREE char *name = text_escaped(member->host->name);
	fprintf(stderr, "%s: %s\n", name, report_state_name(status->state));
}

static void on_ended(void *user, struct member *member, const struct err *err)
{
	(void)member;
	struct resolving *resolving = user;
	if (err->code != ERR_NONE && resolving->err.code == ERR_NONE)
		resolving->err = *err;
}

static const struct hosts_call_ops ops = {.fill = fill, .message = on_status, .ended = on_ended};

int resolve_held(struct context *context, const char *id_prefix, Fairlead__V1__Decision decision,
	struct err *err)
{
	struct resolving resolving = {.hosts = context->hosts};
	fairlead__v1__resolve__init(&resolving.message);
	resolving.message.decision = decision;
	if (find(&resolving, id_prefix, err) < 0)
		return -1;
	/* On to healthy, or all the way back. */
	uint64_t deadline_ms = 2 * context->config.activate_timeout_ms +
			       context->config.failure_hooks_ms + MARGIN_MS;
	hosts_call_all(context->hosts, FAIRLEAD__V1__ACTION__ACTION_RESOLVE, deadline_ms, &ops,
		&resolving);
	if (resolving.err.code == ERR_NONE)
		return 0;
	*err = resolving.err;
	return -1;
}
