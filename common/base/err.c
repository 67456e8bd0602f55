#include "common/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

/* exit status: DESIGN "What people see"; status: gRPC canonical codes. */
static const struct {
	const char *name;
	int status;
	int exit_status;
} codes[] = {
	[ERR_NONE] = {"ok", 0, 0},
	[ERR_INTERNAL] = {"internal", 13, 1},
	[ERR_USAGE] = {"usage", 3, 2},
	[ERR_CONFIG] = {"config", 3, 2},
	[ERR_INVALID] = {"invalid", 3, 1},
	[ERR_NOT_FOUND] = {"not_found", 5, 2},
	[ERR_EXISTS] = {"exists", 6, 2},
	[ERR_LOCKED] = {"locked", 10, 3},
	[ERR_PREFLIGHT] = {"preflight", 9, 4},
	[ERR_UNREACHABLE] = {"unreachable", 14, 4},
	[ERR_DEADLINE] = {"deadline", 4, 4},
	[ERR_NOSPACE] = {"no_space", 8, 4},
	[ERR_LIMIT] = {"limit", 8, 4},
	[ERR_IO] = {"io", 13, 1},
	[ERR_CORRUPT] = {"corrupt", 15, 1},
	[ERR_AUTH] = {"auth", 16, 8},
	[ERR_DENIED] = {"denied", 7, 8},
	[ERR_FAILED] = {"failed", 2, 5},
	[ERR_CANCELLED] = {"cancelled", 1, 10},
	[ERR_UNSUPPORTED] = {"unsupported", 12, 1},
};
static_assert(sizeof(codes) / sizeof(codes[0]) == ERR_CODE_COUNT, "a code without a row");

static void __attribute__((format(printf, 4, 0)))
fill(struct err *err, enum err_code code, int errnum, const char *fmt, va_list ap)
{
	if (!err)
		return;
	err->code = errnum == ENOSPC || errnum == EDQUOT ? ERR_NOSPACE : code;
	err->errnum = errnum;
	err->hint[0] = '\0';
	int n = vsnprintf(err->message, sizeof(err->message), fmt, ap);
	if (errnum && n >= 0 && (size_t)n < sizeof(err->message))
		snprintf(err->message + n, sizeof(err->message) - (size_t)n, ": %s",
			strerror(errnum));
}

void err_fill(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(err, code, 0, fmt, ap);
	va_end(ap);
}

void err_fill_errno(struct err *err, enum err_code code, int errnum, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(err, code, errnum, fmt, ap);
	va_end(ap);
}

void err_fill_hint(struct err *err, const char *fmt, ...)
{
	if (!err)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
}

void err_put_in_front(struct err *err, const char *fmt, ...)
{
	if (!err)
		return;
	char context[sizeof(err->message)];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	size_t used = (size_t)n < sizeof(context) ? (size_t)n : sizeof(context) - 1;
	snprintf(context + used, sizeof(context) - used, ": %s", err->message);
	memcpy(err->message, context, sizeof(context));
}

bool err_is_of_host(const struct err *err)
{
	return err->code == ERR_INTERNAL || err->code == ERR_IO || err->code == ERR_NOSPACE;
}

void err_clear(struct err *err)
{
	if (err)
		*err = ERR_INIT;
}

static size_t row(enum err_code code)
{
	return (unsigned)code < ERR_CODE_COUNT ? (size_t)code : (size_t)ERR_INTERNAL;
}

const char *err_code_name(enum err_code code)
{
	return codes[row(code)].name;
}

int err_code_exit_status(enum err_code code)
{
	return codes[row(code)].exit_status;
}

int err_code_status(enum err_code code)
{
	return codes[row(code)].status;
}

enum err_code err_code_from_name(const char *name)
{
	for (size_t i = 0; name && i < ERR_CODE_COUNT; i++)
		if (strcmp(codes[i].name, name) == 0)
			return (enum err_code)i;
	return ERR_INTERNAL;
}

enum err_code err_code_from_status(int status)
{
	for (size_t i = 0; i < ERR_CODE_COUNT; i++)
		if (codes[i].status == status)
			return (enum err_code)i;
	return ERR_INTERNAL;
}
