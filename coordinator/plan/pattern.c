#include "coordinator/plan/pattern.h"

#include "common/base/mem.h"

#include <stdint.h>

enum op {
	OP_BYTE,  /* this byte */
	OP_SET,   /* a byte of sets[arg] */
	OP_STAR,  /* stay on any byte but '/', or go on without one */
	OP_ANY,   /* stay on any byte, or go on without one */
	OP_SPLIT, /* go on at the next instruction and at arg, without a byte */
	OP_JUMP,  /* go on at arg, without a byte */
	OP_END,   /* the path matches if it ends here */
};

struct instruction {
	uint8_t op;
	uint8_t byte;
	uint16_t arg;
};

struct byte_set {
	uint64_t bits[4];
};

/* Every byte of text makes at most two instructions, and the anchors at most four each. */
enum { PROGRAM_MAX = 2 * PATTERN_MAX + 16, BRACE_DEPTH_MAX = 8 };

struct pattern {
	struct instruction *program;
	size_t length;
	struct byte_set *sets;
	size_t set_count;
	bool name_only; /* matched against the last component */
};

struct compiler {
	const char *text;  /* as written, for messages */
	const char *start; /* behind a '/' that only anchors */
	const char *p;
	struct pattern *out;
	int depth; /* of braces */
	struct err *err;
};

static uint16_t emit(struct compiler *c, enum op op, uint8_t byte, uint16_t arg)
{
	struct pattern *out = c->out;
	out->program[out->length] = (struct instruction){(uint8_t)op, byte, arg};
	return (uint16_t)out->length++;
}

static uint16_t here(const struct compiler *c)
{
	return (uint16_t)c->out->length;
}

static void set_add(struct byte_set *set, uint8_t byte)
{
	set->bits[byte / 64] |= UINT64_C(1) << (byte % 64);
}

static bool set_has(const struct byte_set *set, uint8_t byte)
{
	return set->bits[byte / 64] >> (byte % 64) & 1;
}

static void emit_set(struct compiler *c, const struct byte_set *set)
{
	struct pattern *out = c->out;
	out->sets = xrealloc(out->sets, (out->set_count + 1) * sizeof(*out->sets));
	out->sets[out->set_count] = *set;
	emit(c, OP_SET, 0, (uint16_t)out->set_count++);
}

static int bad(struct compiler *c, const char *what)
{
	return err_set(c->err, ERR_INVALID, "\"%s\" is not a pattern: %s", c->text, what);
}

/* One byte inside [...]; a backslash takes the next as it is. */
static int set_byte(struct compiler *c, uint8_t *ret)
{
	if (*c->p == '\\')
		c->p++;
	if (*c->p == '\0')
		return bad(c, "'[' without ']'");
	*ret = (uint8_t)*c->p++;
	return 0;
}

static int set_range(struct compiler *c, struct byte_set *set)
{
	uint8_t low = 0, high = 0;
	if (c->p[0] == '[' && c->p[1] == ':')
		return bad(c, "classes such as [:alpha:] do not exist, write ranges");
	if (set_byte(c, &low) < 0)
		return -1;
	high = low;
	if (c->p[0] == '-' && c->p[1] != ']' && c->p[1] != '\0') {
		c->p++;
		if (set_byte(c, &high) < 0)
			return -1;
	}
	if (low > high)
		return bad(c, "a range runs backwards");
	for (unsigned byte = low; byte <= high; byte++)
		set_add(set, (uint8_t)byte);
	return 0;
}

static int compile_set(struct compiler *c)
{
	struct byte_set set = {0};
	c->p++; /* '[' */
	bool negated = *c->p == '!' || *c->p == '^';
	if (negated)
		c->p++;
	/* A ']' in the first place is a member (POSIX 9.3.5). */
	do {
		if (set_range(c, &set) < 0)
			return -1;
	} while (*c->p != ']');
	c->p++;
	for (size_t i = 0; i < ARRAY_LEN(set.bits) && negated; i++)
		set.bits[i] = ~set.bits[i];
	set.bits['/' / 64] &= ~(UINT64_C(1) << ('/' % 64));
	emit_set(c, &set);
	return 0;
}

