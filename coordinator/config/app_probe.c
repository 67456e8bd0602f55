#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/config/app_impl.h"

enum { HOUR_MS = 60 * 60 * 1000 };

/* The rows every kind of probe shares. */
#define PROBE_START_PERIOD                                                                         \
	{                                                                                          \
		.key = "start_period", .type = CONFIG_DURATION,                                    \
		CONFIG_MEMBER(struct app_probe, start_period_ms), .max = HOUR_MS, .preset = "40s", \
		.doc = "Failures do not count for so long after the start"                         \
	}
#define PROBE_INTERVAL                                                                             \
	{                                                                                          \
		.key = "interval", .type = CONFIG_DURATION,                                        \
		CONFIG_MEMBER(struct app_probe, interval_ms), .min = 10, .max = HOUR_MS,           \
		.preset = "10s", .doc = "From one question to the next"                            \
	}
#define PROBE_TIMEOUT                                                                              \
	{                                                                                          \
		.key = "timeout", .type = CONFIG_DURATION,                                         \
		CONFIG_MEMBER(struct app_probe, timeout_ms), .min = 10, .max = HOUR_MS,            \
		.preset = "5s", .doc = "No answer for so long is a failure"                        \
	}
#define PROBE_RETRIES                                                                              \
	{                                                                                          \
		.key = "retries", .type = CONFIG_NUMBER, CONFIG_MEMBER(struct app_probe, retries), \
		.min = 1, .max = 1000, .preset = "3",                                              \
		.doc = "So many failures in a row and the service is unhealthy"                    \
	}
#define PROBE_MIN_HEALTHY                                                                          \
	{                                                                                          \
		.key = "min_healthy", .type = CONFIG_DURATION,                                     \
		CONFIG_MEMBER(struct app_probe, min_healthy_ms), .max = HOUR_MS, .preset = "0s",   \
		.doc = "Healthy only after so long without a failure"                              \
	}

static const struct config_field release_fields[] = {
	{.key = "json",
		.type = CONFIG_TEXT,
		CONFIG_MEMBER(struct app_probe, release_json),
		.min = 1,
		.check = app_check_json_path,
		.write = "write for example version",
		.doc = "The field of the JSON answer that names it, as in `json`"},
	{.key = "header",
		.type = CONFIG_NAME,
		CONFIG_MEMBER(struct app_probe, release_header),
		.write = "write for example X-Release",
		.doc = "The header that names it"},
	{0},
};

static const struct config_field http_fields[] = {
	{.key = "url",
		.type = CONFIG_TEXT,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct app_probe, url),
		.min = 1,
		.check = app_check_url,
		.write = "write for example http://127.0.0.1:8080/health",
		.doc = "`http://` or `https://`; `${NAME}` is a variable of the host"},
	{.key = "status",
		.type = CONFIG_STATUS,
		CONFIG_MEMBER(struct app_probe, status),
		.preset = "200-299",
		.doc = "The status codes that are healthy: `200-299`, `\"200-299,304\"`, or a "
		       "list"},
	{.key = "body",
		.type = CONFIG_TEXT,
		CONFIG_MEMBER(struct app_probe, body),
		.min = 1,
		.doc = "Text the answer must contain. Left out: any"},
	{.key = "json",
		.type = CONFIG_MAP,
		CONFIG_MEMBER(struct app_probe, json),
		.check_key = app_check_json_path,
		.write = "write for example { status: ok, services.db: up }",
		.doc = "Fields of the answer, which must be JSON, and their values: text, number, "
		       "`true`, `false` or `null`. Keys and indices between dots, or a JSON "
		       "pointer"},
	{.key = "release",
		.type = CONFIG_SECTION,
		.fields = release_fields,
		.doc = "Where the answer names the release that gives it; then only the new one's "
		       "answers count. One of:"},
	{.key = "ca",
		.type = CONFIG_TEXT,
		CONFIG_MEMBER(struct app_probe, ca_file),
		.min = 1,
		.check = app_check_variables,
		.write = "write for example /etc/ssl/private-ca.pem",
		.doc = "Of `https`: a file of the authorities to trust instead of the host's, an "
		       "absolute path or one in the release"},
	{.key = "address",
		.type = CONFIG_TEXT,
		CONFIG_MEMBER(struct app_probe, address),
		.min = 1,
		.check = app_check_variables,
		.write = "write for example 127.0.0.1",
		.doc = "Connect to this address; the host of `url` is then only the name that is "
		       "asked for, and that the certificate must have"},
	PROBE_START_PERIOD,
	PROBE_INTERVAL,
	PROBE_TIMEOUT,
	PROBE_RETRIES,
	PROBE_MIN_HEALTHY,
	{0},
};

