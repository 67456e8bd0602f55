/* Configuration by table: one row for each key says its type, limits, default and meaning, and from
 * the rows come loading, defaults, errors, freeing and the reference in docs/configuration.md
 * (a test compares the two).
 *
 * A table is an array of struct config_field that ends with a row without a key. It describes one
 * YAML mapping and the C struct it is loaded into: strings and lists are owned by that struct.
 * Errors are those of common/config/yaml.h. Tables are constant; any thread. */
#pragma once

#include "common/config/yaml.h"

#include <stddef.h>
#include <stdint.h>

/* What a row loads, and the member it is loaded into. */
enum config_type {
	CONFIG_TEXT,     /* char *, at least `min` bytes */
	CONFIG_NAME,     /* char *, text_is_name */
	CONFIG_PATH,     /* char *, absolute, without a slash at the end */
	CONFIG_BOOL,     /* bool */
	CONFIG_NUMBER,   /* an unsigned integer of 4 or 8 bytes */
	CONFIG_DURATION, /* uint64_t, milliseconds */
	CONFIG_SIZE,     /* uint64_t, bytes */
	CONFIG_TIME,     /* uint64_t, milliseconds since 1970 */
	CONFIG_CHOICE,   /* an enum; `choices` */
	CONFIG_STATUS,   /* struct config_status, HTTP status codes: 200, 200-299,304 or a list */
	CONFIG_LIST,  /* char **, NULL-terminated, at least `min` items; one value is a list of one
		       */
	CONFIG_FLAGS, /* unsigned; a list of `choices`, or-ed */
	CONFIG_MAP,   /* struct config_map */
	CONFIG_SECTION, /* an embedded struct; `fields` */
	CONFIG_CUSTOM,  /* whatever `load` makes of it; its owner frees it */
	CONFIG_LATER,   /* a key of the documented format that this version refuses */
	CONFIG_TYPE_COUNT
};

enum config_need { CONFIG_OPTIONAL, CONFIG_REQUIRED };

/* NEW: set the defaults first, insist on required keys. OVER: change only what is written; lists
 * are replaced, maps are merged by key. */
enum config_mode { CONFIG_NEW, CONFIG_OVER };

struct config_choice { /* an array of these ends with a NULL name */
	const char *name;
	unsigned value;
	enum { CONFIG_CHOICE_NOW, CONFIG_CHOICE_LATER } when; /* LATER: known, refused so far */
};

enum { CONFIG_RANGES_MAX = 8 };

struct config_status {
	struct config_range {
		unsigned min, max;
	} ranges[CONFIG_RANGES_MAX];
	size_t count;
};

struct config_pair {
	char *name, *value;
};

struct config_map {
	struct config_pair *pairs; /* in the order of the file */
	size_t count;
};

/* Judges one text: a whole value, an item of a list, a key of a map. On failure it fills err with
 * message and hint but no place; the loader adds that. */
typedef int config_check_fn(const char *text, struct err *err);
typedef int config_load_fn(
	const struct yaml_node *node, void *member, enum config_mode mode, struct err *err);

struct config_field {
	const char *key;
	enum config_type type;
	enum config_need need;
	size_t offset, size; /* CONFIG_MEMBER(type, member) */
	uint64_t min, max;   /* max 0: no bound */
	const char *preset;  /* the default, as it would be written; NULL: zero */
	const struct config_choice *choices;
	const struct config_field *fields; /* of the section, or of each entry of a custom one */
	const char *entry;      /* how docs write an entry of a custom field: ".<name>" or "[]" */
	config_check_fn *check; /* text, names, items of a list, values of a map */
	config_check_fn *check_key; /* keys of a map */
	config_load_fn *load;       /* CONFIG_CUSTOM */
	const char *write;          /* "write …": replaces the advice of the type */
	const char *doc;            /* one line for the reference */
};

#define CONFIG_MEMBER(type, member)                                                                \
	.offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* Load the mapping `node` into `target`, which is zeroed (NEW) or loaded before (OVER). After a
 * failure the target may be half loaded: config_release it. */
int config_load(const struct yaml_node *node, const struct config_field *fields, void *target,
	enum config_mode mode, struct err *err);
/* The defaults alone, into a zeroed target. */
void config_defaults(const struct config_field *fields, void *target);
/* Free what config_load put into the target; custom fields are not touched. NULL-safe per member,
 * leaves the members empty. */
void config_release(const struct config_field *fields, void *target);

/* For custom loaders: the file's kind of value, or the error that says what was found instead. */
int config_expect(
	const struct yaml_node *node, enum yaml_kind kind, const char *write, struct err *err);
/* The error for a key that nothing knows: suggests the nearest of `known` (ends with NULL), or
 * lists them; returns -1. */
int config_unknown(const struct yaml_node *node, const char *const *known, struct err *err);
/* The type in words: "a duration". */
const char *config_type_name(enum config_type type);
/* "on-failure" for its value; NULL for a value that no row has. */
const char *config_choice_name(const struct config_choice *choices, unsigned value);
/* NULL when there is none. Borrowed. */
const char *config_map_get(const struct config_map *map, const char *name);
/* Free a NULL-terminated list of strings; NULL is fine. */
void config_list_free(char **list);
