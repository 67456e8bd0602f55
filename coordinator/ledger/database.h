/* Inside the ledger room: the SQLite handle, its schema and its errors. */
#pragma once

#include "coordinator/ledger/ledger.h"

#include <sqlite3.h>

struct ledger {
	sqlite3 *db;
	char *path; /* for messages */
};

/* Open or create, set WAL and the busy timeout, bring the schema up to date. */
int database_open(struct ledger *ledger, struct err *err);
/* ERR_* by SQLite's result code, with the path, what was being done, and a hint. */
int database_error(const struct ledger *ledger, int rc, const char *doing, struct err *err);

/* Statements that give no rows. `doing` is for the message. */
int database_exec(struct ledger *ledger, const char *sql, const char *doing, struct err *err);
sqlite3_stmt *database_prepare(struct ledger *ledger, const char *sql, struct err *err);
/* Run to the end, finalize. Returns SQLite's result code, SQLITE_DONE when all went well. */
int database_finish(sqlite3_stmt *statement);

/* Columns of a row; text is borrowed until the next step. */
const char *database_text(sqlite3_stmt *row, int column);
uint64_t database_number(sqlite3_stmt *row, int column);
/* The columns of a deployment behind its number, and a row of them. */
#define DATABASE_DEPLOYMENT                                                                        \
	"number, id, kind, app, environment, class, commit_from, commit_to, actor,"                \
	" started_unix_ms, ended_unix_ms, outcome, exit_status, files_changed, bytes, error,"      \
	" folder, forced, retry_bad"
struct ledger_deployment database_deployment(sqlite3_stmt *row);

/* progress.c: one row, within whatever transaction there is. */
int database_set_progress(struct ledger *ledger, const char *id,
	const struct ledger_progress *progress, struct err *err);

void cleanup_statement(sqlite3_stmt **statement);
#define AUTO_STATEMENT __attribute__((cleanup(cleanup_statement)))
