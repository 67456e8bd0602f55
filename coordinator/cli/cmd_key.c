#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"
#include "common/trust/key.h"
#include "coordinator/cli/options.h"
#include "coordinator/report/style.h"

static void print_key(
	const struct options *options, const struct signing_key *key, const char *path)
{
	char text[KEY_TEXT_SIZE], id_hex[2 * KEY_ID_SIZE + 1];
	struct key_id id = public_key_id(signing_key_public(key));
	sodium_bin2hex(id_hex, sizeof(id_hex), id.bytes, sizeof(id.bytes));
	public_key_text(signing_key_public(key), text);
	AUTO_FREE char *shown_path = text_escaped(path);
	if (!options->json) {
		printf("key: %s\nid: %s\nfile: %s\n", text, id_hex, shown_path);
		return;
	}
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "key", text);
	cJSON_AddStringToObject(object, "id", id_hex);
	cJSON_AddStringToObject(object, "file", shown_path);
	json_print_line(stdout, object);
}

/* The default place may not exist on a new machine; a FILE that was named is taken literally. */
static int make_default_parent(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return 0;
	AUTO_FREE char *parent = xstrndup(path, (size_t)(slash - path));
	return make_dirs(parent, 0700, err);
}

static int key_new(const struct options *options, const char *path, struct err *err)
{
	AUTO_SIGNING_KEY struct signing_key *key = signing_key_new();
	bool named = options->arg_count > 1 || options->key;
	if (!named && make_default_parent(path, err) < 0)
		return -1;
	if (signing_key_save(key, path, err) < 0)
		return -1;
	print_key(options, key, path);
	return 0;
}

static int key_show(const struct options *options, const char *path, struct err *err)
{
	AUTO_SIGNING_KEY struct signing_key *key = NULL;
	if (signing_key_load(path, &key, err) < 0)
		return -1;
	print_key(options, key, path);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct options *options, const char *path, struct err *err);
} actions[] = {
	{"new", key_new},
	{"show", key_show},
};

static int run(const struct options *options, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (strcmp(options->args[0], actions[i].name) != 0)
			continue;
		AUTO_FREE char *path = options->arg_count > 1 ? xstrdup(options->args[1])
							      : options_key_path(options, err);
		return path ? actions[i].run(options, path, err) : -1;
	}
	err_set(err, ERR_USAGE, "'%s' is not something to do with a key", options->args[0]);
	return err_hint(err, "Write `fairlead key new` or `fairlead key show`.");
}

const struct command command_key = {
	.name = "key",
	.args = "new|show [FILE]",
	.args_min = 1,
	.args_max = 2,
	.summary = "make a signing key, or show its public half",
	.details =
		"A signing key is an Ed25519 key in a file of mode 0600. Operators and CI sign "
		"their commands with one; each host is known by its own.\n\n"
		"`key new` makes the file and never overwrites one. `key show` prints the public "
		"key, which goes into the hosts' policy.yaml (or, for a host's key, into "
		"fleet.yaml), and the key id by which hosts name it in their errors.\n\n"
		"FILE defaults to --key, then $FAIRLEAD_KEY, then ~/.config/fairlead/key.",
	.run = run,
};
