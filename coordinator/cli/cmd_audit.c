#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/cli/audit_host.h"
#include "coordinator/cli/context.h"
#include "coordinator/cli/named_hosts.h"
#include "coordinator/fleet/hosts_call.h"
#include "coordinator/report/style.h"

enum { AUDIT_DEADLINE_MS = 10 * 60 * 1000, EXIT_DOES_NOT_VERIFY = 8 };

struct hearing {
	const struct options *options;
	struct context context;
	struct ledger *ledger;
	struct audit_host **audits; /* by index of the member */
	bool found;
	struct err err; /* the first that kept a host from being audited */
};

static struct audit_host **audit_of(struct hearing *hearing, const struct member *member)
{
	return &hearing->audits[member_index(hearing->context.hosts, member)];
}

static bool begin(void *user, struct member *member, Fairlead__V1__Command *command)
{
	struct hearing *hearing = user;
	(void)command;
	const struct audit_host_setup setup = {
		.name = member->host->name,
		.key = &member->host->key,
		.app = hearing->context.config.app,
		.environment = hearing->context.config.environment,
	};
	*audit_of(hearing, member) = audit_host_new(&setup);
	return true;
}

static void on_chunk(void *user, struct member *member, const ProtobufCMessage *message)
{
	audit_host_take(*audit_of(user, member), (const void *)message);
}

/* ---- showing ---- */

static void print_json(const struct member *member, const struct audit_host *host)
{
	const struct audit *audit = audit_host_result(host);
	cJSON *object = cJSON_CreateObject();
	json_add_text(object, "host", member->host->name);
	cJSON_AddBoolToObject(object, "verified", audit->finding.record == 0);
	cJSON_AddNumberToObject(object, "files", (double)audit->segments);
	cJSON_AddNumberToObject(object, "first_record", (double)audit->first);
	cJSON_AddNumberToObject(object, "last_record", (double)audit->chain.number);
	cJSON_AddNumberToObject(object, "receipts", (double)audit->receipts);
	cJSON_AddNumberToObject(object, "compared", audit_host_compared(host));
	cJSON_AddNumberToObject(object, "older", audit_host_older(host));
	if (audit->finding.record) {
		cJSON *finding = cJSON_AddObjectToObject(object, "finding");
		json_add_text(finding, "file", audit->finding.file);
		cJSON_AddNumberToObject(finding, "record", (double)audit->finding.record);
		json_add_text(finding, "what", audit->finding.what);
	} else {
		cJSON_AddNullToObject(object, "finding");
	}
	json_print_line(stdout, object);
}

static void print_text(const struct member *member, const struct audit_host *host)
{
	const struct audit *audit = audit_host_result(host);
	AUTO_FREE char *file = text_escaped(audit->finding.file);
	AUTO_FREE char *what = text_escaped(audit->finding.what);
	if (audit->finding.record)
		printf("%s: DOES NOT VERIFY at record %llu of '%s': %s\n", member->host->name,
			(unsigned long long)audit->finding.record, file, what);
	else if (!audit->first)
		printf("%s: nothing was ever deployed\n", member->host->name);
	else
		printf("%s: verified, records %llu to %llu, %llu receipts, %u as in the ledger\n",
			member->host->name, (unsigned long long)audit->first,
			(unsigned long long)audit->chain.number,
			(unsigned long long)audit->receipts, audit_host_compared(host));
	fflush(stdout);
}

static void on_ended(void *user, struct member *member, const struct err *err)
{
	struct hearing *hearing = user;
	struct audit_host *host = *audit_of(hearing, member);
	struct err failure = *err;
	/* The app is new there: the ledger may know better. */
	if (failure.code == ERR_NOT_FOUND)
		err_clear(&failure);
	if (failure.code == ERR_NONE)
		audit_host_conclude(host, hearing->ledger, &failure);
	if (failure.code == ERR_NONE)
		return;
	audit_host_free(host);
	*audit_of(hearing, member) = NULL;
	if (hearing->err.code == ERR_NONE)
		hearing->err = failure;
}

/* In the order of the fleet, whoever answered first. */
static void show(struct hearing *hearing)
{
	for (size_t i = 0; i < hosts_count(hearing->context.hosts); i++) {
		const struct member *member = hosts_member(hearing->context.hosts, i);
		const struct audit_host *host = hearing->audits[i];
		if (!host)
			continue;
		hearing->found = hearing->found || audit_host_result(host)->finding.record;
		if (hearing->options->json)
			print_json(member, host);
		else
			print_text(member, host);
	}
}

static const struct hosts_call_ops audit_ops = {
	.fill = begin,
	.message = on_chunk,
	.ended = on_ended,
};

static void hearing_release(struct hearing *hearing)
{
	for (size_t i = 0; hearing->audits && i < hosts_count(hearing->context.hosts); i++)
		audit_host_free(hearing->audits[i]);
	free(hearing->audits);
	ledger_free(hearing->ledger);
	context_release(&hearing->context);
}

/* Evidence that does not verify weighs more than a host that is away. */
static int conclude(struct hearing *hearing, struct err *err)
{
	int status = context_failures(&hearing->context, hearing->options, err);
	if (hearing->found) {
		if (status != 0)
			report_error(options_style(hearing->options), err);
		err_clear(err);
		return EXIT_DOES_NOT_VERIFY;
	}
	if (status == 0 && hearing->err.code != ERR_NONE) {
		*err = hearing->err;
		return -1;
	}
	return status;
}

static int run(const struct options *options, struct err *err)
{
	AUTO(hearing) struct hearing hearing = {.options = options};
	AUTO_FREE char *text = NULL;
	struct options chosen = *options;
	if (named_hosts(options, &chosen.limit, &text, err) < 0 ||
		ledger_open(options->ledger, &hearing.ledger, err) < 0 ||
		context_open(&chosen, &hearing.context, err) < 0)
		return -1;
	struct hosts *hosts = hearing.context.hosts;
	hosts_wait_described(hosts);
	hearing.audits = xcalloc(hosts_count(hosts) + 1, sizeof(*hearing.audits));
	hosts_call_all(
		hosts, FAIRLEAD__V1__ACTION__ACTION_AUDIT, AUDIT_DEADLINE_MS, &audit_ops, &hearing);
	show(&hearing);
	return conclude(&hearing, err);
}

static const struct option_row rows[] = {
	{"all", 0, OPTION_FLAG, NULL, offsetof(struct options, all),
		"every host of the environment (also when none is named)"},
	{0},
};

const struct command command_audit = {
	.name = "audit",
	.args = "[HOST...]",
	.args_max = 1000,
	.summary = "verify what hosts say they did",
	.details =
		"Fetches each host's journal as it is and verifies every checksum, link and signed "
		"receipt, then compares with the receipts in the ledger. The first record that "
		"does "
		"not fit is named: host, file, number, and what is wrong with it. Receipts that "
		"verify and are new to the ledger are added to it.\n\n"
		"Exits 8 when something does not verify.",
	.options = rows,
	.run = run,
};
