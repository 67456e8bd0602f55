#include "coordinator/fleet/hosts_call.h"

#include "common/base/mem.h"

struct conversation {
	struct member *member;
	const struct hosts_call_ops *ops;
	void *user;
	size_t *pending;
};

static void on_message(void *user, const ProtobufCMessage *message)
{
	struct conversation *conversation = user;
	conversation->ops->message(conversation->user, conversation->member, message);
}

static void on_ended(void *user, const struct err *err)
{
	struct conversation *conversation = user;
	(*conversation->pending)--;
	conversation->ops->ended(conversation->user, conversation->member, err);
}

static const struct agent_call_ops call_ops = {.message = on_message, .ended = on_ended};

static bool ask(
	struct conversation *conversation, Fairlead__V1__Action action, uint64_t deadline_ms)
{
	struct member *member = conversation->member;
	const struct hosts_call_ops *ops = conversation->ops;
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	command.action = action;
	if (ops->fill && !ops->fill(conversation->user, member, &command))
		return false;
	agent_client_call(member->client, &command, deadline_ms, &call_ops, conversation);
	return true;
}

void hosts_call_all(struct hosts *hosts, Fairlead__V1__Action action, uint64_t deadline_ms,
	const struct hosts_call_ops *ops, void *user)
{
	size_t pending = 0, count = hosts_count(hosts);
	AUTO_FREE struct conversation *list = xcalloc(count + 1, sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		list[i] = (struct conversation){hosts_member(hosts, i), ops, user, &pending};
		/* The link of a member that was described may have broken since. */
		bool open = list[i].member->state == MEMBER_READY &&
			    agent_client_link(list[i].member->client) == AGENT_LINK_OPEN;
		if (open && ask(&list[i], action, deadline_ms))
			pending++;
	}
	while (pending > 0)
		link_loop_wait(hosts_loop(hosts), -1);
}
