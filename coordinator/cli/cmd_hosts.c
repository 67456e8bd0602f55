#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/clock.h"
#include "coordinator/cli/context.h"
#include "coordinator/cli/table.h"
#include "coordinator/report/style.h"

/* ---- list: the inventory, without asking anybody ---- */

static char *labels_text(const struct fleet_host *host)
{
	AUTO(buf) struct buf text = {0};
	for (size_t i = 0; i < host->label_count; i++)
		buf_printf(&text, "%s%s=%s", i ? " " : "", host->labels[i].name,
			host->labels[i].value);
	return xstrdup(buf_str(&text));
}

static void list_json(const struct fleet_host *host)
{
	char key[KEY_TEXT_SIZE];
	cJSON *object = cJSON_CreateObject();
	json_add_text(object, "host", host->name);
	json_add_text(object, "address", host->address);
	cJSON_AddStringToObject(object, "key", public_key_text(&host->key, key));
	cJSON *labels = cJSON_AddObjectToObject(object, "labels");
	for (size_t i = 0; i < host->label_count; i++)
		json_add_text(labels, host->labels[i].name, host->labels[i].value);
	json_print_line(stdout, object);
}

static int hosts_list(const struct options *options, struct err *err)
{
	static const char *const headings[] = {"HOST", "ADDRESS", "LABELS", "KEY"};
	AUTO(fleet) struct fleet fleet = {0};
	if (fleet_open(options_fleet_path(options), options->environment, options->limit, &fleet,
		    err) < 0)
		return -1;
	struct table table;
	table_init(&table, headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < fleet.count; i++) {
		const struct fleet_host *host = fleet.hosts[i];
		char key[KEY_TEXT_SIZE];
		AUTO_FREE char *labels = labels_text(host);
		const char *const cells[] = {
			host->name, host->address, labels, public_key_text(&host->key, key)};
		if (options->json)
			list_json(host);
		else
			table_add(&table, cells);
	}
	if (!options->json)
		table_print(&table, stdout);
	table_release(&table);
	return 0;
}

/* ---- ping: can each be reached and trusted, and does it obey this key? ---- */

static int64_t skew_ms(const struct member *member)
{
	return (int64_t)(member->description->now_unix_ms - clock_unix_ms());
}

static void ping_json(const struct member *member)
{
	cJSON *object = cJSON_CreateObject();
	json_add_text(object, "host", member->host->name);
	json_add_text(object, "address", member->host->address);
	cJSON_AddBoolToObject(object, "reachable", member->state == MEMBER_READY);
	if (member->state == MEMBER_READY) {
		cJSON_AddNumberToObject(object, "ms", (double)member->ready_ms);
		json_add_text(object, "hostname", member->description->hostname);
		json_add_text(object, "agent_version", member->description->agent_version);
		json_add_text(object, "privilege", member->description->privilege);
		cJSON_AddNumberToObject(
			object, "free_bytes", (double)member->description->free_bytes);
		cJSON_AddNumberToObject(object, "clock_skew_ms", (double)skew_ms(member));
	} else {
		cJSON_AddItemToObject(object, "error", json_error(&member->err));
	}
	json_print_line(stdout, object);
}

static void ping_row(struct table *table, const struct member *member)
{
	char took[TEXT_UNIT_SIZE] = "-", room[TEXT_UNIT_SIZE] = "-", skew[32] = "-";
	const Fairlead__V1__HostDescription *host = member->description;
	if (member->state == MEMBER_READY) {
		text_duration(member->ready_ms, took);
		text_bytes(host->free_bytes, room);
		snprintf(skew, sizeof(skew), "%+.1fs", (double)skew_ms(member) / 1000);
	}
	const char *const cells[] = {member->host->name, member->host->address,
		member->state == MEMBER_READY ? "ok" : err_code_name(member->err.code), took,
		host ? host->hostname : "-", host ? host->agent_version : "-",
		host ? host->privilege : "-", room, skew};
	table_add(table, cells);
}

static int hosts_ping(const struct options *options, struct err *err)
{
	static const char *const headings[] = {"HOST", "ADDRESS", "STATE", "TOOK", "HOSTNAME",
		"AGENT", "RUNS AS", "FREE", "CLOCK"};
	AUTO(context) struct context context = {0};
	struct table table;
	if (context_open(options, &context, err) < 0)
		return -1;
	hosts_wait_described(context.hosts);
	table_init(&table, headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < hosts_count(context.hosts); i++) {
		const struct member *member = hosts_member(context.hosts, i);
		if (options->json)
			ping_json(member);
		else
			ping_row(&table, member);
	}
	if (!options->json)
		table_print(&table, stdout);
	table_release(&table);
	return context_failures(&context, options, err);
}

static const struct {
	const char *name;
	int (*run)(const struct options *options, struct err *err);
} actions[] = {
	{"list", hosts_list},
	{"ping", hosts_ping},
};

static int run(const struct options *options, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(options->args[0], actions[i].name) == 0)
			return actions[i].run(options, err);
	err_set(err, ERR_USAGE, "'%s' is not something to do with hosts", options->args[0]);
	return err_hint(err, "Write `fairlead hosts list` or `fairlead hosts ping`.");
}

const struct command command_hosts = {
	.name = "hosts",
	.args = "list|ping",
	.args_min = 1,
	.args_max = 1,
	.summary = "list the hosts of the fleet, or try to reach each",
	.details = "`hosts list` prints the inventory. `hosts ping` opens a link to each host, "
		   "which proves its key and ours, and asks it about itself: how long that took, "
		   "its agent's version, whom services run as, free disk space, and how far its "
		   "clock is off.",
	.run = run,
};
