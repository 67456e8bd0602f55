#include "coordinator/cli/options.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <errno.h>

#define FIELD(name) offsetof(struct options, name)

const struct option_row common_options[] = {
	{"directory", 'C', OPTION_STRING, "DIR", FIELD(directory),
		"do everything as if started in DIR"},
	{"config", 'c', OPTION_STRING, "FILE", FIELD(config),
		"what is deployed (default fairlead.yaml)"},
	{"fleet", 'i', OPTION_STRING, "FILE", FIELD(fleet),
		"the inventory of hosts (default fleet.yaml)"},
	{"env", 'e', OPTION_STRING, "ENV", FIELD(environment), "the environment"},
	{"limit", 'l', OPTION_STRING, "SELECTOR", FIELD(limit),
		"only these hosts: \"role=web & zone=a\", \"web1,web2\", \"!role=db\""},
	{"key", 0, OPTION_STRING, "FILE", FIELD(key),
		"the signing key (default $FAIRLEAD_KEY, else ~/.config/fairlead/key)"},
	{"ledger", 0, OPTION_STRING, "FILE", FIELD(ledger),
		"the database of deployments (default ~/.local/state/fairlead/ledger.db)"},
	{"json", 0, OPTION_FLAG, NULL, FIELD(json), "print JSON instead of text"},
	{"verbose", 'v', OPTION_FLAG, NULL, FIELD(verbose), "say more"},
	{"quiet", 'q', OPTION_FLAG, NULL, FIELD(quiet), "say only the result and errors"},
	{"yes", 'y', OPTION_FLAG, NULL, FIELD(yes), "do not ask"},
	{"help", 'h', OPTION_FLAG, NULL, FIELD(help), "print this help"},
	{0},
};

struct parser {
	const struct option_row *const *tables;
	int argc, at; /* `at` is the word being read */
	char **argv;
	struct options *options;
	struct err *err;
};

/* The row for which name matches (len > 0) or the letter does. */
static const struct option_row *find_row(
	const struct parser *parser, const char *name, size_t len, char letter)
{
	for (size_t t = 0; parser->tables[t]; t++)
		for (const struct option_row *row = parser->tables[t]; row->name; row++)
			if (len ? strlen(row->name) == len && memcmp(row->name, name, len) == 0
				: row->letter == letter)
				return row;
	return NULL;
}

static int unknown_option(const struct parser *parser, const char *name, size_t len)
{
	size_t count = 0;
	for (size_t t = 0; parser->tables[t]; t++)
		for (const struct option_row *row = parser->tables[t]; row->name; row++)
			count++;
	AUTO_FREE const char **names = xcalloc(count + 1, sizeof(*names));
	count = 0;
	for (size_t t = 0; parser->tables[t]; t++)
		for (const struct option_row *row = parser->tables[t]; row->name; row++)
			names[count++] = row->name;

	AUTO_FREE char *word = xstrndup(name, len);
	const char *nearest = text_nearest(word, names);
	err_set(parser->err, ERR_USAGE, "unknown option '--%s'", word);
	if (nearest)
		return err_hint(parser->err, "Did you mean '--%s'?", nearest);
	return err_hint(parser->err, "Add --help to see the options.");
}

static void set_flag(struct options *options, const struct option_row *row)
{
	*(bool *)((char *)options + row->offset) = true;
}

static void set_string(struct options *options, const struct option_row *row, const char *value)
{
	memcpy((char *)options + row->offset, &value, sizeof(value));
}

/* The value in the same word (may be NULL), else the next word. */
static int take_value(struct parser *parser, const struct option_row *row, const char *value)
{
	if (!value && parser->at + 1 < parser->argc)
		value = parser->argv[++parser->at];
	if (!value) {
		err_set(parser->err, ERR_USAGE, "option '--%s' without its value", row->name);
		return err_hint(parser->err, "Write --%s %s.", row->name, row->value);
	}
	set_string(parser->options, row, value);
	return 0;
}

static int parse_long(struct parser *parser, const char *word)
{
	const char *name = word + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct option_row *row = len ? find_row(parser, name, len, 0) : NULL;
	if (!row)
		return unknown_option(parser, name, len);
	if (row->kind == OPTION_STRING)
		return take_value(parser, row, value);
	if (value) {
		err_set(parser->err, ERR_USAGE, "option '--%s' takes no value", row->name);
		return err_hint(parser->err, "Write --%s alone.", row->name);
	}
	set_flag(parser->options, row);
	return 0;
}

static int parse_short(struct parser *parser, const char *word)
{
	for (const char *letter = word + 1; *letter; letter++) {
		const struct option_row *row = find_row(parser, NULL, 0, *letter);
		if (!row) {
			err_set(parser->err, ERR_USAGE, "unknown option '-%c'", *letter);
			return err_hint(parser->err, "Add --help to see the options.");
		}
		if (row->kind == OPTION_STRING)
			return take_value(parser, row, letter[1] ? letter + 1 : NULL);
		set_flag(parser->options, row);
	}
	return 0;
}

int options_parse(const struct option_row *const *tables, int argc, char **argv,
	enum options_mode mode, struct options *ret, struct err *err)
{
	struct parser parser = {
		.tables = tables, .argc = argc, .argv = argv, .options = ret, .err = err};
	bool ended = false;
	ret->args = argv;
	ret->arg_count = 0;
	for (; parser.at < argc; parser.at++) {
		char *word = argv[parser.at];
		if (ended || word[0] != '-' || word[1] == '\0') {
			ended = ended || mode == OPTIONS_UNTIL_VERB;
			argv[ret->arg_count++] = word;
		} else if (strcmp(word, "--") == 0) {
			ended = true;
		} else if ((word[1] == '-' ? parse_long : parse_short)(&parser, word) < 0) {
			return -1;
		}
	}
	return 0;
}

const char *options_config_path(const struct options *options)
{
	return options->config ? options->config : "fairlead.yaml";
}

const char *options_fleet_path(const struct options *options)
{
	return options->fleet ? options->fleet : "fleet.yaml";
}

char *options_key_path(const struct options *options, struct err *err)
{
	const char *key = getenv("FAIRLEAD_KEY"), *home = getenv("HOME");
	const char *config_home = getenv("XDG_CONFIG_HOME");
	if (options->key)
		return xstrdup(options->key);
	if (key && *key)
		return xstrdup(key);
	if (config_home && config_home[0] == '/')
		return xasprintf("%s/fairlead/key", config_home);
	if (home && *home)
		return xasprintf("%s/.config/fairlead/key", home);
	err_set(err, ERR_USAGE, "no signing key: neither --key nor FAIRLEAD_KEY nor HOME is set");
	err_hint(err, "Name the key file with --key FILE.");
	return NULL;
}

enum report_style options_style(const struct options *options)
{
	return report_style_choose(options->json);
}

enum report_verbosity options_verbosity(const struct options *options)
{
	if (options->quiet)
		return REPORT_QUIET;
	return options->verbose ? REPORT_VERBOSE : REPORT_NORMAL;
}

int options_number(const char *name, const char *text, unsigned min, unsigned max,
	unsigned fallback, unsigned *ret, struct err *err)
{
	if (!text) {
		*ret = fallback;
		return 0;
	}
	char *end = NULL;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	/* strtoul takes blanks and a minus sign; we do not. */
	if (text[0] < '0' || text[0] > '9' || *end || errno || value < min || value > max) {
		err_set(err, ERR_USAGE, "'%.80s' is not a number for --%s", text, name);
		return err_hint(err, "Write a whole number from %u to %u.", min, max);
	}
	*ret = (unsigned)value;
	return 0;
}
