/* Label selectors:
 *
 *     selector = [ group { "&" group } ]      every group must match; nothing matches all hosts
 *     group    = [ "!" ] ( names | labels )   "!" turns the whole group around
 *     names    = host { "," host }            any of these hosts
 *     labels   = name "=" value { "," name "=" value }
 *
 * Words are those of text_is_name; blanks around them do not count. Names and labels do not mix in
 * one group: "role=web,worker" looks like two values of a label and would mean something else. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/config/fleet_config.h"

struct term {
	char *label; /* NULL: a host name */
	char *value;
};

struct group {
	bool negated;
	struct term *terms;
	size_t count;
};

struct selector {
	struct group *groups;
	size_t count;
};

void selector_free(struct selector *selector)
{
	if (!selector)
		return;
	for (size_t i = 0; i < selector->count; i++) {
		struct group *group = &selector->groups[i];
		for (size_t j = 0; j < group->count; j++) {
			free(group->terms[j].label);
			free(group->terms[j].value);
		}
		free(group->terms);
	}
	free(selector->groups);
	free(selector);
}

static int syntax_error(const char *text, const char *what, struct err *err)
{
	AUTO_FREE char *clipped = xstrndup(text, 100);
	AUTO_FREE char *shown = text_escaped(clipped);
	err_set(err, ERR_USAGE, "\"%s\" is not a selector: %s", shown, what);
	return err_hint(
		err, "Write for example \"role=web & zone=a\", \"web1,web2\" or \"!role=db\".");
}

/* Cuts the next part before `separator` out of *rest and trims it; NULL when there is none left. */
static char *next_part(char **rest, char separator)
{
	if (!*rest)
		return NULL;
	char *part = *rest, *end = strchr(part, separator);
	*rest = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	part += strspn(part, " \t");
	size_t len = strlen(part);
	while (len > 0 && (part[len - 1] == ' ' || part[len - 1] == '\t'))
		part[--len] = '\0';
	return part;
}

/* What is wrong, or NULL. */
static const char *add_term(struct group *group, char *part)
{
	char *rest = part;
	char *first = next_part(&rest, '=');
	char *second = next_part(&rest, '\0');
	if (part[0] == '\0')
		return "a word is missing";
	if (!text_is_name(first) || (second && !text_is_name(second)))
		return second ? "a label is written name=value" : "that is not a host's name";
	if (group->count > 0 && !group->terms[0].label != !second)
		return "names and labels do not mix between commas";
	group->terms = xrealloc(group->terms, (group->count + 1) * sizeof(*group->terms));
	group->terms[group->count++] = (struct term){
		.label = second ? xstrdup(first) : NULL,
		.value = xstrdup(second ? second : first),
	};
	return NULL;
}

static const char *add_group(struct selector *selector, char *part)
{
	selector->groups =
		xrealloc(selector->groups, (selector->count + 1) * sizeof(*selector->groups));
	struct group *group = &selector->groups[selector->count++];
	*group = (struct group){.negated = part[0] == '!'};
	char *rest = part + group->negated;
	for (char *term; (term = next_part(&rest, ','));) {
		const char *what = add_term(group, term);
		if (what)
			return what;
	}
	return NULL;
}

int selector_parse(const char *text, struct selector **ret, struct err *err)
{
	struct selector *selector = xcalloc(1, sizeof(*selector));
	AUTO_FREE char *copy = xstrdup(text);
	char *rest = text[strspn(text, " \t")] ? copy : NULL;
	for (char *part; (part = next_part(&rest, '&'));) {
		const char *what = add_group(selector, part);
		if (what) {
			selector_free(selector);
			return syntax_error(text, what, err);
		}
	}
	*ret = selector;
	return 0;
}

static bool term_matches(const struct term *term, const struct fleet_host *host)
{
	if (!term->label)
		return strcmp(host->name, term->value) == 0;
	for (size_t i = 0; i < host->label_count; i++)
		if (strcmp(host->labels[i].name, term->label) == 0)
			return strcmp(host->labels[i].value, term->value) == 0;
	return false;
}

bool selector_matches(const struct selector *selector, const struct fleet_host *host)
{
	for (size_t i = 0; i < selector->count; i++) {
		const struct group *group = &selector->groups[i];
		bool any = false;
		for (size_t j = 0; j < group->count && !any; j++)
			any = term_matches(&group->terms[j], host);
		if (any == group->negated)
			return false;
	}
	return true;
}
