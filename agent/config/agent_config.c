#include "agent/config/agent_config.h"

#include "common/base/mem.h"

#include <errno.h>
#include <limits.h>

static int check_listen(const char *text, struct err *err)
{
	const char *colon = strrchr(text, ':');
	char *end = NULL;
	errno = 0;
	unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
	if (!colon || colon == text || end == colon + 1 || *end || errno || port > 65535)
		return err_set(err, ERR_CONFIG,
			"\"%s\" is not an address and port; write for example 0.0.0.0:7443", text);
	return 0;
}

/* The names of environment variables (POSIX 8.1). */
static int check_variable(const char *text, struct err *err)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
	if (n > 0 && text[n] == '\0' && (text[0] < '0' || text[0] > '9'))
		return 0;
	return err_set(err, ERR_CONFIG,
		"\"%s\" is not a variable's name; write letters, digits and '_'", text);
}

static const struct config_field user_fields[] = {
	{.key = "gateway",
		.type = CONFIG_NAME,
		CONFIG_MEMBER(struct agent_config, users.gateway),
		.preset = "fairlead-gateway",
		.doc = "The user fairlead-gateway becomes when the agent is root"},
	{.key = "probe",
		.type = CONFIG_NAME,
		CONFIG_MEMBER(struct agent_config, users.probe),
		.preset = "fairlead-probe",
		.doc = "The user fairlead-probe becomes when the agent is root"},
	{0},
};

static const struct config_field limit_fields[] = {
	{.key = "connections",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct agent_config, limits.connections),
		.min = 1,
		.max = 100000,
		.preset = "1024",
		.doc = "Connections of known keys at once, in all; the next is told so"},
	{.key = "connections_per_address",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct agent_config, limits.connections_per_address),
		.min = 1,
		.max = 100000,
		.preset = "64",
		.doc = "Connections of known keys at once from one address (of IPv6: one /64)"},
	{.key = "handshakes",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct agent_config, limits.handshakes),
		.min = 1,
		.max = 100000,
		.preset = "256",
		.doc = "Connections at once that have not shown a known key yet, in all. They have "
		       "5s for it; when another comes, the oldest makes room"},
	{.key = "handshakes_per_address",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct agent_config, limits.handshakes_per_address),
		.min = 1,
		.max = 100000,
		.preset = "64",
		.doc = "The same from one address (of IPv6: one /64)"},
	{0},
};

static const struct config_field journal_fields[] = {
	{.key = "segment",
		.type = CONFIG_SIZE,
		CONFIG_MEMBER(struct agent_config, journal.segment_bytes),
		.min = 1,
		.max = 64ULL * 1024 * 1024,
		.preset = "1M",
		.doc = "A file of an app's journal that is larger gives way to a new one once its "
		       "deployment has ended"},
	{.key = "keep",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct agent_config, journal.keep),
		.min = 1,
		.max = 1000,
		.preset = "16",
		.doc = "Older files of the journal that stay, for `fairlead audit`"},
	{0},
};

const struct config_field agent_config_fields[] = {
	{.key = "version",
		.type = CONFIG_NUMBER,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct agent_config, version),
		.min = 1,
		.max = 1,
		.write = "write version: 1",
		.doc = "Of the format"},
	{.key = "listen",
		.type = CONFIG_TEXT,
		CONFIG_MEMBER(struct agent_config, listen),
		.min = 1,
		.preset = "0.0.0.0:7443",
		.check = check_listen,
		.doc = "Address and port to listen on; port 0 picks a free one"},
	{.key = "root",
		.type = CONFIG_PATH,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct agent_config, root),
		.doc = "Where releases are kept, one folder for each app and environment"},
	{.key = "state",
		.type = CONFIG_PATH,
		CONFIG_MEMBER(struct agent_config, state),
		.preset = "/var/lib/fairlead",
		.doc = "Where the host's key is kept"},
	{.key = "trust",
		.type = CONFIG_PATH,
		CONFIG_MEMBER(struct agent_config, trust),
		.preset = "/etc/fairlead/trust",
		.doc = "The folder of `policy.yaml`"},
	{.key = "libexec",
		.type = CONFIG_PATH,
		CONFIG_MEMBER(struct agent_config, libexec),
		.doc = "Where `fairlead-gateway`, `fairlead-probe` and `fairlead-shim` are; left "
		       "out: "
		       "beside the agent"},
	{.key = "users",
		.type = CONFIG_SECTION,
		.fields = user_fields,
		.doc = "Whom the unprivileged programs become; ignored when the agent is not root"},
	{.key = "limits", .type = CONFIG_SECTION, .fields = limit_fields, .doc = "Of the gateway"},
	{.key = "journal",
		.type = CONFIG_SECTION,
		.fields = journal_fields,
		.doc = "The journal of each app and environment"},
	{.key = "boot_id",
		.type = CONFIG_PATH,
		CONFIG_MEMBER(struct agent_config, boot_id),
		.preset = "/proc/sys/kernel/random/boot_id",
		.doc = "The file that tells one boot of this host from another; another one is for "
		       "containers that restart without their host, and for tests"},
	{.key = "variables",
		.type = CONFIG_MAP,
		CONFIG_MEMBER(struct agent_config, variables),
		.check_key = check_variable,
		.doc = "This host's own variables: in the environment of every service, and for "
		       "`${NAME}` in commands, environment values and probe addresses"},
	{0},
};

/* The programs of one version belong together, so the default is beside the running agent. */
static int default_libexec(struct agent_config *config, struct err *err)
{
	char path[PATH_MAX];
	if (config->libexec)
		return 0;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n < 0)
		return err_errno(err, ERR_IO, errno, "cannot find the agent's own program");
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	config->libexec = xstrdup(path);
	return 0;
}

int agent_config_load(const char *path, struct agent_config *ret, struct err *err)
{
	AUTO_YAML struct yaml *yaml = NULL;
	*ret = (struct agent_config){0};
	if (yaml_load_file(path, &yaml, err) < 0) {
		if (err && err->code == ERR_NOT_FOUND)
			err_hint(err, "Write it as docs/configuration.md says, or name another "
				      "file with --config.");
		return -1;
	}
	if (config_load(yaml_root(yaml), agent_config_fields, ret, CONFIG_NEW, err) < 0 ||
		default_libexec(ret, err) < 0) {
		agent_config_release(ret);
		return -1;
	}
	return 0;
}

void agent_config_release(struct agent_config *config)
{
	config_release(agent_config_fields, config);
}
