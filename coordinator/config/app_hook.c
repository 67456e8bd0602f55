/* `hooks` of fairlead.yaml: commands around the activation of a release. */
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/config/app_impl.h"

#include <assert.h>

enum { SECOND_MS = 1000, DAY_MS = 24 * 60 * 60 * 1000 };

/* One entry in its long form; the short forms are a mapping with `run` alone. */
struct hook_file {
	char **run;
	unsigned class;
	uint64_t timeout_ms;
	char *user;
};

static const struct config_choice classes[] = {
	{"again", FAIRLEAD__V1__STEP_CLASS__STEP_AGAIN, CONFIG_CHOICE_NOW},
	{"once", FAIRLEAD__V1__STEP_CLASS__STEP_ONCE, CONFIG_CHOICE_NOW},
	{NULL, 0, CONFIG_CHOICE_NOW},
};

static void add_word(char ***words, size_t *count, char *word)
{
	*words = xrealloc(*words, (*count + 2) * sizeof(**words));
	(*words)[(*count)++] = word;
	(*words)[*count] = NULL;
}

/* Words between blanks. What a shell would read differently is refused rather than taken as it is.
 */
static int split(const struct yaml_node *node, char ***words, struct err *err)
{
	size_t count = 0;
	if (strpbrk(node->text, "\"'`\\|&;<>()*?"))
		return yaml_error(node, err,
			"no shell reads this; write a list, for example [sh, -c, \"...\"]");
	for (const char *at = node->text + strspn(node->text, " \t"); *at;
		at += strspn(at, " \t")) {
		size_t len = strcspn(at, " \t");
		add_word(words, &count, xstrndup(at, len));
		at += len;
	}
	return 0;
}

static int list_words(const struct yaml_node *node, char ***words, struct err *err)
{
	size_t count = 0;
	if (config_expect(node, YAML_LIST, "write a command, or a list of its words", err) < 0)
		return -1;
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		if (config_expect(item, YAML_SCALAR, "write a word of the command", err) < 0)
			return -1;
		add_word(words, &count, xstrdup(item->text));
	}
	return 0;
}

static int load_run(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	(void)mode;
	char **words = NULL;
	struct err wrong = ERR_INIT;
	int rc = node->kind == YAML_SCALAR ? split(node, &words, err)
					   : list_words(node, &words, err);
	if (rc == 0 && (!words || !words[0][0]))
		rc = yaml_error(node, err, "no command; write for example [bin/preflight]");
	for (size_t i = 0; rc == 0 && words && words[i]; i++) {
		if (app_check_variables(words[i], &wrong) == 0)
			continue;
		if (err)
			*err = wrong;
		rc = yaml_error_wrap(node, err);
	}
	if (rc < 0) {
		config_list_free(words);
		return -1;
	}
	*(char ***)member = words;
	return 0;
}

const struct config_field app_hook_fields[] = {
	{.key = "run",
		.type = CONFIG_CUSTOM,
		.need = CONFIG_REQUIRED,
		CONFIG_MEMBER(struct hook_file, run),
		.load = load_run,
		.doc = "Program and arguments, no shell: words between blanks, or a list. The "
		       "program is a path in the release, an absolute path, or found on PATH"},
	{.key = "class",
		.type = CONFIG_CHOICE,
		CONFIG_MEMBER(struct hook_file, class),
		.choices = classes,
		.preset = "again",
		.doc = "`once`: when the agent dies in the middle of it the host holds for a "
		       "decision; `again`: it is run again"},
	{.key = "timeout",
		.type = CONFIG_DURATION,
		CONFIG_MEMBER(struct hook_file, timeout_ms),
		.min = SECOND_MS,
		.max = DAY_MS,
		.preset = "5m",
		.doc = "Then it is ended, with all that it started, and has failed"},
	{.key = "user",
		.type = CONFIG_NAME,
		CONFIG_MEMBER(struct hook_file, user),
		.doc = "Whom it runs as, where the agent is root. Left out: the services' user"},
	{0},
};

static Fairlead__V1__Hook *compile(const struct hook_file *file)
{
	Fairlead__V1__Hook *hook = xmalloc(sizeof(*hook));
	fairlead__v1__hook__init(hook);
	assert(file->run); /* it is required */
	while (file->run[hook->n_command])
		hook->n_command++;
	hook->command = xcalloc(hook->n_command, sizeof(*hook->command));
	for (size_t i = 0; i < hook->n_command; i++)
		pb_set_bytes(&hook->command[i], file->run[i], strlen(file->run[i]));
	hook->class_ = file->class;
	hook->timeout_ms = file->timeout_ms;
	pb_set_str(&hook->user, file->user ? file->user : "");
	return hook;
}

static int load_one(const struct yaml_node *node, struct app_hook_list *list, struct err *err)
{
	struct hook_file file = {0};
	int rc;
	if (node->kind == YAML_MAPPING) {
		rc = config_load(node, app_hook_fields, &file, CONFIG_NEW, err);
	} else {
		config_defaults(app_hook_fields, &file);
		rc = load_run(node, &file.run, CONFIG_NEW, err);
	}
	if (rc == 0) {
		list->hooks = xrealloc(list->hooks, (list->count + 1) * sizeof(*list->hooks));
		list->hooks[list->count++] = compile(&file);
	}
	config_list_free(file.run);
	config_release(app_hook_fields, &file);
	return rc;
}

int app_hooks_load(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err)
{
	(void)mode;
	struct app_hook_list *list = member;
	app_hook_list_release(list); /* an environment's replace the file's */
	if (node->kind == YAML_EMPTY)
		return 0;
	if (node->kind == YAML_SCALAR)
		return load_one(node, list, err);
	if (config_expect(node, YAML_LIST, "write for example [bin/preflight]", err) < 0)
		return -1;
	for (const struct yaml_node *item = node->first; item; item = item->next)
		if (load_one(item, list, err) < 0)
			return -1;
	return 0;
}

void app_hook_list_release(struct app_hook_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		pb_free(&list->hooks[i]->base);
	free(list->hooks);
	*list = (struct app_hook_list){0};
}

uint64_t app_hook_list_move(struct app_hook_list *list, Fairlead__V1__HookPhase phase,
	Fairlead__V1__Hook ***ret, size_t *ret_count)
{
	uint64_t time_ms = 0;
	*ret = xrealloc(*ret, (*ret_count + list->count + 1) * sizeof(**ret));
	for (size_t i = 0; i < list->count; i++) {
		list->hooks[i]->phase = phase;
		time_ms += list->hooks[i]->timeout_ms;
		(*ret)[(*ret_count)++] = list->hooks[i];
	}
	free(list->hooks);
	*list = (struct app_hook_list){0};
	return time_ms;
}
