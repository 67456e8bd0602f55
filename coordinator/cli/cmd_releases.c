#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/cli/context.h"
#include "coordinator/cli/table.h"
#include "coordinator/report/style.h"
#include "coordinator/rollout/label.h"

enum { DIGEST_SHOWN = 12 };

static const char *const headings[] = {
	"HOST", "RELEASE", "COMMIT", "INSTALLED", "FILES", "SIZE", ""};

struct listing {
	const struct options *options;
	struct table table;
	struct err err; /* the first host that could not tell */
};

static void release_hex(const Fairlead__V1__Release *release, char hex[static DIGEST_HEX_SIZE])
{
	struct digest digest;
	hex[0] = '\0';
	if (digest_from_bytes(release->manifest.data, release->manifest.len, &digest))
		digest_hex(&digest, hex);
}

static void add_row(
	struct table *table, const struct member *member, const Fairlead__V1__Release *release)
{
	char hex[DIGEST_HEX_SIZE], when[TEXT_TIME_SIZE], files[24], size[TEXT_UNIT_SIZE];
	AUTO_FREE char *commit = label_short(release->commit);
	release_hex(release, hex);
	hex[DIGEST_SHOWN] = '\0';
	snprintf(files, sizeof(files), "%llu", (unsigned long long)release->files);
	const char *const cells[] = {member->host->name, hex, commit,
		text_time(release->installed_unix_ms, when), files,
		text_bytes(release->bytes, size),
		release->current  ? "current"
		: release->failed ? "failed"
				  : ""};
	table_add(table, cells);
}

static void print_json(const struct member *member, const Fairlead__V1__Release *release)
{
	char hex[DIGEST_HEX_SIZE], when[TEXT_TIME_SIZE];
	cJSON *object = cJSON_CreateObject();
	release_hex(release, hex);
	json_add_text(object, "host", member->host->name);
	cJSON_AddStringToObject(object, "release", hex);
	json_add_text(object, "commit", release->commit);
	cJSON_AddStringToObject(object, "installed", text_time(release->installed_unix_ms, when));
	cJSON_AddNumberToObject(object, "files", (double)release->files);
	cJSON_AddNumberToObject(object, "bytes", (double)release->bytes);
	cJSON_AddBoolToObject(object, "current", release->current);
	cJSON_AddBoolToObject(object, "failed", release->failed);
	json_print_line(stdout, object);
}

static void on_releases(
	void *user, struct member *member, const ProtobufCMessage *reply, const struct err *err)
{
	struct listing *listing = user;
	/* The app is new there: no releases, and nothing wrong. */
	if (err->code == ERR_NOT_FOUND)
		return;
	if (err->code != ERR_NONE) {
		if (listing->err.code == ERR_NONE)
			listing->err = *err;
		return;
	}
	const Fairlead__V1__ReleaseList *list = (const void *)reply;
	for (size_t i = 0; i < list->n_releases; i++) {
		if (listing->options->json)
			print_json(member, list->releases[i]);
		else
			add_row(&listing->table, member, list->releases[i]);
	}
}

static int run(const struct options *options, struct err *err)
{
	AUTO(context) struct context context = {0};
	struct listing listing = {.options = options};
	if (context_open(options, &context, err) < 0)
		return -1;
	hosts_wait_described(context.hosts);
	table_init(&listing.table, headings, ARRAY_LEN(headings));
	hosts_ask_all(context.hosts, FAIRLEAD__V1__ACTION__ACTION_RELEASES, on_releases, &listing);
	if (!options->json)
		table_print(&listing.table, stdout);
	table_release(&listing.table);
	if (listing.err.code != ERR_NONE) {
		*err = listing.err;
		return -1;
	}
	return context_failures(&context, options, err);
}

const struct command command_releases = {
	.name = "releases",
	.args = "",
	.summary = "list the releases that each host has kept",
	.details = "Newest activation first. The one marked current is what the host runs; one "
		   "marked failed did not become healthy and is not deployed again without "
		   "--retry-bad. `fairlead rollback RELEASE` goes back to any other.",
	.run = run,
};
