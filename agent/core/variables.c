#include "agent/core/variables.h"

#include "common/base/mem.h"
#include "common/base/pb.h"

static const char *find(const struct agent_config *config, const char *name, size_t len)
{
	for (size_t i = 0; i < config->variables.count; i++)
		if (strncmp(config->variables.pairs[i].name, name, len) == 0 &&
			config->variables.pairs[i].name[len] == '\0')
			return config->variables.pairs[i].value;
	return NULL;
}

/* One "${NAME}" at text[at]; returns the bytes read. */
static int expand_one(const struct agent_config *config, struct bytes text, size_t at,
	struct buf *ret, size_t *ret_len, struct err *err)
{
	const char *name = (const char *)text.data + at + 2;
	const char *end = memchr(name, '}', text.len - at - 2);
	if (!end)
		return err_set(err, ERR_CONFIG, "'${' without '}'");
	size_t len = (size_t)(end - name);
	const char *value = find(config, name, len);
	if (!value) {
		err_set(err, ERR_CONFIG, "no variable '%.*s' on this host", (int)len, name);
		return err_hint(err, "Add it to `variables:` of the host's agent.yaml.");
	}
	buf_append_str(ret, value);
	*ret_len = len + 3;
	return 0;
}

int variables_expand(
	const struct agent_config *config, struct bytes text, struct buf *ret, struct err *err)
{
	for (size_t at = 0; at < text.len;) {
		size_t len = 1;
		if (text.data[at] != '$' || at + 1 == text.len) {
			buf_append(ret, text.data + at, 1);
		} else if (text.data[at + 1] == '$') {
			buf_append_str(ret, "$");
			len = 2;
		} else if (text.data[at + 1] != '{') {
			buf_append_str(ret, "$");
		} else if (expand_one(config, text, at, ret, &len, err) < 0) {
			return -1;
		}
		at += len;
	}
	return 0;
}

static int expand_str(const struct agent_config *config, char **field, struct err *err)
{
	AUTO(buf) struct buf out = {0};
	if (variables_expand(config, BYTES_STR(*field), &out, err) < 0)
		return -1;
	pb_set_str(field, buf_str(&out));
	return 0;
}

static int expand_bytes(
	const struct agent_config *config, ProtobufCBinaryData *field, struct err *err)
{
	AUTO(buf) struct buf out = {0};
	if (variables_expand(config, PB_BYTES(*field), &out, err) < 0)
		return -1;
	pb_set_bytes(field, out.data, out.len);
	return 0;
}

static int expand_argv(
	const struct agent_config *config, ProtobufCBinaryData *argv, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		if (expand_bytes(config, &argv[i], err) < 0)
			return -1;
	return 0;
}

/* The plan's own environment wins over the host's variable of the same name. */
static void add_environment(const struct agent_config *config, Fairlead__V1__ProcessSpec *process)
{
	size_t own = process->n_env;
	process->env =
		xrealloc(process->env, (own + config->variables.count) * sizeof(*process->env));
	for (size_t i = 0; i < config->variables.count; i++) {
		size_t j = 0;
		while (j < own &&
			strcmp(process->env[j]->name, config->variables.pairs[i].name) != 0)
			j++;
		if (j < own)
			continue;
		Fairlead__V1__EnvVar *variable = xmalloc(sizeof(*variable));
		fairlead__v1__env_var__init(variable);
		pb_set_str(&variable->name, config->variables.pairs[i].name);
		pb_set_bytes(&variable->value, config->variables.pairs[i].value,
			strlen(config->variables.pairs[i].value));
		process->env[process->n_env++] = variable;
	}
}

static int expand_process(
	const struct agent_config *config, Fairlead__V1__ProcessSpec *process, struct err *err)
{
	if (expand_argv(config, process->command, process->n_command, err) < 0)
		return -1;
	for (size_t i = 0; i < process->n_sockets; i++)
		if (expand_str(config, &process->sockets[i], err) < 0)
			return err_wrap(err, "sockets");
	for (size_t i = 0; i < process->n_env; i++)
		if (expand_bytes(config, &process->env[i]->value, err) < 0)
			return err_wrap(err, "env %s", process->env[i]->name);
	add_environment(config, process);
	return 0;
}

static int expand_command(
	const struct agent_config *config, Fairlead__V1__CommandSpec *command, struct err *err)
{
	if (expand_argv(config, command->start, command->n_start, err) < 0 ||
		expand_argv(config, command->stop, command->n_stop, err) < 0 ||
		expand_argv(config, command->status, command->n_status, err) < 0)
		return -1;
	return expand_bytes(config, &command->log_file, err);
}

static int expand_probe(
	const struct agent_config *config, Fairlead__V1__Probe *probe, struct err *err)
{
	Fairlead__V1__HttpProbe *http = probe->http;
	if (http && (expand_str(config, &http->url, err) < 0 ||
			    expand_str(config, &http->address, err) < 0 ||
			    expand_str(config, &http->ca_file, err) < 0))
		return -1;
	return 0;
}

int variables_apply(const struct agent_config *config, const Fairlead__V1__ServicePlan *plan,
	Fairlead__V1__ServicePlan **ret, struct err *err)
{
	Fairlead__V1__ServicePlan *copy = PB_COPY(Fairlead__V1__ServicePlan, plan);
	int rc = copy->process ? expand_process(config, copy->process, err) : 0;
	if (rc == 0 && copy->command)
		rc = expand_command(config, copy->command, err);
	for (size_t i = 0; rc == 0 && i < copy->n_probes; i++)
		rc = expand_probe(config, copy->probes[i], err);
	if (rc < 0) {
		err_wrap(err, "service '%s'", copy->name);
		pb_free(&copy->base);
		return -1;
	}
	*ret = copy;
	return 0;
}
