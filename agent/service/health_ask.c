#include "agent/service/health_watch.h"

#include "agent/service/listener.h"
#include "agent/service/probe_check.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"

/* ---- in words ---- */

/* A url without the password that may stand in it. */
static void describe_url(const char *url, struct buf *out)
{
	const char *host = strstr(url, "://");
	host = host ? host + strlen("://") : url;
	const char *at = memchr(host, '@', strcspn(host, "/?#"));
	if (!at) {
		buf_append_str(out, url);
		return;
	}
	buf_append(out, url, (size_t)(host - url));
	buf_printf(out, "***%s", at);
}

void health_ask_describe(const Fairlead__V1__Probe *probe, struct buf *out)
{
	if (probe->http) {
		buf_append_str(out, "http probe of ");
		describe_url(probe->http->url, out);
	} else if (probe->tcp) {
		buf_printf(out, "tcp probe of %s:%u", probe->tcp->host, probe->tcp->port);
	} else {
		buf_append_str(out, "running");
	}
}

void health_ask_name_holder(const struct check *check, struct buf *out)
{
	if (check->peer[0])
		listener_describe((pid_t)check->watch->pid, check->peer, check->peer_port, out);
}

/* ---- asking ---- */

static int ask_worker(struct check *check, struct err *err)
{
	struct prober *prober = check->watch->prober;
	const struct health_subject *subject = &check->watch->subject;
	char digest[DIGEST_HEX_SIZE];
	AUTO_FREE char *release_path =
		store_release_path(subject->context->store, subject->release);
	AUTO(buf) struct buf authorities = {0};
	union {
		const Fairlead__V1__Probe *in;
		Fairlead__V1__Probe *out;
	} borrowed = {.in = check->probe};
	Fairlead__V1__ProbeRequest request = FAIRLEAD__V1__PROBE_REQUEST__INIT;
	request.request = ++prober->last_request;
	request.probe = borrowed.out;
	request.digest = digest_hex(subject->release, digest);
	request.commit = pb_str(subject->commit);
	if (check->probe->http &&
		probe_authorities(check->probe->http, release_path, &authorities, err) < 0)
		return -1;
	request.authorities = pb_borrow(authorities.data, authorities.len);
	if (probe_worker_ask(prober->worker, &request, err) < 0)
		return -1;
	check->request = request.request;
	return 0;
}

int health_ask(struct check *check)
{
	struct err err = ERR_INIT;
	if (check->probe->running) {
		check->watch->want_status = 1;
		return 0;
	}
	if (ask_worker(check, &err) == 0)
		return 0;
	snprintf(check->answer, sizeof(check->answer), "%s", err.message);
	check->latency_us = 0;
	return -1;
}

void health_ask_cancel(struct check *check)
{
	/* The worker's answer will not be known any more. */
	check->request = 0;
}

int health_ask_waits(const struct check *check)
{
	return check->request != 0;
}

/* ---- the worker's answers ---- */

static void note_peer(struct check *check, const Fairlead__V1__ProbeReply *reply)
{
	if (!reply || !reply->peer_port || strlen(reply->peer_address) >= sizeof(check->peer))
		return;
	snprintf(check->peer, sizeof(check->peer), "%s", reply->peer_address);
	check->peer_port = reply->peer_port;
}

static enum health_answer judge(const struct check *check, const Fairlead__V1__ProbeReply *reply)
{
	if (!reply || !reply->ok)
		return HEALTH_ANSWER_BAD;
	/* Proven or not is all the same by then. */
	if (clock_mono_ms() >= check->health.settled_ms)
		return HEALTH_ANSWER_GOOD;
	enum listener whose =
		listener_find((pid_t)check->watch->pid, reply->peer_address, reply->peer_port);
	return whose == LISTENER_OURS ? HEALTH_ANSWER_GOOD : HEALTH_ANSWER_UNPROVEN;
}

static void take_reply(struct check *check, const Fairlead__V1__ProbeReply *reply)
{
	struct health_watch *watch = check->watch;
	note_peer(check, reply);
	check->request = 0;
	if (watch->phase == WATCH_OPEN) {
		snprintf(check->answer, sizeof(check->answer), "%s",
			reply ? reply->answer : "probe worker died");
		check->latency_us = reply ? reply->latency_us : 0;
		health_watch_answer(check, judge(check, reply));
	}
	if (health_watch_all_passed(watch))
		watch->want_status = 1;
	health_watch_schedule(watch);
}

void health_ask_replied(void *user, const Fairlead__V1__ProbeReply *reply)
{
	struct prober *prober = user;
	for (struct health_watch *watch = prober->watches; watch; watch = watch->next)
		for (size_t i = 0; i < watch->count; i++) {
			struct check *check = &watch->checks[i];
			if (check->request && (!reply || check->request == reply->request))
				take_reply(check, reply);
		}
}
