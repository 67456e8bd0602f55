#include "agent/probe/http.h"

#include "agent/probe/match.h"
#include "agent/probe/probe.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
	struct http *http = user;
	size_t len = size * count;
	size_t room = PROBE_BODY_MAX - http->body.len;
	buf_append(&http->body, data, len < room ? len : room);
	if (len <= room)
		return len;
	/* Enough was seen; less than len ends the transfer (CURLE_WRITE_ERROR). */
	http->body_is_cut = 1;
	return 0;
}

static void set_common(struct http *http, CURL *easy)
{
	uint64_t timeout = http->request->probe->timeout_ms;
	if (timeout == 0 || timeout > INT32_MAX)
		timeout = PROBE_TIMEOUT_MS;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, http);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->error);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
}

/* Only these authorities, not the host's beside them. */
static void set_authorities(const struct http *http, CURL *easy)
{
	const ProtobufCBinaryData *pem = &http->request->authorities;
	if (pem->len == 0)
		return;
	struct curl_blob blob = {.data = pem->data, .len = pem->len, .flags = CURL_BLOB_NOCOPY};
	curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

/* The url's host is then only the name that is asked for, and that a certificate must have. */
static void set_address(struct http *http, CURL *easy)
{
	const char *address = http->request->probe->http->address;
	if (!*address)
		return;
	int is_v6 = strchr(address, ':') != NULL;
	AUTO_FREE char *rule = xasprintf("::%s%s%s:", is_v6 ? "[" : "", address, is_v6 ? "]" : "");
	http->connect_to = curl_slist_append(NULL, rule);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, http->connect_to);
}

static CURLcode set_http(struct http *http, CURL *easy)
{
	set_authorities(http, easy);
	set_address(http, easy);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "fairlead-probe/" FAIRLEAD_VERSION);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
	return curl_easy_setopt(easy, CURLOPT_URL, http->request->probe->http->url);
}

static CURLcode set_tcp(struct http *http, CURL *easy)
{
	const Fairlead__V1__TcpProbe *tcp = http->request->probe->tcp;
	int is_v6 = strchr(tcp->host, ':') != NULL;
	AUTO_FREE char *url = xasprintf(
		"http://%s%s%s:%u", is_v6 ? "[" : "", tcp->host, is_v6 ? "]" : "", tcp->port);
	curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	return curl_easy_setopt(easy, CURLOPT_URL, url);
}

struct http *http_new(Fairlead__V1__ProbeRequest *request)
{
	const Fairlead__V1__Probe *probe = request->probe;
	if (!probe || (!probe->http && !probe->tcp))
		return NULL;
	CURL *easy = curl_easy_init();
	if (!easy)
		return NULL;
	struct http *http = xcalloc(1, sizeof(*http));
	*http = (struct http){.easy = easy, .request = request, .began_us = now_us()};
	set_common(http, easy);
	if ((probe->http ? set_http(http, easy) : set_tcp(http, easy)) == CURLE_OK)
		return http;
	http->request = NULL;
	http_free(http);
	return NULL;
}

void http_free(struct http *http)
{
	curl_easy_cleanup(http->easy);
	curl_slist_free_all(http->connect_to);
	if (http->request)
		pb_free(&http->request->base);
	buf_release(&http->body);
	free(http);
}

static void show_body(const struct http *http, struct buf *answer)
{
	size_t shown = http->body.len < PROBE_SHOWN_MAX ? http->body.len : PROBE_SHOWN_MAX;
	/* Not through the middle of a character: its half would be shown as \xNN. */
	while (shown < http->body.len && shown > 0 && (http->body.data[shown] & 0xc0) == 0x80)
		shown--;
	buf_append_str(answer, ": ");
	text_escape(answer, BYTES(http->body.data, shown));
	if (shown < http->body.len)
		buf_append_str(answer, "…");
}

/* Borrowed from the handle. */
static const char *release_header(const struct http *http)
{
	const Fairlead__V1__ReleaseMatch *release = http->request->probe->http->release;
	struct curl_header *header = NULL;
	if (!release || !*release->header ||
		curl_easy_header(http->easy, release->header, 0, CURLH_HEADER, -1, &header) !=
			CURLHE_OK)
		return NULL;
	return header->value;
}

static int judge_http(const struct http *http, uint64_t latency_us, struct buf *answer)
{
	struct match_answer found = {
		.body = buf_bytes(&http->body),
		.body_is_cut = http->body_is_cut,
		.header = release_header(http),
	};
	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &found.status);
	char took[TEXT_UNIT_SIZE];
	buf_printf(answer, "HTTP %ld in %s", found.status, text_duration(latency_us / 1000, took));
	int ok = match_http(http->request, &found, answer);
	if (http->body.len)
		show_body(http, answer);
	return ok;
}

/* libcurl's own words tell what is wrong with a certificate; elsewhere the plain ones say more. */
static const char *tell_failure(const struct http *http, CURLcode result)
{
	static const CURLcode detailed[] = {
		CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CACERT_BADFILE};
	long errnum = 0;
	curl_easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &errnum);
	if (errnum && result == CURLE_COULDNT_CONNECT)
		return strerror((int)errnum);
	for (size_t i = 0; i < ARRAY_LEN(detailed); i++)
		if (detailed[i] == result && *http->error)
			return http->error;
	return curl_easy_strerror(result);
}

/* At most PROBE_ANSWER_MAX bytes, cut between characters. */
static char *bounded(struct buf *answer)
{
	size_t len = answer->len;
	if (len > PROBE_ANSWER_MAX) {
		len = PROBE_ANSWER_MAX;
		while (len > 0 && (answer->data[len] & 0xc0) == 0x80)
			len--;
	}
	return xstrndup(buf_str(answer), len);
}

static void name_peer(const struct http *http, Fairlead__V1__ProbeReply *ret)
{
	char *address = NULL;
	long port = 0;
	if (curl_easy_getinfo(http->easy, CURLINFO_PRIMARY_IP, &address) != CURLE_OK || !address ||
		curl_easy_getinfo(http->easy, CURLINFO_PRIMARY_PORT, &port) != CURLE_OK)
		return;
	ret->peer_address = address;
	ret->peer_port = (uint32_t)port;
}

void http_answer(struct http *http, CURLcode result, Fairlead__V1__ProbeReply *ret)
{
	uint64_t latency_us = now_us() - http->began_us;
	const Fairlead__V1__Probe *probe = http->request->probe;
	char took[TEXT_UNIT_SIZE];
	text_duration(latency_us / 1000, took);
	AUTO(buf) struct buf answer = {0};
	int answered = result == CURLE_OK || (result == CURLE_WRITE_ERROR && http->body_is_cut);
	if (answered && probe->http)
		ret->ok = judge_http(http, latency_us, &answer);
	else if (answered) {
		ret->ok = 1;
		buf_printf(&answer, "connected to %s:%u in %s", probe->tcp->host, probe->tcp->port,
			took);
	} else {
		buf_printf(&answer,
			"%s after %s: ", probe->http ? "no HTTP answer" : "no connection", took);
		text_escape(&answer, BYTES_STR(tell_failure(http, result)));
	}
	ret->request = http->request->request;
	ret->latency_us = latency_us;
	ret->answer = bounded(&answer);
	if (result != CURLE_COULDNT_CONNECT)
		name_peer(http, ret);
}
