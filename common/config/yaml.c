#include "common/config/yaml.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"

#include <ctype.h>
#include <libfyaml.h>

struct yaml {
	char *name;
	struct yaml_node **nodes; /* all of them, for freeing; the root is the first */
	size_t count;
	size_t nodes_max;
};

/* The state of one load: the open collection and the key that waits for its value. */
struct builder {
	struct yaml *yaml;
	struct yaml_node *open;
	unsigned depth;
	char *key;
	unsigned key_line;
	unsigned line; /* the last one seen; empty values have no place of their own */
	unsigned documents;
};

static int error_at(const struct yaml *yaml, unsigned line, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int error_at(const struct yaml *yaml, unsigned line, struct err *err, const char *fmt, ...)
{
	AUTO_FREE char *message = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	err_set(err, ERR_CONFIG, "%s:%u: %s", yaml->name, line, message ? message : "");
	return err_hint(err, "Correct line %u of %s; docs/configuration.md explains every key.",
		line, yaml->name);
}

void yaml_free(struct yaml *yaml)
{
	if (!yaml)
		return;
	for (size_t i = 0; i < yaml->count; i++) {
		free(yaml->nodes[i]->text);
		free(yaml->nodes[i]->key);
		free(yaml->nodes[i]);
	}
	free(yaml->nodes);
	free(yaml->name);
	free(yaml);
}

/* Appends a node to the open collection, under the key that waits. */
static int add_node(struct builder *b, enum yaml_kind kind, struct yaml_node **ret, struct err *err)
{
	struct yaml *yaml = b->yaml;
	if (yaml->count == yaml->nodes_max) {
		error_at(yaml, b->line, err,
			"more than %zu values; split the file or make it smaller", yaml->nodes_max);
		return -1; /* said where the analyzer sees it */
	}
	if ((yaml->count & (yaml->count - 1)) == 0)
		yaml->nodes = xrealloc(
			yaml->nodes, (yaml->count ? yaml->count * 2 : 1) * sizeof(*yaml->nodes));

	struct yaml_node *node = xcalloc(1, sizeof(*node));
	yaml->nodes[yaml->count++] = node;
	*node = (struct yaml_node){
		.document = yaml,
		.parent = b->open,
		.kind = kind,
		.key = TAKE(b->key),
		.line = b->key_line ? b->key_line : b->line,
		.index = b->open ? b->open->count : 0,
	};
	b->key_line = 0;
	if (b->open) {
		*(b->open->last ? &b->open->last->next : &b->open->first) = node;
		b->open->last = node;
		b->open->count++;
	}
	*ret = node;
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	const struct yaml_node *const *x = a, *const *y = b;
	int order = strcmp((*x)->key, (*y)->key);
	if (order != 0)
		return order;
	return (*x)->index < (*y)->index ? -1 : (*x)->index > (*y)->index;
}

/* Sorted, so that an inventory of thousands of hosts is checked in no time. */
static int refuse_duplicate_keys(const struct yaml_node *mapping, struct err *err)
{
	if (mapping->count < 2)
		return 0;
	AUTO_FREE const struct yaml_node **sorted = xcalloc(mapping->count, sizeof(*sorted));
	size_t n = 0;
	for (const struct yaml_node *child = mapping->first; child; child = child->next)
		sorted[n++] = child;
	qsort(sorted, n, sizeof(*sorted), compare_keys);
	for (size_t i = 1; i < n; i++)
		if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
			return yaml_error(sorted[i], err,
				"the same key as in line %u; leave one of them out",
				sorted[i - 1]->line);
	return 0;
}

static int open_collection(struct builder *b, enum yaml_kind kind, struct err *err)
{
	struct yaml_node *node = NULL;
	if (++b->depth > YAML_DEPTH_MAX)
		return error_at(b->yaml, b->line, err,
			"more than %d levels of nesting; write it flatter", YAML_DEPTH_MAX);
	if (b->open && b->open->kind == YAML_MAPPING && !b->key)
		return error_at(b->yaml, b->line, err,
			"a key that is a list or mapping; write a plain word as key");
	if (add_node(b, kind, &node, err) < 0)
		return -1;
	b->open = node;
	return 0;
}

static int close_collection(struct builder *b, struct err *err)
{
	const struct yaml_node *closed = b->open;
	union { /* our own node, handed out as const to everybody else */
		const struct yaml_node *in;
		struct yaml_node *out;
	} parent = {.in = closed->parent};
	b->open = parent.out;
	b->depth--;
	return closed->kind == YAML_MAPPING ? refuse_duplicate_keys(closed, err) : 0;
}

/* What the YAML 1.2 core schema calls null. */
static bool is_null(const char *text)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

static int add_scalar(struct builder *b, struct fy_token *token, struct err *err)
{
	size_t len = 0;
	const char *bytes = fy_token_get_text(token, &len);
	if (bytes && memchr(bytes, '\0', len))
		return error_at(
			b->yaml, b->line, err, "a NUL character inside a value; leave it out");
	AUTO_FREE char *text = xstrndup(bytes ? bytes : "", len);
	if (b->open && b->open->kind == YAML_MAPPING && !b->key) {
		b->key = TAKE(text);
		b->key_line = b->line;
		return 0;
	}
	struct yaml_node *node = NULL;
	bool empty = fy_token_scalar_style(token) == FYSS_PLAIN && is_null(text);
	if (add_node(b, empty ? YAML_EMPTY : YAML_SCALAR, &node, err) < 0)
		return -1;
	if (!empty)
		node->text = TAKE(text);
	return 0;
}

static int start_document(struct builder *b, struct err *err)
{
	if (b->documents++ > 0)
		return error_at(b->yaml, b->line, err,
			"a second document begins here; keep one document in the file");
	return 0;
}

/* Aliases can blow up a file exponentially, tags can change what a value is: neither is needed. */
static int refuse_decoration(struct builder *b, const struct fy_token *anchor,
	const struct fy_token *tag, struct err *err)
{
	if (anchor)
		return error_at(b->yaml, b->line, err,
			"anchors are not accepted; write the value out where it is needed");
	if (tag)
		return error_at(
			b->yaml, b->line, err, "tags are not accepted; write the value without it");
	return 0;
}

static int handle_event(struct builder *b, struct fy_event *event, struct err *err)
{
	const struct fy_mark *mark =
		fy_event_get_token(event) ? fy_token_start_mark(fy_event_get_token(event)) : NULL;
	if (mark && mark->line >= 0)
		b->line = (unsigned)mark->line + 1;

	switch (event->type) {
	case FYET_DOCUMENT_START:
		return start_document(b, err);
	case FYET_MAPPING_START:
		if (refuse_decoration(
			    b, event->mapping_start.anchor, event->mapping_start.tag, err) < 0)
			return -1;
		return open_collection(b, YAML_MAPPING, err);
	case FYET_SEQUENCE_START:
		if (refuse_decoration(
			    b, event->sequence_start.anchor, event->sequence_start.tag, err) < 0)
			return -1;
		return open_collection(b, YAML_LIST, err);
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		return close_collection(b, err);
	case FYET_SCALAR:
		if (refuse_decoration(b, event->scalar.anchor, event->scalar.tag, err) < 0)
			return -1;
		return add_scalar(b, event->scalar.value, err);
	case FYET_ALIAS:
		return error_at(b->yaml, b->line, err,
			"aliases are not accepted; write the value out where it is needed");
	case FYET_NONE:
	case FYET_STREAM_START:
	case FYET_STREAM_END:
	case FYET_DOCUMENT_END:
		return 0;
	}
	return 0;
}

/* What the parser complained about first; warnings do not count. */
static const struct fy_diag_error *first_error(struct fy_diag *diag)
{
	void *state = NULL;
	const struct fy_diag_error *found;
	do {
		found = fy_diag_errors_iterate(diag, &state);
	} while (found && found->type != FYET_ERROR);
	return found;
}

static int syntax_error(const struct yaml *yaml, struct fy_diag *diag, struct err *err)
{
	const struct fy_diag_error *found = first_error(diag);
	if (!found)
		return error_at(
			yaml, 1, err, "not valid YAML; check the indentation and the brackets");
	return error_at(yaml, found->line > 0 ? (unsigned)found->line : 1, err,
		"not valid YAML: %s; check the indentation and the brackets around column %d",
		found->msg, found->column);
}

/* Drives the parser to its end or to the first thing we refuse. */
static int parse(struct builder *b, struct fy_parser *parser, struct fy_diag *diag,
	struct bytes bytes, struct err *err)
{
	if (fy_parser_set_string(parser, (const char *)bytes.data, bytes.len) < 0)
		return err_set(err, ERR_INTERNAL, "libfyaml does not take the input");
	int result = 0;
	struct fy_event *event;
	while (result == 0 && (event = fy_parser_parse(parser))) {
		result = handle_event(b, event, err);
		fy_parser_event_free(parser, event);
	}
	if (result == 0 && fy_parser_get_stream_error(parser))
		return syntax_error(b->yaml, diag, err);
	return result;
}

static int parse_with_library(struct builder *b, struct bytes bytes, struct err *err)
{
	struct fy_diag_cfg diag_cfg;
	fy_diag_cfg_default(&diag_cfg);
	diag_cfg.fp = NULL;
	struct fy_diag *diag = fy_diag_create(&diag_cfg);
	if (!diag)
		return err_set(err, ERR_INTERNAL, "libfyaml cannot start");
	fy_diag_set_collect_errors(diag, true); /* or it would print them */
	struct fy_parse_cfg cfg = {.diag = diag, .flags = FYPCF_JSON_NONE};
	struct fy_parser *parser = fy_parser_create(&cfg);
	int result = parser ? parse(b, parser, diag, bytes, err)
			    : err_set(err, ERR_INTERNAL, "libfyaml cannot start");
	fy_parser_destroy(parser);
	fy_diag_destroy(diag);
	return result;
}

/* libfyaml drops bytes that are not UTF-8 without a word, so look for ourselves (RFC 3629). */
static size_t character_length(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n == 0 || n > left || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	bool wrong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
		     (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
	return wrong ? 0 : n;
}

static int refuse_strange_bytes(const struct yaml *yaml, struct bytes bytes, struct err *err)
{
	unsigned line = 1;
	size_t n;
	for (size_t i = 0; i < bytes.len; i += n) {
		uint8_t c = bytes.data[i];
		n = character_length(bytes.data + i, bytes.len - i);
		if (n == 0)
			return error_at(yaml, line, err,
				"the byte 0x%02x is not UTF-8; save the file as UTF-8", c);
		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
			return error_at(yaml, line, err,
				"the control character 0x%02x is in the file; remove it", c);
		line += c == '\n';
	}
	return 0;
}

static int load(struct yaml *yaml, struct bytes bytes, size_t bytes_max, struct err *err)
{
	if (bytes.len > bytes_max)
		return error_at(yaml, 1, err,
			"the file has %zu bytes, more than %zu; make it smaller", bytes.len,
			bytes_max);
	if (refuse_strange_bytes(yaml, bytes, err) < 0)
		return -1;
	struct builder b = {.yaml = yaml, .line = 1};
	int result = bytes.len > 0 ? parse_with_library(&b, bytes, err) : 0;
	free(b.key);
	if (result == 0 && yaml->count == 0)
		return error_at(yaml, 1, err, "the file is empty; write at least version: 1");
	return result;
}

int yaml_load_bytes_max(const char *name, struct bytes bytes, size_t bytes_max, size_t nodes_max,
	struct yaml **ret, struct err *err)
{
	struct yaml *yaml = xcalloc(1, sizeof(*yaml));
	yaml->name = xstrdup(name);
	yaml->nodes_max = nodes_max;
	if (load(yaml, bytes, bytes_max, err) < 0) {
		yaml_free(yaml);
		return -1;
	}
	*ret = yaml;
	return 0;
}

int yaml_load_bytes(const char *name, struct bytes bytes, struct yaml **ret, struct err *err)
{
	return yaml_load_bytes_max(name, bytes, YAML_BYTES_MAX, YAML_NODES_MAX, ret, err);
}

int yaml_read_file(const char *path, size_t bytes_max, struct buf *ret, struct err *err)
{
	if (file_read(AT_FDCWD, path, bytes_max, ret, err) == 0)
		return 0;
	if (!err || err->code == ERR_NOT_FOUND)
		return -1;
	err->code = ERR_CONFIG; /* a directory, no permission, too large: the user's to correct */
	return err_hint(err, "Make %s a plain file that you can read, of at most %zu bytes.", path,
		bytes_max);
}

int yaml_load_file(const char *path, struct yaml **ret, struct err *err)
{
	AUTO(buf) struct buf content = {0};
	if (yaml_read_file(path, YAML_BYTES_MAX, &content, err) < 0)
		return -1;
	return yaml_load_bytes(path, buf_bytes(&content), ret, err);
}

const struct yaml_node *yaml_root(const struct yaml *yaml)
{
	return yaml->nodes[0];
}

const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
	if (mapping->kind != YAML_MAPPING)
		return NULL;
	for (const struct yaml_node *child = mapping->first; child; child = child->next)
		if (strcmp(child->key, key) == 0)
			return child;
	return NULL;
}

const char *yaml_kind_name(enum yaml_kind kind)
{
	static const char *const names[] = {
		[YAML_EMPTY] = "nothing",
		[YAML_SCALAR] = "a value",
		[YAML_LIST] = "a list",
		[YAML_MAPPING] = "a mapping",
	};
	return names[kind];
}

char *yaml_shown(const struct yaml_node *node)
{
	enum { SHOWN_MAX = 60 };
	const char *text = node->text ? node->text : "";
	size_t len = strlen(text);
	size_t cut = len > SHOWN_MAX ? SHOWN_MAX : len;
	while (cut < len && cut > 0 && ((uint8_t)text[cut] & 0xc0) == 0x80)
		cut--;
	AUTO(buf) struct buf out = {0};
	text_escape(&out, BYTES(text, cut));
	if (cut < len)
		buf_append_str(&out, "...");
	return xstrdup(buf_str(&out));
}

/* "services.web.health[0].http.interval"; nothing for the root. Keys are foreign: escaped. */
static void append_path(const struct yaml_node *node, struct buf *out)
{
	if (!node->parent)
		return;
	append_path(node->parent, out);
	if (!node->key) {
		buf_printf(out, "[%zu]", node->index);
		return;
	}
	if (out->len > 0)
		buf_append_str(out, ".");
	text_escape(out, BYTES(node->key, strnlen(node->key, 64)));
}

static void place(
	struct err *err, const struct yaml_node *node, const char *key, const char *message)
{
	AUTO(buf) struct buf path = {0};
	append_path(node, &path);
	if (key)
		buf_printf(&path, "%s%s", path.len ? "." : "", key);
	if (path.len > 0)
		buf_append_str(&path, ": ");
	error_at(node->document, node->line, err, "%s%s", buf_str(&path), message);
}

int yaml_error(const struct yaml_node *node, struct err *err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	AUTO_FREE char *message = NULL;
	if (vasprintf(&message, fmt, ap) >= 0)
		place(err, node, NULL, message);
	va_end(ap);
	return -1;
}

int yaml_error_missing(
	const struct yaml_node *mapping, const char *key, struct err *err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	AUTO_FREE char *message = NULL;
	if (vasprintf(&message, fmt, ap) >= 0)
		place(err, mapping, key, message);
	va_end(ap);
	return -1;
}

int yaml_error_wrap(const struct yaml_node *node, struct err *err)
{
	if (!err)
		return -1;
	/* A hint is a sentence of its own; here it becomes the second half of one. */
	size_t len = strlen(err->hint);
	if (len > 0 && err->hint[len - 1] == '.')
		err->hint[len - 1] = '\0';
	if (len > 1 && islower((unsigned char)err->hint[1]))
		err->hint[0] = (char)tolower((unsigned char)err->hint[0]);
	AUTO_FREE char *message =
		xasprintf("%s%s%s", err->message, err->hint[0] ? "; " : "", err->hint);
	place(err, node, NULL, message);
	return -1;
}