/* Zero or more whole directories. */
static void emit_directories(struct compiler *c)
{
	uint16_t split = emit(c, OP_SPLIT, 0, 0);
	emit(c, OP_ANY, 0, 0);
	emit(c, OP_BYTE, '/', 0);
	c->out->program[split].arg = here(c);
}

static void compile_stars(struct compiler *c)
{
	const char *start = c->p;
	while (*c->p == '*')
		c->p++;
	bool component = c->p - start == 2 && (start == c->start || start[-1] == '/');
	if (component && *c->p == '/') {
		c->p++;
		emit_directories(c);
	} else if (component && *c->p == '\0') {
		emit(c, OP_ANY, 0, 0);
	} else {
		emit(c, OP_STAR, 0, 0);
	}
}

static int compile_sequence(struct compiler *c);

/* {a,b,c}: SPLIT to the next alternative, a, JUMP behind; … the JUMPs are chained through their
 * argument until the end is known. */
static int compile_braces(struct compiler *c)
{
	enum { NO_JUMP = UINT16_MAX };
	uint16_t chain = NO_JUMP;
	if (++c->depth > BRACE_DEPTH_MAX)
		return bad(c, "braces are nested too deeply");
	for (;;) {
		c->p++; /* '{' or ',' */
		uint16_t split = emit(c, OP_SPLIT, 0, 0);
		if (compile_sequence(c) < 0)
			return -1;
		if (*c->p == '\0')
			return bad(c, "'{' without '}'");
		if (*c->p == '}') {
			/* The last alternative has no other beside it. */
			c->out->program[split] =
				(struct instruction){OP_JUMP, 0, (uint16_t)(split + 1)};
			break;
		}
		chain = emit(c, OP_JUMP, 0, chain);
		c->out->program[split].arg = here(c);
	}
	c->p++;
	while (chain != NO_JUMP) {
		uint16_t next = c->out->program[chain].arg;
		c->out->program[chain].arg = here(c);
		chain = next;
	}
	c->depth--;
	return 0;
}

static int compile_one(struct compiler *c)
{
	static const struct byte_set all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
	struct byte_set one = all;
	switch (*c->p) {
	case '*':
		compile_stars(c);
		return 0;
	case '[':
		return compile_set(c);
	case '{':
		return compile_braces(c);
	case '?':
		one.bits['/' / 64] &= ~(UINT64_C(1) << ('/' % 64));
		emit_set(c, &one);
		c->p++;
		return 0;
	case '\\':
		if (*++c->p == '\0')
			return bad(c, "it ends with a backslash");
		break;
	default:
		break;
	}
	emit(c, OP_BYTE, (uint8_t)*c->p++, 0);
	return 0;
}

/* Up to the end of the text, or of the alternative when inside braces. */
static int compile_sequence(struct compiler *c)
{
	while (*c->p != '\0' && !(c->depth > 0 && (*c->p == ',' || *c->p == '}'))) {
		if (compile_one(c) < 0)
			return -1;
	}
	return 0;
}

/* What no path of a release looks like: better said than silently never matched. */
static int check_text(struct compiler *c)
{
	const char *text = c->text;
	if (text[0] == '\0' || strcmp(text, "/") == 0)
		return bad(c, "it is empty");
	if (strlen(text) > PATTERN_MAX)
		return err_set(
			c->err, ERR_INVALID, "a pattern is longer than %d bytes", PATTERN_MAX);
	if (text[0] == '!')
		return bad(c, "a pattern cannot be negated, put a rule for the exception in front");
	if (strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0 || strstr(text, "/./") ||
		strstr(text, "/../") || strstr(text, "//"))
		return bad(c, "it can never match, paths have no \"./\", \"../\" or \"//\"");
	return 0;
}