static const struct config_field tcp_fields[] = {
	{.key = "host",
		.type = CONFIG_TEXT,
		CONFIG_MEMBER(struct app_probe, host),
		.min = 1,
		.preset = "127.0.0.1",
		.doc = "Address to connect to"},
	{.key = "port",
		.type = CONFIG_NUMBER,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct app_probe, port),
		.min = 1,
		.max = 65535,
		.write = "write for example 5432",
		.doc = "Port that must accept a connection"},
	PROBE_START_PERIOD,
	PROBE_INTERVAL,
	PROBE_TIMEOUT,
	PROBE_RETRIES,
	PROBE_MIN_HEALTHY,
	{0},
};

static const struct config_field running_fields[] = {
	{.key = "min",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct app_probe, min_ms),
		.max = HOUR_MS,
		.preset = "1s",
		.doc = "The process must be up for so long"},
	{.key = "max_restarts",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct app_probe, max_restarts),
		.max = 1000,
		.preset = "0",
		.doc = "More restarts than this since activation are a failure"},
	PROBE_START_PERIOD,
	PROBE_INTERVAL,
	PROBE_RETRIES,
	{0},
};

/* All kinds are loaded into one struct: an entry holds exactly one of them. */
const struct config_field app_probe_fields[] = {
	{.key = "http",
		.type = CONFIG_SECTION,
		.fields = http_fields,
		.doc = "A web address that must answer"},
	{.key = "tcp",
		.type = CONFIG_SECTION,
		.fields = tcp_fields,
		.doc = "A port that must accept connections"},
	{.key = "running",
		.type = CONFIG_SECTION,
		.fields = running_fields,
		.doc = "The process must stay up"},
	{.key = "postgres",
		.type = CONFIG_LATER,
		.write = "use tcp or http",
		.doc = "A database that must answer a query"},
	{.key = "exec",
		.type = CONFIG_LATER,
		.write = "use tcp or http",
		.doc = "A command that must succeed"},
	{.key = "resources",
		.type = CONFIG_LATER,
		.write = "use limits of the service",
		.doc = "Memory and CPU within bounds"},
	{0},
};

static int check_http(const struct yaml_node *node, const struct app_probe *probe, struct err *err)
{
	const struct yaml_node *http = yaml_get(node, "http");
	const struct yaml_node *release = http ? yaml_get(http, "release") : NULL;
	if (release && release->count != 1)
		return yaml_error(release, err,
			"%zu places where the release is named; write one of json or header",
			release->count);
	if (probe->ca_file && strncmp(probe->url, "https:", 6) != 0)
		return yaml_error(yaml_get(http, "ca"), err,
			"the url is not https, so that no certificate is checked; leave it out, or "
			"write https:// in url");
	return 0;
}

static int load_one(const struct yaml_node *node, struct app_probe *probe, struct err *err)
{
	static const struct {
		const char *key;
		enum app_probe_kind kind;
	} kinds[] = {
		{"http", APP_PROBE_HTTP},
		{"tcp", APP_PROBE_TCP},
		{"running", APP_PROBE_RUNNING},
	};
	if (config_load(node, app_probe_fields, probe, CONFIG_NEW, err) < 0)
		return -1;
	if (node->count != 1)
		return yaml_error(node, err,
			"%zu checks in one entry; write one of http, tcp or running in each",
			node->count);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].key, node->first->key) == 0)
			probe->kind = kinds[i].kind;
	return probe->kind == APP_PROBE_HTTP ? check_http(node, probe, err) : 0;
}

