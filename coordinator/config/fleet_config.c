#include "coordinator/config/fleet_config.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/units.h"
#include "coordinator/config/fleet_fields.h"

/* An inventory may be generated, for thousands of hosts. */
enum { FLEET_BYTES_MAX = 16 * 1024 * 1024, FLEET_NODES_MAX = 1000 * 1000 };

struct fleet_file {
	unsigned version;
	struct fleet_config config;
};

static int check_label(const char *text, struct err *err)
{
	if (text_is_name(text))
		return 0;
	return err_set(err, ERR_CONFIG,
		"labels and their values are words; write letters, digits, '.', '_' or '-', "
		"beginning with a letter or digit");
}

/* "host:port" or "[v6]:port". */
static int check_address(const char *text, struct err *err)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
	bool plain = len > 0 && strcspn(text, ":[]/ \t") == len;
	uint64_t port;
	if ((bracketed || plain) && units_parse_number(colon + 1, &port) && port >= 1 &&
		port <= 65535)
		return 0;
	return err_set(err, ERR_CONFIG,
		"\"%.60s\" is not an address with a port; write for example 10.0.0.11:7443 or "
		"[2001:db8::11]:7443",
		text);
}

static int load_key(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	(void)mode;
	if (config_expect(node, YAML_SCALAR, "write for example \"ed25519:...\"", err) < 0)
		return -1;
	return public_key_parse(node->text, member, err) < 0 ? yaml_error_wrap(node, err) : 0;
}

static int load_labels(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err);
static int load_hosts(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err);

static const struct config_field host_fields[] = {
	{.key = "address",
		.type = CONFIG_TEXT,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct fleet_host, address),
		.min = 1,
		.check = check_address,
		.write = "write for example 10.0.0.11:7443",
		.doc = "Where its agent listens, `host:port`"},
	{.key = "key",
		.type = CONFIG_CUSTOM,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct fleet_host, key),
		.load = load_key,
		.write = "write the public key that `fairlead-agent key` prints on the host",
		.doc = "The host's public key, `ed25519:` and base64; a host with another key is "
		       "refused"},
	{.key = "labels",
		.type = CONFIG_CUSTOM,
		.offset = 0,
		.load = load_labels,
		.doc = "Words for selectors, `{ role: web, zone: a }`"},
	{0},
};

const struct config_field fleet_fields[] = {
	{.key = "version",
		.type = CONFIG_NUMBER,
		CONFIG_MEMBER(struct fleet_file, version),
		.min = 1,
		.max = 1,
		.preset = "1",
		.doc = "Of the format"},
	{.key = "hosts",
		.type = CONFIG_CUSTOM,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct fleet_file, config),
		.fields = host_fields,
		.entry = ".<name>",
		.load = load_hosts,
		.write = "write for example web1: { address: \"10.0.0.11:7443\", key: \"...\" }",
		.doc = "The hosts, by name"},
	{0},
};

static void labels_release(struct fleet_host *host)
{
	for (size_t i = 0; i < host->label_count; i++) {
		free(host->labels[i].name);
		free(host->labels[i].value);
	}
	free(host->labels);
}

/* Its member is the whole host, for the list and its count. */
static int load_labels(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	(void)mode;
	struct fleet_host *host = member;
	if (config_expect(node, YAML_MAPPING, "write for example { role: web }", err) < 0)
		return -1;
	host->labels = xcalloc(node->count, sizeof(*host->labels));
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		if (config_expect(child, YAML_SCALAR, "write one word", err) < 0)
			return -1;
		if (check_label(child->key, err) < 0 || check_label(child->text, err) < 0)
			return yaml_error_wrap(child, err);
		host->labels[host->label_count++] =
			(struct fleet_label){xstrdup(child->key), xstrdup(child->text)};
	}
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct fleet_host *const *x = a, *const *y = b;
	return memcmp((*x)->key.bytes, (*y)->key.bytes, sizeof((*x)->key.bytes));
}

static int by_address(const void *a, const void *b)
{
	const struct fleet_host *const *x = a, *const *y = b;
	return strcmp((*x)->address, (*y)->address);
}

/* A host listed twice would be deployed to twice at once. */
static int refuse_twins(
	const struct yaml_node *node, const struct fleet_config *config, struct err *err)
{
	static const struct {
		int (*compare)(const void *, const void *);
		const char *what;
	} orders[] = {{by_key, "key"}, {by_address, "address"}};

	AUTO_FREE const struct fleet_host **sorted = xcalloc(config->count, sizeof(*sorted));
	for (size_t i = 0; i < config->count; i++)
		sorted[i] = &config->hosts[i];
	for (size_t o = 0; o < ARRAY_LEN(orders); o++) {
		qsort(sorted, config->count, sizeof(*sorted), orders[o].compare);
		for (size_t i = 1; i < config->count; i++) {
			if (orders[o].compare(&sorted[i - 1], &sorted[i]) != 0)
				continue;
			const struct fleet_host *a = sorted[i - 1], *b = sorted[i];
			const struct fleet_host *later = a > b ? a : b, *earlier = a > b ? b : a;
			return yaml_error(yaml_get(yaml_get(node, later->name), orders[o].what),
				err, "the same as of host \"%s\"; list each host once",
				earlier->name);
		}
	}
	return 0;
}

static int load_hosts(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	(void)mode;
	struct fleet_config *config = member;
	if (config_expect(node, YAML_MAPPING, "write a name and below it address and key", err) < 0)
		return -1;
	config->hosts = xcalloc(node->count, sizeof(*config->hosts));
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		struct fleet_host *host = &config->hosts[config->count++];
		host->name = xstrdup(child->key);
		host->line = child->line;
		if (!text_is_name(child->key))
			return yaml_error(child, err,
				"not a name; write letters, digits, '.', '_' or '-', beginning "
				"with a letter or digit");
		if (config_load(child, host_fields, host, CONFIG_NEW, err) < 0)
			return -1;
	}
	return refuse_twins(node, config, err);
}

int fleet_config_load(const char *path, struct fleet_config *ret, struct err *err)
{
	AUTO(buf) struct buf text = {0};
	if (yaml_read_file(path, FLEET_BYTES_MAX, &text, err) < 0) {
		if (err && err->code == ERR_NOT_FOUND)
			err_hint(err, "Write the inventory as docs/configuration.md says, or name "
				      "it with -i FILE.");
		return -1;
	}
	AUTO_YAML struct yaml *yaml = NULL;
	if (yaml_load_bytes_max(
		    path, buf_bytes(&text), FLEET_BYTES_MAX, FLEET_NODES_MAX, &yaml, err) < 0)
		return -1;
	struct fleet_file file = {0};
	if (config_load(yaml_root(yaml), fleet_fields, &file, CONFIG_NEW, err) < 0) {
		fleet_config_release(&file.config);
		return -1;
	}
	*ret = file.config;
	ret->path = xstrdup(path);
	return 0;
}

void fleet_config_release(struct fleet_config *config)
{
	for (size_t i = 0; i < config->count; i++) {
		struct fleet_host *host = &config->hosts[i];
		free(host->name);
		labels_release(host);
		config_release(host_fields, host);
	}
	free(config->hosts);
	free(config->path);
	*config = (struct fleet_config){0};
}
