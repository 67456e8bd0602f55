#include "agent/probe/probe.h"

#include "agent/probe/http.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/packet.h"

#include <fcntl.h>

/* Woken by whatever happens; this only bounds how long a curl bug could hold us. */
enum { POLL_MS = 60000 };

struct worker {
	int fd;
	CURLM *multi;
	struct http *probes[PROBE_RUNNING_MAX]; /* NULL: free */
	unsigned running;
};

/* -1 when nobody wants answers any more. */
static int reply(const struct worker *worker, const Fairlead__V1__ProbeReply *message)
{
	AUTO(buf) struct buf packet = {0};
	PB_PACK(message, &packet);
	for (;;) {
		int rc = packet_send(worker->fd, buf_bytes(&packet), -1, NULL);
		if (rc != PACKET_BLOCKED)
			return rc;
		/* The core is behind; it reads before it asks for more. */
		struct curl_waitfd wait = {.fd = worker->fd, .events = CURL_WAIT_POLLOUT};
		curl_multi_poll(worker->multi, &wait, 1, POLL_MS, NULL);
	}
}

static int refuse(const struct worker *worker, uint64_t request)
{
	Fairlead__V1__ProbeReply message = FAIRLEAD__V1__PROBE_REPLY__INIT;
	message.request = request;
	message.answer = pb_str("this probe cannot be run: neither http nor tcp, or no such url");
	return reply(worker, &message);
}

static int begin(struct worker *worker, Fairlead__V1__ProbeRequest *request)
{
	uint64_t number = request->request;
	struct http *http = http_new(request);
	if (!http) {
		pb_free(&request->base);
		return refuse(worker, number);
	}
	if (curl_multi_add_handle(worker->multi, http->easy) != CURLM_OK) {
		http_free(http);
		return refuse(worker, number);
	}
	size_t slot = 0;
	while (worker->probes[slot])
		slot++;
	worker->probes[slot] = http;
	worker->running++;
	return 0;
}

enum requests { REQUESTS_TAKEN = 0, REQUESTS_CLOSED = 1 };

static int take_requests(struct worker *worker, struct err *err)
{
	AUTO(buf) struct buf packet = {0};
	while (worker->running < PROBE_RUNNING_MAX) {
		int rc = packet_recv(worker->fd, &packet, NULL, err);
		if (rc == PACKET_EMPTY)
			return REQUESTS_TAKEN;
		if (rc == PACKET_CLOSED)
			return REQUESTS_CLOSED;
		Fairlead__V1__ProbeRequest *request = NULL;
		if (rc < 0 || PB_UNPACK(fairlead__v1__probe_request, buf_bytes(&packet), &request,
				      err) < 0)
			return -1;
		if (begin(worker, request) < 0)
			return REQUESTS_CLOSED;
	}
	return REQUESTS_TAKEN;
}

/* Out of the table and the multi handle. */
static void leave(struct worker *worker, struct http *http)
{
	size_t slot = 0;
	while (worker->probes[slot] != http)
		slot++;
	worker->probes[slot] = NULL;
	worker->running--;
	curl_multi_remove_handle(worker->multi, http->easy);
	http_free(http);
}

static void end(struct worker *worker, CURL *easy, CURLcode result)
{
	struct http *http = NULL;
	if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&http) != CURLE_OK || !http)
		return; /* every handle of ours was given one */
	Fairlead__V1__ProbeReply message = FAIRLEAD__V1__PROBE_REPLY__INIT;
	http_answer(http, result, &message);
	/* A closed socket is noticed by the next take_requests. */
	reply(worker, &message);
	free(message.answer);
	leave(worker, http);
}

static int turn(struct worker *worker, struct err *err)
{
	int running, left, rc = take_requests(worker, err);
	if (rc != REQUESTS_TAKEN)
		return rc;
	curl_multi_perform(worker->multi, &running);
	unsigned before = worker->running;
	for (CURLMsg *message; (message = curl_multi_info_read(worker->multi, &left));)
		if (message->msg == CURLMSG_DONE)
			end(worker, message->easy_handle, message->data.result);
	/* Something ended: there may be room for requests that wait. */
	if (worker->running < before)
		return REQUESTS_TAKEN;
	struct curl_waitfd wait = {.fd = worker->fd, .events = CURL_WAIT_POLLIN};
	curl_multi_poll(worker->multi, &wait, worker->running < PROBE_RUNNING_MAX, POLL_MS, NULL);
	return REQUESTS_TAKEN;
}

int probe_serve(int fd, struct err *err)
{
	AUTO_CLOSE int taken = fd;
	struct worker worker = {.fd = taken};
	if (fcntl(taken, F_SETFL, O_NONBLOCK) < 0 ||
		curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, ERR_INTERNAL, "cannot set up the probe worker");
	worker.multi = curl_multi_init();
	if (!worker.multi)
		return err_set(err, ERR_INTERNAL, "cannot set up libcurl");
	int rc;
	do
		rc = turn(&worker, err);
	while (rc == REQUESTS_TAKEN);
	/* Nobody waits for those under way. */
	for (size_t i = 0; i < PROBE_RUNNING_MAX; i++)
		if (worker.probes[i])
			leave(&worker, worker.probes[i]);
	curl_multi_cleanup(worker.multi);
	curl_global_cleanup();
	return rc < 0 ? -1 : 0;
}
