/* An error: a stable code, errno, one message and one hint.
 *
 * A fallible function returns 0 (done), <0 (failed, *err filled), or >0 (a named outcome from an
 * enum in its own header). The error is filled once, where it is born, and only wrapped with
 * context on the way up. Nothing here prints; main does. Every function accepts err == NULL.
 *
 * Message: lower case, one line, no full stop, names quoted. Hint: one full sentence that says
 * what to do next. Both may hold bytes a peer chose; escape them when they are shown
 * (common/base/text.h). Plain data, any thread. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

/* Codes are stable: their names appear in --json, their status numbers on the wire.
 * The table in err.c maps each to its name, its gRPC canonical status
 * (https://grpc.github.io/grpc/core/md_doc_statuscodes.html) and the exit status of `fairlead`. */
enum err_code {
	ERR_NONE = 0,
	ERR_INTERNAL,    /* our own bug, or an operating system that refuses */
	ERR_USAGE,       /* wrong command line */
	ERR_CONFIG,      /* wrong configuration file or repository */
	ERR_INVALID,     /* a peer's bytes do not parse or break a limit's rule */
	ERR_NOT_FOUND,   /* release, revision, service, file … is not there */
	ERR_EXISTS,      /* it is there already and must not be */
	ERR_LOCKED,      /* another deployment holds the app+environment */
	ERR_PREFLIGHT,   /* a precondition does not hold; nothing was changed */
	ERR_UNREACHABLE, /* no connection, or it broke */
	ERR_DEADLINE,    /* the deadline passed */
	ERR_NOSPACE,     /* disk full, quota */
	ERR_LIMIT,       /* a bound on size, count or memory was reached */
	ERR_IO,          /* reading or writing a file failed */
	ERR_CORRUPT,     /* stored or transferred data does not verify */
	ERR_AUTH,        /* identity not proven: bad signature, wrong host key, unknown signer */
	ERR_DENIED,      /* proven identity, not allowed */
	ERR_FAILED,      /* the deployment failed and was rolled back */
	ERR_CANCELLED,   /* aborted on request */
	ERR_UNSUPPORTED, /* method or feature this version does not have */
	ERR_CODE_COUNT
};

struct err {
	enum err_code code;
	int errnum; /* errno of the failing call, 0 if none */
	char message[1024];
	char hint[512]; /* empty if none */
};

#define ERR_INIT ((struct err){0})

/* Each fills or changes *err and has the value -1, so that `return err_set(err, …)` reads well.
 * They are macros for the compiler's sake: it sees the -1, and so that outputs are set whenever a
 * call did not fail. */
#define err_set(...) (err_fill(__VA_ARGS__), err_failed())
/* The same, with errno taken from `errnum` and ": strerror" appended. ENOSPC and EDQUOT turn
 * any code into ERR_NOSPACE. */
#define err_errno(...) (err_fill_errno(__VA_ARGS__), err_failed())
/* Set the hint of an error already filled. */
#define err_hint(...) (err_fill_hint(__VA_ARGS__), err_failed())
/* Put "context: " in front of the message. */
#define err_wrap(...) (err_put_in_front(__VA_ARGS__), err_failed())

static inline int err_failed(void)
{
	return -1;
}
void err_fill(struct err *err, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void err_fill_errno(struct err *err, enum err_code code, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void err_fill_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_put_in_front(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct err *err);
/* The host's trouble (disk, descriptors, memory), not that of what it was asked to do. */
bool err_is_of_host(const struct err *err);

/* The table. Never NULL; an unknown code reads as ERR_INTERNAL. */
const char *err_code_name(enum err_code code);
int err_code_exit_status(enum err_code code);
int err_code_status(enum err_code code);
/* Back from the wire: the code whose name is `name`; or the first code with that gRPC status. */
enum err_code err_code_from_name(const char *name);
enum err_code err_code_from_status(int status);