static int compile(struct compiler *c)
{
	struct pattern *out = c->out;
	size_t len = strlen(c->text);
	const char *slash = strchr(c->text, '/');
	bool directory = c->text[len - 1] == '/';
	out->program = xcalloc(PROGRAM_MAX, sizeof(*out->program));
	out->name_only = !slash;
	if (slash && slash == c->text + len - 1)
		emit_directories(c); /* "dir/": at any depth */
	c->start = c->p = slash == c->text ? c->text + 1 : c->text;
	if (compile_sequence(c) < 0)
		return -1;
	if (directory)
		emit(c, OP_ANY, 0, 0);
	emit(c, OP_END, 0, 0);
	out->program = xrealloc(out->program, out->length * sizeof(*out->program));
	return 0;
}

int pattern_new(const char *text, struct pattern **ret, struct err *err)
{
	struct pattern *pattern = xcalloc(1, sizeof(*pattern));
	struct compiler compiler = {.text = text, .out = pattern, .err = err};
	if (check_text(&compiler) < 0 || compile(&compiler) < 0) {
		pattern_free(pattern);
		return err_hint(err, "Write for example \"docs/**\", \"*.md\" or \"src/\".");
	}
	*ret = pattern;
	return 0;
}

void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	free(pattern->program);
	free(pattern->sets);
	free(pattern);
}

/* The instructions the automaton stands on, each once. */
struct states {
	uint16_t list[PROGRAM_MAX];
	size_t count;
	uint8_t present[PROGRAM_MAX / 8 + 1];
};

static bool states_insert(struct states *states, uint16_t at)
{
	uint8_t bit = (uint8_t)(1U << (at % 8));
	if (states->present[at / 8] & bit)
		return false;
	states->present[at / 8] |= bit;
	states->list[states->count++] = at;
	return true;
}

/* Add an instruction and all that are reached from it without a byte: the list is its own queue. */
static void states_enter(struct states *states, const struct instruction *program, uint16_t at)
{
	size_t next = states->count;
	states_insert(states, at);
	for (; next < states->count; next++) {
		uint16_t i = states->list[next];
		const struct instruction *instruction = &program[i];
		if (instruction->op == OP_STAR || instruction->op == OP_ANY ||
			instruction->op == OP_SPLIT)
			states_insert(states, (uint16_t)(i + 1));
		if (instruction->op == OP_SPLIT || instruction->op == OP_JUMP)
			states_insert(states, instruction->arg);
	}
}

static void states_reset(struct states *states, size_t length)
{
	states->count = 0;
	memset(states->present, 0, length / 8 + 1);
}

static void step(
	const struct pattern *pattern, const struct states *from, uint8_t byte, struct states *to)
{
	states_reset(to, pattern->length);
	for (size_t n = 0; n < from->count; n++) {
		uint16_t i = from->list[n];
		const struct instruction *in = &pattern->program[i];
		if ((in->op == OP_STAR && byte != '/') || in->op == OP_ANY)
			states_enter(to, pattern->program, i);
		else if ((in->op == OP_BYTE && in->byte == byte) ||
			 (in->op == OP_SET && set_has(&pattern->sets[in->arg], byte)))
			states_enter(to, pattern->program, (uint16_t)(i + 1));
	}
}

bool pattern_matches(const struct pattern *pattern, const char *path)
{
	const char *slash = pattern->name_only ? strrchr(path, '/') : NULL;
	struct states sets[2];
	struct states *now = &sets[0], *next = &sets[1];
	states_reset(now, pattern->length);
	states_enter(now, pattern->program, 0);
	for (const char *p = slash ? slash + 1 : path; *p && now->count > 0; p++) {
		step(pattern, now, (uint8_t)*p, next);
		struct states *swap = now;
		now = next;
		next = swap;
	}
	uint16_t end = (uint16_t)(pattern->length - 1);
	return now->present[end / 8] >> (end % 8) & 1;
}
