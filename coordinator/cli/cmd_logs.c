#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "coordinator/cli/context.h"
#include "coordinator/report/style.h"
#include "coordinator/rollout/interrupt.h"

#include <poll.h>

enum { TAIL_DEFAULT = 100, TAIL_MAX = 100000, LINE_MAX_BYTES = 64 * 1024 };

/* One host's log: whole lines are printed, so that hosts do not mix within a line. */
struct stream {
	const struct options *options;
	const struct member *member;
	struct agent_call *call;
	int name_width; /* 0: one host, no names */
	struct buf line;
	size_t *open;
	struct err *first_err;
};

static void print_line(const struct stream *stream, const uint8_t *data, size_t len)
{
	AUTO(buf) struct buf text = {0};
	text_escape(&text, BYTES(data, len));
	if (stream->options->json) {
		cJSON *object = cJSON_CreateObject();
		json_add_text(object, "host", stream->member->host->name);
		cJSON_AddStringToObject(object, "line", buf_str(&text));
		json_print_line(stdout, object);
		return;
	}
	if (stream->name_width)
		printf("%-*s | ", stream->name_width, stream->member->host->name);
	puts(buf_str(&text));
}

static void print_lines(struct stream *stream)
{
	size_t at = 0;
	for (;;) {
		const uint8_t *from = stream->line.data + at;
		const uint8_t *end = memchr(from, '\n', stream->line.len - at);
		if (!end)
			break;
		print_line(stream, from, (size_t)(end - from));
		at += (size_t)(end - from) + 1;
	}
	buf_consume(&stream->line, at);
	if (stream->line.len > LINE_MAX_BYTES) {
		print_line(stream, stream->line.data, stream->line.len);
		buf_clear(&stream->line);
	}
	fflush(stdout);
}

static void on_chunk(void *user, const ProtobufCMessage *message)
{
	struct stream *stream = user;
	const Fairlead__V1__LogChunk *chunk = (const void *)message;
	if (chunk->data.len == 0)
		return;
	buf_append(&stream->line, chunk->data.data, chunk->data.len);
	print_lines(stream);
}

static void on_end(void *user, const struct err *err)
{
	struct stream *stream = user;
	stream->call = NULL;
	(*stream->open)--;
	if (stream->line.len)
		print_line(stream, stream->line.data, stream->line.len);
	buf_clear(&stream->line);
	if (err->code != ERR_NONE && stream->first_err->code == ERR_NONE)
		*stream->first_err = *err;
}

static const struct agent_call_ops log_ops = {.message = on_chunk, .ended = on_end};

static void start(struct stream *stream, const char *service, unsigned tail)
{
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	Fairlead__V1__Logs logs = FAIRLEAD__V1__LOGS__INIT;
	logs.service = pb_str(service);
	logs.tail_lines = tail;
	logs.follow = stream->options->follow;
	command.action = FAIRLEAD__V1__ACTION__ACTION_LOGS;
	command.logs = &logs;
	(*stream->open)++;
	stream->call = agent_client_call(stream->member->client, &command, 0, &log_ops, stream);
}

/* Until every log has ended; a followed one ends with Ctrl-C, which is no error. */
static int pump(const struct context *context, const size_t *open, struct err *err)
{
	struct interrupt interrupt;
	struct link_loop *loop = hosts_loop(context->hosts);
	if (interrupt_init(&interrupt, err) < 0)
		return -1;
	bool interrupted = false;
	while (*open > 0 && !interrupted) {
		struct pollfd fds[] = {
			{.fd = link_loop_fd(loop), .events = POLLIN},
			{.fd = interrupt.fd, .events = POLLIN},
		};
		poll(fds, ARRAY_LEN(fds), link_loop_timeout_ms(loop));
		link_loop_dispatch(loop);
		unsigned counts[INTERRUPT_KINDS];
		interrupted = interrupt_take(&interrupt, counts) > 0;
	}
	interrupt_release(&interrupt);
	return 0;
}

/* Does the configuration put this service on the host? */
static bool runs_on(
	const struct app_config *config, const char *service, const struct fleet_host *host)
{
	for (size_t i = 0; i < config->service_count; i++) {
		if (strcmp(config->services[i].name, service) != 0)
			continue;
		struct selector *selector = NULL;
		if (selector_parse(config->services[i].hosts, &selector, NULL) < 0)
			return false;
		bool here = selector_matches(selector, host);
		selector_free(selector);
		return here;
	}
	return false;
}

static int check_service(const struct app_config *config, const char *service, struct err *err)
{
	AUTO_FREE const char **names = xcalloc(config->service_count + 1, sizeof(*names));
	for (size_t i = 0; i < config->service_count; i++) {
		names[i] = config->services[i].name;
		if (strcmp(names[i], service) == 0)
			return 0;
	}
	const char *nearest = text_nearest(service, names);
	err_set(err, ERR_USAGE, "'%s' is not a service of '%s'", service, config->app);
	return nearest ? err_hint(err, "Did you mean '%s'?", nearest)
		       : err_hint(err, "%s names the services.", config->path);
}

static int show(const struct context *context, const struct options *options, unsigned tail,
	struct err *err)
{
	size_t count = hosts_count(context->hosts), open = 0;
	int width = 0;
	struct err first_err = ERR_INIT;
	AUTO_FREE struct stream *streams = xcalloc(count + 1, sizeof(*streams));
	for (size_t i = 0; count > 1 && i < count; i++) {
		int len = (int)strlen(hosts_member(context->hosts, i)->host->name);
		width = len > width ? len : width;
	}
	for (size_t i = 0; i < count; i++) {
		const struct member *member = hosts_member(context->hosts, i);
		streams[i] = (struct stream){.options = options,
			.member = member,
			.name_width = width,
			.open = &open,
			.first_err = &first_err};
		if (member->state == MEMBER_READY &&
			runs_on(&context->config, options->args[0], member->host))
			start(&streams[i], options->args[0], tail);
	}
	int rc = pump(context, &open, err);
	for (size_t i = 0; i < count; i++) {
		agent_call_cancel(streams[i].call);
		buf_release(&streams[i].line);
	}
	if (rc == 0 && first_err.code != ERR_NONE) {
		*err = first_err;
		return -1;
	}
	return rc;
}

static int run(const struct options *options, struct err *err)
{
	AUTO(context) struct context context = {0};
	unsigned tail = 0;
	if (options_number("tail", options->tail, 0, TAIL_MAX, TAIL_DEFAULT, &tail, err) < 0 ||
		context_open(options, &context, err) < 0 ||
		check_service(&context.config, options->args[0], err) < 0)
		return -1;
	hosts_wait_described(context.hosts);
	if (show(&context, options, tail, err) < 0)
		return -1;
	return context_failures(&context, options, err);
}

static const struct option_row option_rows[] = {
	{"follow", 'f', OPTION_FLAG, NULL, offsetof(struct options, follow),
		"go on with what is written from now on"},
	{"tail", 'n', OPTION_STRING, "N", offsetof(struct options, tail),
		"begin with the last N lines (default 100)"},
	{0},
};

const struct command command_logs = {
	.name = "logs",
	.args = "SERVICE",
	.args_min = 1,
	.args_max = 1,
	.summary = "show what a service has written, on every host that runs it",
	.details = "With several hosts each line begins with the host's name. What is not plain "
		   "text is escaped.",
	.options = option_rows,
	.run = run,
};
