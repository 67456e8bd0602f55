#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "coordinator/cli/context.h"
#include "coordinator/cli/named_hosts.h"
#include "coordinator/fleet/hosts_call.h"
#include "coordinator/report/style.h"
#include "coordinator/rollout/label.h"

/* Every file of a release is hashed. */
enum { DRIFT_DEADLINE_MS = 30 * 60 * 1000, EXIT_DRIFTED = 6 };

struct survey {
	const struct options *options;
	struct hosts *hosts;
	Fairlead__V1__DriftReport **reports; /* by index of the member; owned */
	bool drifted;
	struct err err; /* the first host that could not tell */
};

static const char *kind_name(Fairlead__V1__DriftKind kind)
{
	static const char *const names[] = {
		[FAIRLEAD__V1__DRIFT_KIND__DRIFT_CHANGED] = "changed",
		[FAIRLEAD__V1__DRIFT_KIND__DRIFT_MISSING] = "missing",
		[FAIRLEAD__V1__DRIFT_KIND__DRIFT_EXTRA] = "extra",
		[FAIRLEAD__V1__DRIFT_KIND__DRIFT_MODE] = "mode",
		[FAIRLEAD__V1__DRIFT_KIND__DRIFT_TYPE] = "type",
		[FAIRLEAD__V1__DRIFT_KIND__DRIFT_TARGET] = "target",
	};
	return (size_t)kind < ARRAY_LEN(names) && names[kind] ? names[kind] : "unknown";
}

static void print_json(const struct member *member, const Fairlead__V1__DriftReport *report)
{
	char hex[DIGEST_HEX_SIZE] = "";
	struct digest digest;
	cJSON *object = cJSON_CreateObject();
	if (digest_from_bytes(report->manifest.data, report->manifest.len, &digest))
		digest_hex(&digest, hex);
	json_add_text(object, "host", member->host->name);
	cJSON_AddStringToObject(object, "release", hex);
	json_add_text(object, "commit", report->commit);
	cJSON_AddNumberToObject(object, "files", (double)report->files);
	cJSON_AddNumberToObject(object, "bytes", (double)report->bytes);
	cJSON_AddNumberToObject(object, "total", (double)report->total);
	cJSON *items = cJSON_AddArrayToObject(object, "drift");
	for (size_t i = 0; i < report->n_items; i++) {
		const Fairlead__V1__DriftItem *item = report->items[i];
		AUTO_FREE char *path = xstrndup((const char *)item->path.data, item->path.len);
		cJSON *entry = cJSON_CreateObject();
		cJSON_AddStringToObject(entry, "kind", kind_name(item->kind));
		json_add_text(entry, "path", path);
		cJSON_AddItemToArray(items, entry);
	}
	json_print_line(stdout, object);
}

static void print_text(const struct member *member, const Fairlead__V1__DriftReport *report)
{
	AUTO_FREE char *commit = label_short(report->commit);
	char size[TEXT_UNIT_SIZE];
	if (report->total == 0)
		printf("%s: as deployed (%s, %llu files, %s)\n", member->host->name, commit,
			(unsigned long long)report->files, text_bytes(report->bytes, size));
	else
		printf("%s: %llu of release %s drifted\n", member->host->name,
			(unsigned long long)report->total, commit);
	for (size_t i = 0; i < report->n_items; i++) {
		const Fairlead__V1__DriftItem *item = report->items[i];
		AUTO(buf) struct buf path = {0};
		text_escape(&path, BYTES(item->path.data, item->path.len));
		printf("  %-8s %s\n", kind_name(item->kind), buf_str(&path));
	}
	if (report->total > report->n_items)
		printf("  … and %llu more\n",
			(unsigned long long)(report->total - report->n_items));
	fflush(stdout);
}

static void on_report(void *user, struct member *member, const ProtobufCMessage *message)
{
	struct survey *survey = user;
	Fairlead__V1__DriftReport **report = &survey->reports[member_index(survey->hosts, member)];
	if (!*report)
		*report = (Fairlead__V1__DriftReport *)(void *)pb_copy(message);
}

/* In the order of the fleet, whoever answered first. */
static void show(struct survey *survey)
{
	for (size_t i = 0; i < hosts_count(survey->hosts); i++) {
		Fairlead__V1__DriftReport *report = survey->reports[i];
		if (!report)
			continue;
		survey->drifted = survey->drifted || report->total > 0;
		if (survey->options->json)
			print_json(hosts_member(survey->hosts, i), report);
		else
			print_text(hosts_member(survey->hosts, i), report);
		pb_free(&report->base);
	}
	free(TAKE(survey->reports));
}

static void on_ended(void *user, struct member *member, const struct err *err)
{
	struct survey *survey = user;
	(void)member;
	if (err->code != ERR_NONE && survey->err.code == ERR_NONE)
		survey->err = *err;
}

static const struct hosts_call_ops drift_ops = {.message = on_report, .ended = on_ended};

static int run(const struct options *options, struct err *err)
{
	AUTO(context) struct context context = {0};
	struct survey survey = {.options = options};
	AUTO_FREE char *text = NULL;
	struct options chosen = *options;
	if (named_hosts(options, &chosen.limit, &text, err) < 0 ||
		context_open(&chosen, &context, err) < 0)
		return -1;
	hosts_wait_described(context.hosts);
	survey.hosts = context.hosts;
	survey.reports = xcalloc(hosts_count(context.hosts) + 1, sizeof(*survey.reports));
	hosts_call_all(context.hosts, FAIRLEAD__V1__ACTION__ACTION_DRIFT, DRIFT_DEADLINE_MS,
		&drift_ops, &survey);
	show(&survey);
	if (survey.err.code != ERR_NONE) {
		*err = survey.err;
		return -1;
	}
	int status = context_failures(&context, options, err);
	return status == 0 && survey.drifted ? EXIT_DRIFTED : status;
}

const struct command command_drift = {
	.name = "drift",
	.args = "[HOST...]",
	.args_max = 1000,
	.summary = "compare the files on hosts with the release they run",
	.details =
		"Each host hashes every file of its current release and names those that differ: "
		"changed, missing, extra, another mode, another type, or a link to another target. "
		"Shared paths are left out. At most two comparisons run on a host at once; one "
		"whose "
		"client goes away ends.\n\n"
		"Exits 6 when something drifted. `fairlead deploy` of the same commit puts nothing "
		"right, since hosts on it are skipped; deploy the next commit, or roll back and "
		"forward: files that differ are then sent anew.",
	.run = run,
};
