/* One probe under way: its libcurl handle, what came back, and how that reads. */
#pragma once

#include "common/base/buf.h"
#include "fairlead/v1/local.pb-c.h"

#include <curl/curl.h>

struct http {
	CURL *easy;
	Fairlead__V1__ProbeRequest *request;
	struct curl_slist *connect_to;
	char error[CURL_ERROR_SIZE]; /* what libcurl says of its failure */
	struct buf body;
	int body_is_cut;   /* longer than PROBE_BODY_MAX */
	uint64_t began_us; /* CLOCK_MONOTONIC */
};

/* Takes the request. NULL for one that is no probe of this worker; then it stays the caller's. */
struct http *http_new(Fairlead__V1__ProbeRequest *request);
/* The easy handle must have left its multi handle. */
void http_free(struct http *http);
/* It has ended with `result`. ret->answer is malloc'ed, ret->peer_address as long as `http`. */
void http_answer(struct http *http, CURLcode result, Fairlead__V1__ProbeReply *ret);
