/* A YAML file as a tree that knows where everything stands, read strictly (libfyaml's parser).
 *
 * One document of mappings, lists and scalars. Refused, each with its line: duplicate keys,
 * anchors, aliases, tags, keys that are not plain text, invalid UTF-8, control characters, a
 * second document, more than the limits below. So reading costs a small multiple of the file's
 * size. Every error is ERR_CONFIG and reads "file:line: key.path: what is wrong; what to write".
 * Immutable once loaded, any thread. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>

enum {
	YAML_BYTES_MAX = 1024 * 1024,
	YAML_NODES_MAX = 100 * 1000,
	YAML_DEPTH_MAX = 32,
};

enum yaml_kind { YAML_EMPTY, YAML_SCALAR, YAML_LIST, YAML_MAPPING };

struct yaml;

struct yaml_node {
	const struct yaml *document;
	const struct yaml_node *parent; /* NULL: the root */
	struct yaml_node *next;         /* the next of the same parent */
	struct yaml_node *first, *last; /* of a list or mapping */
	size_t count;                   /* of its children */
	enum yaml_kind kind;            /* `key:` and `key: null` are YAML_EMPTY */
	char *text;                     /* of a scalar, never with a NUL inside; else NULL */
	char *key;                      /* in a mapping; else NULL */
	size_t index;                   /* among its siblings */
	unsigned line; /* of the key, or of the value where there is none; from 1 */
};

/* The bytes of a configuration file: ERR_NOT_FOUND, or ERR_CONFIG when it cannot be read or is too
 * large. Blocks on disk. */
int yaml_read_file(const char *path, size_t bytes_max, struct buf *ret, struct err *err);
/* ERR_NOT_FOUND or ERR_CONFIG. Blocks on disk. Free with yaml_free. */
int yaml_load_file(const char *path, struct yaml **ret, struct err *err);
/* The same from memory; `name` stands for the file in messages. Bytes are not kept. */
int yaml_load_bytes(const char *name, struct bytes bytes, struct yaml **ret, struct err *err);
/* For generated files (an inventory of a large fleet): other limits. */
int yaml_load_bytes_max(const char *name, struct bytes bytes, size_t bytes_max, size_t nodes_max,
	struct yaml **ret, struct err *err);
void yaml_free(struct yaml *yaml);
static inline void cleanup_yaml(struct yaml **yaml)
{
	yaml_free(*yaml);
}
#define AUTO_YAML __attribute__((cleanup(cleanup_yaml)))

const struct yaml_node *yaml_root(const struct yaml *yaml);
/* NULL when the mapping has no such key. */
const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);
/* What it is, in words: "a list", "a mapping", "a value", "nothing". */
const char *yaml_kind_name(enum yaml_kind kind);
/* The scalar's text for a message: escaped, cut to a reasonable length. Owned by the caller. */
char *yaml_shown(const struct yaml_node *node);

/* "file:line: key.path: " + message, as ERR_CONFIG; returns -1. */
int yaml_error(const struct yaml_node *node, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same about a key that `mapping` lacks. */
int yaml_error_missing(const struct yaml_node *mapping, const char *key, struct err *err,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Put the place in front of an error somebody else filled, make it ERR_CONFIG, and move its hint
 * behind a semicolon; returns -1. */
int yaml_error_wrap(const struct yaml_node *node, struct err *err);
