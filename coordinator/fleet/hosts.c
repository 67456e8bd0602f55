#include "coordinator/fleet/hosts.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"

enum { CONNECT_TIMEOUT_MS = 5000, LOOK_DEADLINE_MS = 10000 };

struct hosts {
	struct hosts_setup setup;
	struct link_loop *loop;
	struct member *members;
	size_t count;
	uint64_t started_ms; /* monotonic */
	hosts_lost_fn *lost;
	void *lost_user;
	hosts_back_fn *back;
	void *back_user;
};

/* ---- describing ---- */

static void member_ready(struct member *member)
{
	member->state = MEMBER_READY;
	member->ready_ms = clock_mono_ms() - member->hosts->started_ms;
}

static void member_failed(struct member *member, const struct err *err)
{
	member->state = MEMBER_FAILED;
	member->err = *err;
}

static void on_description(void *user, const ProtobufCMessage *message)
{
	struct member *member = user;
	const Fairlead__V1__HostDescription *description = (const void *)message;
	member->description = PB_COPY(Fairlead__V1__HostDescription, description);
	if (description->app)
		agent_client_set_last_sequence(member->client, description->app->last_sequence);
}

static void on_described(void *user, const struct err *err)
{
	struct member *member = user;
	if (member->state != MEMBER_CONNECTING)
		return; /* its link broke, and said so already */
	if (err->code == ERR_NONE)
		member_ready(member);
	else
		member_failed(member, err);
}

static const struct agent_call_ops describe_ops = {
	.message = on_description,
	.ended = on_described,
};

static void on_opened(void *user)
{
	struct member *member = user;
	if (member->state == MEMBER_READY) {
		if (member->hosts->back)
			member->hosts->back(member->hosts->back_user, member);
		return;
	}
	if (!member->hosts->setup.app) {
		member_ready(member);
		return;
	}
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	command.action = FAIRLEAD__V1__ACTION__ACTION_DESCRIBE;
	agent_client_call(member->client, &command, LOOK_DEADLINE_MS, &describe_ops, member);
}

static void on_closed(void *user, const struct err *err)
{
	struct member *member = user;
	if (member->state == MEMBER_READY && member->hosts->lost)
		member->hosts->lost(member->hosts->lost_user, member, err);
	else
		member_failed(member, err);
}

static const struct agent_client_ops client_ops = {.opened = on_opened, .closed = on_closed};

int hosts_new(const struct hosts_setup *setup, struct hosts **ret, struct err *err)
{
	struct link_loop *loop = NULL;
	if (link_loop_new(&loop, err) < 0)
		return -1;
	struct hosts *hosts = xcalloc(1, sizeof(*hosts));
	hosts->setup = *setup;
	hosts->loop = loop;
	hosts->count = setup->fleet->count;
	hosts->members = xcalloc(hosts->count + 1, sizeof(*hosts->members));
	hosts->started_ms = clock_mono_ms();
	for (size_t i = 0; i < hosts->count; i++) {
		struct member *member = &hosts->members[i];
		const struct agent_client_setup client = {
			.loop = loop,
			.host = setup->fleet->hosts[i],
			.key = setup->key,
			.app = setup->app,
			.environment = setup->environment,
			.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		};
		member->host = setup->fleet->hosts[i];
		member->hosts = hosts;
		member->client = agent_client_new(&client, &client_ops, member);
	}
	*ret = hosts;
	return 0;
}

void hosts_free(struct hosts *hosts)
{
	if (!hosts)
		return;
	for (size_t i = 0; i < hosts->count; i++) {
		agent_client_free(hosts->members[i].client);
		if (hosts->members[i].description)
			pb_free(&hosts->members[i].description->base);
	}
	link_loop_free(hosts->loop);
	free(hosts->members);
	free(hosts);
}

size_t hosts_count(const struct hosts *hosts)
{
	return hosts->count;
}

struct member *hosts_member(struct hosts *hosts, size_t index)
{
	return &hosts->members[index];
}

size_t member_index(const struct hosts *hosts, const struct member *member)
{
	return (size_t)(member - hosts->members);
}

struct link_loop *hosts_loop(const struct hosts *hosts)
{
	return hosts->loop;
}

static bool any_connecting(const struct hosts *hosts)
{
	for (size_t i = 0; i < hosts->count; i++)
		if (hosts->members[i].state == MEMBER_CONNECTING)
			return true;
	return false;
}

void hosts_wait_described(struct hosts *hosts)
{
	while (any_connecting(hosts))
		link_loop_wait(hosts->loop, -1);
}

const struct err *hosts_failure(struct hosts *hosts)
{
	const struct err *first = NULL;
	for (size_t i = 0; i < hosts->count; i++) {
		const struct member *member = &hosts->members[i];
		if (member->state != MEMBER_FAILED)
			continue;
		if (member->err.code != ERR_UNREACHABLE)
			return &member->err;
		if (!first)
			first = &member->err;
	}
	return first;
}

const Fairlead__V1__AppStatus *member_app(const struct member *member)
{
	return member->description ? member->description->app : NULL;
}

void hosts_on_lost(struct hosts *hosts, hosts_lost_fn *lost, void *user)
{
	hosts->lost = lost;
	hosts->lost_user = user;
}

void hosts_on_back(struct hosts *hosts, hosts_back_fn *back, void *user)
{
	hosts->back = back;
	hosts->back_user = user;
}

/* ---- asking all ---- */

struct question {
	struct member *member;
	ProtobufCMessage *reply; /* owned */
	size_t *pending;
	struct err err;
};

static void on_reply(void *user, const ProtobufCMessage *message)
{
	struct question *question = user;
	question->reply = pb_copy(message);
}

static void on_replied(void *user, const struct err *err)
{
	struct question *question = user;
	question->err = *err;
	(*question->pending)--;
}

static const struct agent_call_ops question_ops = {.message = on_reply, .ended = on_replied};

void hosts_ask_all(
	struct hosts *hosts, Fairlead__V1__Action action, hosts_reply_fn *reply, void *user)
{
	size_t pending = 0;
	AUTO_FREE struct question *questions = xcalloc(hosts->count + 1, sizeof(*questions));
	for (size_t i = 0; i < hosts->count; i++) {
		struct question *question = &questions[i];
		question->member = &hosts->members[i];
		question->pending = &pending;
		if (question->member->state != MEMBER_READY)
			continue;
		Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
		command.action = action;
		pending++;
		agent_client_call(question->member->client, &command, LOOK_DEADLINE_MS,
			&question_ops, question);
	}
	while (pending > 0)
		link_loop_wait(hosts->loop, -1);
	for (size_t i = 0; i < hosts->count; i++) {
		if (questions[i].member->state != MEMBER_READY)
			continue;
		reply(user, questions[i].member, questions[i].reply, &questions[i].err);
		if (questions[i].reply)
			pb_free(questions[i].reply);
	}
}
