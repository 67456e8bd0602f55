/* A prepare that the host refused for a reason that a second one mends. */
#include "coordinator/rollout/deployment_impl.h"

#include "common/base/mem.h"
#include "common/base/pb.h"

enum { QUESTION_DEADLINE_MS = 5000 };

/* An id stands for one payload, so each attempt has an id of its own. */
static bool next_attempt(struct deployment_target *target)
{
	if (target->attempt + 1 >= DEPLOYMENT_ATTEMPTS_MAX)
		return false;
	target->attempt++;
	deployment_id_of_attempt(target->deployment->id, target->attempt, target->id);
	err_clear(&target->err);
	if (target->status)
		pb_free(&TAKE(target->status)->base);
	return true;
}

/* ---- everything instead of the difference ---- */

/* The host's copy of an old file is damaged. */
static bool send_whole(struct deployment_target *target)
{
	static const struct digest nothing = {0};
	struct deployment *d = target->deployment;
	if (target->sent_whole || !target->bundle || digest_is_zero(&target->bundle->base))
		return false;
	if (bundles_get(d->setup->bundles, &nothing, &target->bundle, &target->err) < 0)
		return false;
	target->sent_whole = true;
	if (!next_attempt(target))
		return false;
	report_say(d->setup->report,
		"%s: an old file on the host is damaged, so the whole release is sent",
		target->host->member->host->name);
	target_ask(target, ROLLOUT_PREPARE);
	return true;
}

/* ---- an upload that broke off with the coordinator before ---- */

bool target_send_again(struct deployment_target *target)
{
	if (!target->host->taken || !target->host->plan || target->err.code != ERR_UNREACHABLE ||
		target_state(target) != ROLLOUT_PREPARING || !next_attempt(target))
		return false;
	target_ask(target, ROLLOUT_PREPARE);
	return true;
}

/* ---- a sequence above another coordinator's ---- */

static void on_app(void *user, const ProtobufCMessage *message)
{
	struct deployment_target *target = user;
	const Fairlead__V1__AppStatus *app = (const void *)message;
	agent_client_set_last_sequence(target->host->member->client, app->last_sequence);
}

static void on_asked(void *user, const struct err *err)
{
	struct deployment_target *target = user;
	target->question = NULL;
	if (target->verb != ROLLOUT_PREPARE)
		return; /* told to abort meanwhile */
	if (err->code != ERR_NONE) {
		target_refused(target);
		return;
	}
	err_clear(&target->err);
	target_ask(target, ROLLOUT_PREPARE);
}

static const struct agent_call_ops question_ops = {.message = on_app, .ended = on_asked};

/* Two coordinators at once: the other's command had a higher sequence, so ours looked replayed.
 * Signed anew it is judged by the lock. */
static bool catch_up(struct deployment_target *target)
{
	if (target->caught_up)
		return false;
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	command.action = FAIRLEAD__V1__ACTION__ACTION_STATUS;
	target->caught_up = true;
	target->question = agent_client_call(target->host->member->client, &command,
		QUESTION_DEADLINE_MS, &question_ops, target);
	return true;
}

bool target_prepare_again(struct deployment_target *target)
{
	if (target->err.code == ERR_CORRUPT)
		return send_whole(target);
	return target->err.code == ERR_AUTH && catch_up(target);
}
