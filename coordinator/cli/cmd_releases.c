#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/cli/context.h"
#include "coordinator/cli/pins.h"
#include "coordinator/cli/release_choice.h"
#include "coordinator/cli/table.h"
#include "coordinator/report/style.h"
#include "coordinator/rollout/label.h"

enum { DIGEST_SHOWN = 12 };

static const char *const headings[] = {
	"HOST", "RELEASE", "COMMIT", "INSTALLED", "FILES", "SIZE", "STATE", "SERVICES"};

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

/* "current", "previous", "failed", "verified", or "" for one that was never activated; and whether
 * it is pinned. */
static const char *state_name(const Fairlead__V1__Release *release)
{
	return release->current    ? "current"
	       : release->failed   ? "failed"
	       : release->previous ? "previous"
	       : release->verified ? "verified"
				   : "";
}

static char *state_text(const Fairlead__V1__Release *release)
{
	const char *state = state_name(release);
	return xasprintf("%s%s%s", state, state[0] && release->pinned ? ", " : "",
		release->pinned ? "pinned" : "");
}

static char *services_text(const Fairlead__V1__Release *release)
{
	AUTO(buf) struct buf names = {0};
	for (size_t i = 0; i < release->n_services; i++)
		buf_printf(&names, "%s%s", i ? " " : "", release->services[i]);
	return xstrdup(buf_str(&names));
}

static void add_row(
	struct table *table, const struct member *member, const Fairlead__V1__Release *release)
{
	char hex[DIGEST_HEX_SIZE], when[TEXT_TIME_SIZE], files[24], size[TEXT_UNIT_SIZE];
	AUTO_FREE char *commit = label_short(release->commit);
	AUTO_FREE char *state = state_text(release);
	AUTO_FREE char *services = services_text(release);
	release_hex(release, hex);
	hex[DIGEST_SHOWN] = '\0';
	snprintf(files, sizeof(files), "%llu", (unsigned long long)release->files);
	const char *const cells[] = {member->host->name, hex, commit,
		text_time(release->installed_unix_ms, when), files,
		text_bytes(release->bytes, size), state, services};
	table_add(table, cells);
	if (release->failed && release->failed_reason[0])
		table_note(table, release->failed_reason);
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
	json_add_text(object, "failed_reason", release->failed_reason);
	cJSON_AddBoolToObject(object, "verified", release->verified);
	cJSON_AddBoolToObject(object, "previous", release->previous);
	cJSON_AddBoolToObject(object, "pinned", release->pinned);
	cJSON *services = cJSON_AddArrayToObject(object, "services");
	for (size_t i = 0; i < release->n_services; i++)
		cJSON_AddItemToArray(services, cJSON_CreateString(release->services[i]));
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

static int check_pin(const struct options *options, struct err *err)
{
	if (options->pin && options->unpin)
		return err_set(err, ERR_USAGE, "--pin and --unpin exclude each other");
	return release_check_name(options->pin ? options->pin : options->unpin, err);
}

static int set_pin(const struct options *options, struct context *context, struct err *err)
{
	if (options->pin)
		return pins_set(context, options, PIN_ON, options->pin, err);
	if (options->unpin)
		return pins_set(context, options, PIN_OFF, options->unpin, err);
	return 0;
}

static int run(const struct options *options, struct err *err)
{
	AUTO(context) struct context context = {0};
	struct listing listing = {.options = options};
	if (check_pin(options, err) < 0 || context_open(options, &context, err) < 0)
		return -1;
	hosts_wait_described(context.hosts);
	if (set_pin(options, &context, err) < 0)
		return -1;
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

static const struct option_row rows[] = {
	{"pin", 0, OPTION_STRING, "RELEASE", offsetof(struct options, pin),
		"keep this release, however old it gets"},
	{"unpin", 0, OPTION_STRING, "RELEASE", offsetof(struct options, unpin), "no longer"},
	{"actor", 0, OPTION_STRING, "NAME", offsetof(struct options, actor),
		"who asks (default $GITHUB_ACTOR, else user@host)"},
	{0},
};

const struct command command_releases = {
	.name = "releases",
	.args = "",
	.summary = "list the releases that each host has kept",
	.details =
		"Newest activation first, with the services that run from each. States: current is "
		"what "
		"the host runs, previous where a rollback goes, verified one that ran before, "
		"failed "
		"one that did not become healthy: the reason stands below it, and it is not "
		"deployed again without --retry-bad. `fairlead rollback RELEASE` goes back to any "
		"that did not fail.\n\n"
		"--pin RELEASE keeps one on every host that is asked: it is neither pruned nor "
		"recycled until --unpin. RELEASE is the beginning of a commit or digest.",
	.options = rows,
	.run = run,
};
