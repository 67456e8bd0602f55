/* The probe worker: ProbeRequest packets in, ProbeReply packets out, many probes at once.
 *
 * Both kinds run in libcurl's multi interface: `http` as one GET over a fresh connection (no
 * reuse: the answer comes from the process that is there now), without redirects or proxies, the
 * body read up to PROBE_BODY_MAX; `tcp` as a connect. TLS certificates are verified. What the
 * answer must be is in match.h.
 * Single-threaded but for libcurl's resolver. */
#pragma once

#include "common/base/err.h"
#include "fairlead/v1/local.pb-c.h"

enum {
	PROBE_BODY_MAX = 64 * 1024, /* what of a body is read and searched */
	PROBE_SHOWN_MAX = 200,      /* what of it the answer shows */
	PROBE_ANSWER_MAX = 512,     /* bytes of an answer */
	PROBE_RUNNING_MAX = 64,     /* at once; more wait in the socket */
	PROBE_TIMEOUT_MS = 5000,    /* of a probe that names none */
};

/* Serve `fd` (SOCK_SEQPACKET, taken) until the other side closes it. */
int probe_serve(int fd, struct err *err);