int app_probes_load(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	(void)mode; /* a list is replaced, never merged */
	struct app_probe_list *list = member;
	if (config_expect(node, YAML_LIST,
		    "write a list of checks, for example [ { tcp: { port: 8080 } } ]", err) < 0)
		return -1;
	app_probe_list_release(list);
	list->probes = xcalloc(node->count, sizeof(*list->probes));
	for (const struct yaml_node *item = node->first; item; item = item->next)
		if (load_one(item, &list->probes[list->count++], err) < 0)
			return -1;
	return 0;
}

void app_probe_list_release(struct app_probe_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		config_release(app_probe_fields, &list->probes[i]);
	free(list->probes);
	*list = (struct app_probe_list){0};
}

static void compile_status(const struct config_status *status, Fairlead__V1__HttpProbe *http)
{
	http->status_min = status->ranges[0].min;
	http->status_max = status->ranges[0].max;
	http->more_status = xcalloc(status->count, sizeof(*http->more_status));
	for (size_t i = 1; i < status->count; i++) {
		Fairlead__V1__StatusRange *range = xmalloc(sizeof(*range));
		fairlead__v1__status_range__init(range);
		range->min = status->ranges[i].min;
		range->max = status->ranges[i].max;
		http->more_status[http->n_more_status++] = range;
	}
}

static void compile_json(const struct config_map *fields, Fairlead__V1__HttpProbe *http)
{
	http->json = xcalloc(fields->count ? fields->count : 1, sizeof(*http->json));
	for (size_t i = 0; i < fields->count; i++) {
		Fairlead__V1__JsonMatch *match = xmalloc(sizeof(*match));
		fairlead__v1__json_match__init(match);
		pb_set_str(&match->field, fields->pairs[i].name);
		pb_set_str(&match->value, fields->pairs[i].value);
		http->json[http->n_json++] = match;
	}
}

static Fairlead__V1__ReleaseMatch *compile_release(const struct app_probe *probe)
{
	Fairlead__V1__ReleaseMatch *release = xmalloc(sizeof(*release));
	fairlead__v1__release_match__init(release);
	if (probe->release_json)
		pb_set_str(&release->json, probe->release_json);
	if (probe->release_header)
		pb_set_str(&release->header, probe->release_header);
	return release;
}

static Fairlead__V1__HttpProbe *compile_http(const struct app_probe *probe)
{
	Fairlead__V1__HttpProbe *http = xmalloc(sizeof(*http));
	fairlead__v1__http_probe__init(http);
	pb_set_str(&http->url, probe->url);
	compile_status(&probe->status, http);
	compile_json(&probe->json, http);
	if (probe->body)
		pb_set_str(&http->body_contains, probe->body);
	if (probe->ca_file)
		pb_set_str(&http->ca_file, probe->ca_file);
	if (probe->address)
		pb_set_str(&http->address, probe->address);
	if (probe->release_json || probe->release_header)
		http->release = compile_release(probe);
	return http;
}

static Fairlead__V1__TcpProbe *compile_tcp(const struct app_probe *probe)
{
	Fairlead__V1__TcpProbe *tcp = xmalloc(sizeof(*tcp));
	fairlead__v1__tcp_probe__init(tcp);
	pb_set_str(&tcp->host, probe->host);
	tcp->port = probe->port;
	return tcp;
}

static Fairlead__V1__RunningProbe *compile_running(const struct app_probe *probe)
{
	Fairlead__V1__RunningProbe *running = xmalloc(sizeof(*running));
	fairlead__v1__running_probe__init(running);
	running->min_ms = probe->min_ms;
	running->max_restarts = probe->max_restarts;
	return running;
}

Fairlead__V1__Probe *app_probe_compile(const struct app_probe *probe)
{
	Fairlead__V1__Probe *message = xmalloc(sizeof(*message));
	fairlead__v1__probe__init(message);
	switch (probe->kind) {
	case APP_PROBE_HTTP:
		message->http = compile_http(probe);
		break;
	case APP_PROBE_TCP:
		message->tcp = compile_tcp(probe);
		break;
	case APP_PROBE_RUNNING:
		message->running = compile_running(probe);
		break;
	}
	message->start_period_ms = probe->start_period_ms;
	message->interval_ms = probe->interval_ms;
	message->timeout_ms = probe->timeout_ms;
	message->retries = probe->retries;
	message->min_healthy_ms = probe->min_healthy_ms;
	return message;
}
